"""`python -m infer`: predict the progress of a task along a video, with a base model or a LoRA adapter."""

from __future__ import annotations

import argparse
from pathlib import Path

from dataset.command_line import add_video_backend, run_command
from infer.decoding.settings import DEFAULT_MAX_NEW_TOKENS
from infer.model.source import BASE_MAX_PIXELS
from infer.request import BASE_WINDOW, DEFAULT_MAX_SAMPLED_FRAMES
from infer.vllm.server import DEFAULT_SERVER

EPILOG = """\
examples:
  python -m infer --model_path runs/demo/adapter --use_lora --video_path v.mp4 --task "Open the drawer" \\
      --output_path p.jsonl
  python -m infer --model_path ce-amtic/ProcVLM-2B --video_path v.mp4 --task "Open the drawer" --output_path p.jsonl
  python -m infer ... --video_path held_out/ more/*.mp4 --resume      many videos, one model load; continue after a stop
The adapter brings its window rule, its pixel budget and the name of its base model. Rows are written while the run goes
on.
"""


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infer", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    recordings = parser.add_argument_group("recordings and records")
    recordings.add_argument("--video_path", required=True, nargs="+", help="videos: files, folders or quoted globs")
    recordings.add_argument("--task", required=True, help="the instruction the robot follows, as in the annotation")
    recordings.add_argument(
        "--output_path", required=True, help="JSONL of predictions; replaced if it exists, unless --resume"
    )
    recordings.add_argument(
        "--resume", action="store_true", help="keep the rows of --output_path and predict what is missing"
    )
    recordings.add_argument(
        "--on_unparsed", choices=("null", "previous"), default="null",
        help="progress of an answer without a percentage: null, or the last frame's (progress_source: previous)",
    )  # fmt: skip

    add_video_backend(recordings)
    model = parser.add_argument_group("model")
    model.add_argument("--model_path", required=True, help="base model (hub id or folder); with --use_lora the adapter")
    model.add_argument("--use_lora", action="store_true", help="--model_path is a LoRA adapter folder")
    model.add_argument("--base_model", help="base to use in place of the one that the adapter names")
    model.add_argument("--torch_dtype", default="auto", help="auto, float32, bfloat16 or float16")
    model.add_argument(
        "--max_pixels", type=int,
        help=f"largest area of a frame; larger ones are reduced (base model: {BASE_MAX_PIXELS}, or its own if less; an "
        "adapter brings its own)",
    )  # fmt: skip
    model.add_argument("--device", help="torch device (default: cuda or mps where there is one, else cpu)")

    frames = parser.add_argument_group(
        "frames and windows", "An adapter brings its window rule; leave those flags out."
    )
    frames.add_argument("--max_frames", type=int, help="use the first so many frames of a video only")
    frames.add_argument(
        "--max_sampled_frames", type=int, default=DEFAULT_MAX_SAMPLED_FRAMES,
        help="predict at most so many frames of a video, evenly spread (default: %(default)s)",
    )  # fmt: skip
    frames.add_argument("--window_size", type=int, help=f"frames in a window (base model: {BASE_WINDOW.size})")
    frames.add_argument("--window_stride", type=float, help="spacing of a window in source frames")
    frames.add_argument(
        "--window_rate_hz", type=float, help=f"spacing as frames per second (base model: {BASE_WINDOW.rate_hz})"
    )
    frames.add_argument("--force", action="store_true", help="allow a window that differs from the adapter's")

    decoding = parser.add_argument_group("decoding")
    decoding.add_argument(
        "--max_new_tokens", type=int, default=DEFAULT_MAX_NEW_TOKENS, help="budget of one answer (default: %(default)s)"
    )
    decoding.add_argument("--temperature", type=float, default=0.0, help="0 (default) is greedy and repeatable")
    decoding.add_argument("--seed", type=int, default=0, help="seed of sampled answers (--temperature above 0)")
    decoding.add_argument(
        "--readout", choices=("text", "expected"), default="text",
        help="text: the number in the answer; expected: the mean over all numbers that the model might have put there",
    )  # fmt: skip
    decoding.add_argument("--batch_size", type=int, default=32, help="windows decoded together (default: %(default)s)")

    engine = parser.add_argument_group("engine")
    engine.add_argument(
        "--engine", choices=("transformers", "vllm"), default="transformers",
        help="vllm: use a server that `python -m infer.vllm` started",
    )  # fmt: skip
    engine.add_argument("--server", default=DEFAULT_SERVER, help="URL of the vLLM server (default: %(default)s)")
    engine.add_argument("--server_model", help="the model's name there (default: adapter or base)")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Predict the videos and write their records."""
    from infer.predict import predict_with

    before = 0
    if arguments.resume and Path(arguments.output_path).exists():
        before = Path(arguments.output_path).read_bytes().count(b"\n")
    records = predict_with(vars(arguments))
    unparsed = [record for record in records if record["parsed_progress"] is None]
    forced = sum(record["progress_source"] == "forced" for record in unparsed)
    new = len(records) - before
    print(f"{len(records)} predictions in {arguments.output_path}" + (f", {new} of them new" if before else ""))
    last = {record["video_path"]: record["progress"] for record in records}
    for video, progress in last.items():
        print(f"last progress of {video}: {progress}")
    if unparsed:
        print(
            f"warning: {len(unparsed)} of {len(records)} answers have no percentage (see model_output); {forced} of "
            'them ran past --max_new_tokens, and the model was made to fill in the tag (progress_source "forced")'
        )


if __name__ == "__main__":
    run_command(make_parser(), main)
