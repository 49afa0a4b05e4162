"""The report card: may this adapter be used? Base, adapter and rivals on annotated episodes, with a verdict.

    python -m infer.report --model_path runs/mine/adapter --use_lora --annotations held_out/*.json --output runs/mine

Writes report.html (one file, opens offline), report.md, report.json and the predictions. Without --use_lora a base is
judged as it is. Episodes that the adapter was trained on are recognised by their content and count for nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dataset.cli import run_command
from dataset.demonstration import read_demonstrations
from dataset.files import write_text_atomically
from infer.records import DEFAULT_MAX_SAMPLED_FRAMES, make_records, write_records

if TYPE_CHECKING:
    from dataset.demonstration import Demonstration
    from infer.evaluate import EvaluationSpec
    from infer.summary import Report

EPILOG = """\
examples:
  python -m infer.report --model_path runs/mine/adapter --use_lora --annotations held_out/*.json --output runs/mine
  python -m infer.report --model_path ce-amtic/ProcVLM-2B --annotations held_out/*.json --output runs/base
  python -m infer.report --compare runs/*/report.json --output runs/compare
A verdict needs at least three successes and one failure that were not trained on. It is "adopt", "need more demos" or
"do not use"; the rules and their limits are the table at the top of infer/verdict.py.
"""


def make_report(
    model_path: str,
    use_lora: bool,
    annotations: Sequence[str | Path],
    output: str | Path,
    spec: EvaluationSpec,
    train_annotations: Sequence[str | Path] = (),
    base_model: str | None = None,
    torch_dtype: str = "auto",
    command: Sequence[str] = (),
) -> Report:
    """Evaluate a model on annotated episodes, write the report into a folder and return it.

    Args:
        model_path: The adapter folder; without `use_lora` a base.
        use_lora: Whether `model_path` is an adapter.
        annotations: Annotated episodes that were not trained on.
        output: Folder for `report.html`, `report.md`, `report.json` and `predictions/`.
        spec: How much is read, and how.
        train_annotations: Where the training demonstrations are now; by default where the adapter's recipe says.
        base_model, torch_dtype: See `ProgressModel.load`.
        command: The words of the command line, for the provenance.
    """
    started = time.monotonic()
    from infer.training_demonstration import find_training_demonstrations, read_train_summary, seen_in_training

    demonstrations = read_demonstrations(annotations)
    train = read_train_summary(model_path) if use_lora else {}
    sources = train.get("data", [])
    trained_on = seen_in_training(demonstrations, sources)
    training: list[Demonstration] = []
    notices = _notices(sources)
    if use_lora:
        training, missing = find_training_demonstrations(model_path, sources, train_annotations)
        notices += [missing] if missing else []

    from infer.evaluate import evaluate, read_training_demonstrations
    from infer.model import ProgressModel
    from infer.provenance import collect_provenance, measured_cost
    from infer.summary import summarise

    model = ProgressModel.load(model_path, use_lora, base_model, torch_dtype)
    results = list(evaluate(model, demonstrations, spec, trained_on))
    reading = read_training_demonstrations(model, training, spec) if training else None
    provenance = collect_provenance(model, model_path, results, spec, train, command)
    seconds = train.get("seconds", 0.0) + time.monotonic() - started
    report = summarise(results, reading, notices, train, provenance, measured_cost(model, results), seconds)
    write_report(report, output)
    return report


def _notices(sources: Sequence[dict]) -> list[str]:
    notices = []
    if any(source.get("labels") == "visual" for source in sources):
        notices.append(
            "The adapter was trained on data.labels: visual, and is judged here against linear labels (or measured "
            "ones): inside a stage the two differ, and that difference is part of mae. Order metrics are less touched."
        )
    return notices


def write_report(report: Report, output: str | Path) -> None:
    """Write `report.json`, `report.md`, `report.html` and `predictions/<episode>.<model>.jsonl` into a folder."""
    from infer.page import render_html, render_markdown

    output = Path(output)
    for result in report.results:
        task = result.demonstration.annotation.task
        for name, predictions in result.predictions.items():
            records = make_records(result.demonstration.video, task, predictions)
            write_records(output / "predictions" / f"{result.demonstration.episode}.{name}.jsonl", records)
    text = json.dumps(report.document, indent=2, ensure_ascii=False) + "\n"
    write_text_atomically(output / "report.json", text)
    write_text_atomically(output / "report.md", render_markdown(report))
    write_text_atomically(output / "report.html", render_html(report))


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infer.report", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model_path", help="adapter folder with --use_lora, else a base model")
    source.add_argument(
        "--compare", nargs="+", metavar="REPORT", help="report.json files to compare, in place of making a report"
    )
    parser.add_argument("--use_lora", action="store_true", help="--model_path is a LoRA adapter folder")
    parser.add_argument("--annotations", nargs="+", help="annotated held-out episodes (JSON); a report needs them")
    parser.add_argument(
        "--output", required=True, help="folder for report.html, .md, .json and predictions/, or compare.*"
    )
    parser.add_argument(
        "--train_annotations", nargs="+", default=[],
        help="annotations the adapter was trained on (default: where its recipe says), for calibration and threshold",
    )  # fmt: skip
    parser.add_argument("--base_model", help="base to use in place of the one that the adapter names")
    parser.add_argument("--torch_dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument(
        "--readout", choices=("text", "expected"), default="text",
        help="text: the number that the answer says; expected: the mean over all that the model might have said",
    )  # fmt: skip
    parser.add_argument("--max_sampled_frames", type=int, default=DEFAULT_MAX_SAMPLED_FRAMES, help="frames per episode")
    parser.add_argument(
        "--shortcut_windows", type=int, default=8,
        help="windows per episode and shortcut test, evenly spaced; 0 leaves the tests out (then never adopt)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of the shuffled windows")
    parser.add_argument("--batch_size", type=int, default=32, help="windows decoded together")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Write the report and print verdict and table; or compare reports."""
    if arguments.compare:
        from infer.compare import compare_reports

        compare_reports(arguments.compare, arguments.output)
        return
    if not arguments.annotations:
        raise ValueError("a report needs --annotations: annotated episodes that the adapter was not trained on")
    read_demonstrations(arguments.annotations)  # a bad file is told before torch is imported
    print(f"loading PyTorch, then {arguments.model_path}", flush=True)

    from infer.evaluate import EvaluationSpec
    from infer.page import format_table, format_verdict

    spec = EvaluationSpec(
        arguments.max_sampled_frames, arguments.batch_size, arguments.readout, arguments.shortcut_windows,
        arguments.seed,
    )  # fmt: skip
    report = make_report(
        arguments.model_path, arguments.use_lora, arguments.annotations, arguments.output, spec,
        arguments.train_annotations, arguments.base_model, arguments.torch_dtype,
        ["python", "-m", "infer.report", *sys.argv[1:]],
    )  # fmt: skip
    print(format_table(report.document))
    print(format_verdict(report.document))
    print(f"report: {Path(arguments.output) / 'report.html'}")


if __name__ == "__main__":
    run_command(make_parser(), main)
