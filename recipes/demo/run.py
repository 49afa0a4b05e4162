"""The main job from end to end on the bundled demo and the embedded base model; `make demo` runs this.

    python recipes/demo/run.py [--demo recipes/demo] [--output runs/demo]

One annotated episode in, an adapter and its report on held-out episodes out. Every step is a command of its own; the
program prints it, to be used again on other videos.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from dataset.command_line import run_command

RECIPE = "recipes/nano.yaml"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a model this small gains little from more, and loses much on busy cores


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--demo", default="recipes/demo", help="folder: demo.json to train on, held_out/*.json to evaluate on"
    )
    parser.add_argument("--recipe", default=RECIPE, help="recipe to train with")
    parser.add_argument(
        "--output", default="runs/demo", help="folder for everything that is made; replaced if it exists"
    )
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Check the annotation and show its samples, train, evaluate, render an overlay."""
    started = time.monotonic()
    demo, output = Path(arguments.demo), Path(arguments.output)
    annotation = demo / "demo.json"
    held_out = sorted((demo / "held_out").glob("*.json"))
    if not held_out:
        raise ValueError(f"{demo / 'held_out'} holds no annotated episodes; --demo takes a folder like recipes/demo")
    samples, adapter = output / "samples.html", output / "adapter"

    say(
        "1/4 check the annotation and show what the recipe trains on",
        f"python -m dataset {annotation} --config {arguments.recipe} --preview {samples}",
    )
    from dataset.__main__ import main as check_and_preview
    from dataset.__main__ import make_parser as dataset_parser

    check_and_preview(
        dataset_parser().parse_args([str(annotation), "--config", arguments.recipe, "--preview", str(samples)])
    )

    overrides = [f"data.annotations=[{annotation}]", f"sft.output_dir={adapter}"]
    say("2/4 adapt the base model", f"python -m train --config {arguments.recipe} {' '.join(overrides)} --overwrite")
    from train.lora import train_lora
    from train.recipe import read_recipe

    train_lora(read_recipe(arguments.recipe, overrides), overwrite=True)

    say(
        "3/4 evaluate base and adapter on the held-out episodes",
        f"python -m infer.report --model_path {adapter} --use_lora --annotations {demo}/held_out/*.json"
        f" --output {output}",
    )
    from infer.model.source import ModelSource
    from infer.report.card import make_report
    from infer.report.evaluate import EvaluationSpec
    from infer.report.page import format_table, format_verdict

    report = make_report(
        ModelSource(str(adapter), use_lora=True),
        held_out,
        output,
        EvaluationSpec(),
        command=["python", "recipes/demo/run.py", *sys.argv[1:]],
    )

    example = next((r for r in report.results if r.demonstration.annotation.success), report.results[0]).demonstration
    records = {name: output / "predictions" / f"{example.name}.{name}.jsonl" for name in ("adapter", "base")}

    say(
        "4/4 render the overlay video",
        f"python -m infer.overlay --predictions {records['adapter']} {records['base']} --names adapter base"
        f" --annotation {example.path} --output {output / 'overlay.mp4'}",
    )
    from infer.overlay.render import render_overlay
    from infer.records import read_records

    render_overlay(
        read_records(records["adapter"]), example.video, output / "overlay.mp4", read_records(records["base"]),
        ("adapter", "base"), example.annotation,
    )  # fmt: skip

    print(f"\n{format_table(report.document)}\n\n{format_verdict(report.document)}\n")
    seconds = time.monotonic() - started
    print(f"{seconds:.0f} s in all. Look at {output / 'report.html'} and {output / 'overlay.mp4'}.")
    print(
        "\nNow your own video:\n"
        '  make annotate VIDEO=my.mp4 TASK="What the robot does"      mark the stages, writes my.json\n'
        "  make lora ANNOTATIONS=my.json RECIPE=recipes/oneshot.yaml   one GPU; recipes/nano.yaml for a trial here\n"
        '  make infer MODEL=runs/oneshot/adapter VIDEO=other.mp4 TASK="What the robot does"'
    )


def say(title: str, command: str) -> None:
    """Print a step and the command that does the same."""
    print(f"\n== {title}\n   $ {command}", flush=True)


if __name__ == "__main__":
    run_command(make_parser(), main)
