"""`python -m infer`: read the progress of a task from a video, with a base model or a LoRA adapter."""

from __future__ import annotations

import argparse

from dataset.command_line import run_command
from infer.records import DEFAULT_MAX_NEW_TOKENS, DEFAULT_MAX_SAMPLED_FRAMES
from infer.vllm.server import DEFAULT_SERVER

EPILOG = """\
examples:
  python -m infer --model_path runs/demo/adapter --use_lora --video_path v.mp4 --task "Open the drawer" \\
      --output_path p.jsonl
  python -m infer --model_path ce-amtic/ProcVLM-2B --video_path v.mp4 --task "Open the drawer" --output_path p.jsonl
  python -m infer ... --video_path held_out/ more/*.mp4 --resume      many videos, one model load; go on after a stop
The adapter brings its window rule, its pixel budget and the name of its base model. Rows are written as they come.
"""


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infer", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model_path", required=True, help="base model (hub id or folder); with --use_lora the adapter"
    )
    parser.add_argument("--video_path", required=True, nargs="+", help="videos: files, folders or quoted globs")
    parser.add_argument(
        "--output_path", required=True, help="JSONL of predictions; replaced if it exists, unless --resume"
    )
    parser.add_argument("--resume", action="store_true", help="keep the rows of --output_path and do what is missing")
    parser.add_argument("--task", required=True, help="the instruction the robot follows")
    parser.add_argument("--use_lora", action="store_true", help="--model_path is a LoRA adapter folder")
    parser.add_argument("--base_model", help="base to use in place of the one that the adapter names")
    parser.add_argument("--window_size", type=int, help="frames in a window (default: the adapter's, else 8)")
    parser.add_argument("--window_stride", type=float, help="spacing of a window in source frames")
    parser.add_argument(
        "--window_rate_hz", type=float, help="spacing as frames per second (default: the adapter's, 6.25)"
    )
    parser.add_argument("--max_frames", type=int, help="look at the first so many frames only")
    parser.add_argument(
        "--max_sampled_frames",
        type=int,
        default=DEFAULT_MAX_SAMPLED_FRAMES,
        help="predict at most so many frames, evenly spread",
    )
    parser.add_argument("--max_new_tokens", type=int, default=DEFAULT_MAX_NEW_TOKENS, help="budget of one answer")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 is greedy and repeatable")
    parser.add_argument("--torch_dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--device", help="torch device (default: cuda or mps where there is one, else cpu)")
    parser.add_argument(
        "--readout", choices=("text", "expected"), default="text",
        help="text: the number that the answer says; expected: the mean over all that the model might have said",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of sampled answers (--temperature above 0)")
    parser.add_argument("--batch_size", type=int, default=32, help="windows decoded together")
    parser.add_argument(
        "--on_unparsed", choices=("null", "previous"), default="null",
        help="progress of an answer without a percentage: null, or the previous frame's (said in progress_source)",
    )  # fmt: skip
    parser.add_argument(
        "--engine", choices=("transformers", "vllm"), default="transformers",
        help="vllm: ask a server that `python -m infer.vllm` started",
    )  # fmt: skip
    parser.add_argument("--server", default=DEFAULT_SERVER, help="URL of the vLLM server")
    parser.add_argument("--server_model", help="the model's name there (default: adapter or base)")
    parser.add_argument("--force", action="store_true", help="allow a window that differs from the adapter's")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Predict the videos and write their records."""
    from dataset.video import VideoReader
    from infer.video_paths import find_videos

    for path in find_videos(arguments.video_path):  # before torch is imported: a bad path is told at once
        VideoReader(path)

    print(f"loading PyTorch, then {arguments.model_path}", flush=True)
    from infer.predict import infer_progress_from_video

    options = {key: value for key, value in vars(arguments).items() if key != "debug"}
    records = infer_progress_from_video(**options)
    unparsed = [record for record in records if record["parsed_progress"] is None]
    forced = sum(record["progress_source"] == "forced" for record in unparsed)
    print(f"wrote {len(records)} predictions to {arguments.output_path}; last progress: {records[-1]['progress']}")
    if unparsed:
        print(
            f"warning: {len(unparsed)} of {len(records)} answers held no percentage (see model_output); in {forced} of "
            'them, which ran past --max_new_tokens, the model was made to fill in the tag (progress_source "forced")'
        )


if __name__ == "__main__":
    run_command(make_parser(), main)
