"""Does the verdict reject a bad adapter? One that was trained on shuffled answers must be rejected.

    python benchmarks/shuffled_labels.py [--demo recipes/demo] [--output runs/shuffled] [SET ...]

The samples of a demonstration keep their windows, and their answers are shuffled: an answer then has nothing to do with
its pictures. The adapter is trained and evaluated by the same code as any other. Exit status 1 if the verdict is not
"do not use". Knows samples and commands; does not know how they are made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dataset.command_line import run_command
from dataset.demonstration import read_demonstrations
from dataset.sample_file import VqaSample
from dataset.samples import build_sample_set


def shuffle_answers(samples: Sequence[VqaSample], seed: int) -> list[VqaSample]:
    """Return the samples with completions and progress shuffled among them; windows and prompts stay."""
    places = np.random.default_rng(seed).permutation(len(samples))
    return [
        replace(sample, completion=samples[place].completion, progress=samples[place].progress)
        for sample, place in zip(samples, places, strict=True)
    ]


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", default="recipes/demo", help="folder with demo.json and held_out/*.json")
    parser.add_argument("--recipe", default="recipes/nano.yaml")
    parser.add_argument("--output", default="runs/shuffled")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max_sampled_frames", type=int, default=64, help="most frames per episode")
    parser.add_argument("overrides", nargs="*", help="keys of the recipe, such as sft.max_steps=20")
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Shuffle, train, report; return 0 when the adapter is rejected."""
    demo, output = Path(arguments.demo), Path(arguments.output)
    adapter = output / "adapter"

    from train.recipe import read_recipe
    from train.training_data import make_training_data

    annotation = demo / "demo.json"
    overrides = [f"data.annotations=[{annotation}]", f"sft.output_dir={adapter}", *arguments.overrides]
    recipe = read_recipe(arguments.recipe, overrides)
    demonstrations = read_demonstrations([annotation])
    samples = build_sample_set(demonstrations, recipe.data.window, recipe.data.sampling)
    data = make_training_data(recipe, shuffle_answers(samples, arguments.seed), demonstrations)

    from train.lora import train_lora

    train_lora(recipe, overwrite=True, data=data)

    from infer.model.source import ModelSource
    from infer.report.card import make_report
    from infer.report.evaluate import EvaluationSpec
    from infer.report.page import format_table, format_verdict

    held_out = sorted((demo / "held_out").glob("*.json"))
    spec = EvaluationSpec(max_sampled_frames=arguments.max_sampled_frames)
    report = make_report(
        ModelSource(str(adapter), use_lora=True),
        held_out,
        output,
        spec,
        command=["python", "benchmarks/shuffled_labels.py", *sys.argv[1:]],
    )
    print(format_table(report.document))
    print(format_verdict(report.document))
    return 0 if report.verdict.outcome == "do not use" else 1


if __name__ == "__main__":
    run_command(make_parser(), main)
