"""The report card: can this adapter be used? Base, adapter and baselines on a held-out set, with a verdict.

    python -m infer.report --model_path runs/mine/adapter --use_lora --annotations held_out/*.json --output runs/mine

Writes report.html (one file that needs no network), report.md, report.json and the predictions. Without --use_lora a
base is evaluated. Episodes that the adapter was trained on are recognised by their content and left out of all figures.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dataset.command_line import add_video_backend, run_command
from dataset.demonstration import read_demonstrations
from infer.model.source import BASE_MAX_PIXELS, ModelSource
from infer.report.card import make_report
from infer.request import DEFAULT_MAX_SAMPLED_FRAMES

EPILOG = """\
examples:
  python -m infer.report --model_path runs/mine/adapter --use_lora --annotations held_out/*.json --output runs/mine
  python -m infer.report --model_path ce-amtic/ProcVLM-2B --annotations held_out/*.json --output runs/base
  python -m infer.report --compare runs/*/report.json --output runs/compare
The verdict is "adopt", "need more demos" or "do not use". It needs at least three successes and one failure that were
not trained on. docs/report_card.md has the rules and their limits.
"""


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infer.report", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model_path", help="adapter folder with --use_lora, else a base model")
    source.add_argument(
        "--compare", nargs="+", metavar="REPORT", help="compare these report.json files instead of making a report"
    )
    parser.add_argument("--use_lora", action="store_true", help="--model_path is a LoRA adapter folder")
    parser.add_argument("--annotations", nargs="+", help="the held-out set: annotations (files, folders, quoted globs)")
    parser.add_argument(
        "--output", required=True, help="folder for report.html, .md, .json and predictions/, or compare.*"
    )
    parser.add_argument(
        "--train_annotations", nargs="+", default=[],
        help="annotations that the adapter was trained on (default: those in its recipe), for the second threshold",
    )  # fmt: skip
    parser.add_argument("--base_model", help="base to use instead of the one that the adapter names")
    parser.add_argument("--torch_dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument(
        "--max_pixels", type=int,
        help=f"largest area of a frame (base model: {BASE_MAX_PIXELS}, or its own if less; an adapter brings its own)",
    )  # fmt: skip
    parser.add_argument(
        "--readout", choices=("text", "expected"), default="text",
        help="text: the number in the answer; expected: the probability-weighted mean over all numbers",
    )  # fmt: skip
    parser.add_argument(
        "--max_sampled_frames", type=int, default=DEFAULT_MAX_SAMPLED_FRAMES, help="most frames sampled per episode"
    )
    parser.add_argument(
        "--shortcut_windows", type=int, default=8,
        help="windows per episode and shortcut test; 0 runs no tests (the verdict is then never adopt)",
    )  # fmt: skip
    add_video_backend(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of the shuffled windows")
    parser.add_argument("--batch_size", type=int, default=32, help="windows decoded together")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Write the report and print verdict and table; or compare reports."""
    if arguments.compare:
        from infer.report.compare.write import compare_reports

        compare_reports(arguments.compare, arguments.output)
        return
    if not arguments.annotations:
        raise ValueError("--annotations is missing; name annotated episodes that the adapter was not trained on")
    read_demonstrations(arguments.annotations)  # report a bad file before torch is imported
    print(f"loading PyTorch, then {arguments.model_path}", flush=True)

    from infer.report.evaluate import EvaluationSpec
    from infer.report.page import format_table, format_verdict

    spec = EvaluationSpec(
        arguments.max_sampled_frames, arguments.batch_size, arguments.readout, arguments.shortcut_windows,
        arguments.seed,
    )  # fmt: skip
    report = make_report(
        ModelSource(
            arguments.model_path, arguments.use_lora, arguments.base_model, arguments.torch_dtype,
            max_pixels=arguments.max_pixels,
        ),
        arguments.annotations, arguments.output, spec, arguments.train_annotations,
        ["python", "-m", "infer.report", *sys.argv[1:]],
    )  # fmt: skip
    print(format_table(report.document))
    print(format_verdict(report.document))
    print(f"report: {Path(arguments.output) / 'report.html'}")


if __name__ == "__main__":
    run_command(make_parser(), main)
