"""Is one demonstration enough? Train on a part of it, predict the rest, and say what to annotate next.

    python -m train.enough my.json --config recipes/nano.yaml --output runs/enough

A part of every stage is held out in turn. Each run trains on the rest and predicts the held-out frames, as recorded and
in perturbed recordings (cropped, darker, brighter, half and double speed). The result is optimistic: the held-out
frames are from the recording that was trained on. It shows what one demonstration cannot teach; only another episode
shows what it does teach. If it is interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

from dataset.command_line import run_command
from train.recipe import read_recipe


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.enough", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotation", help="the annotated demonstration (JSON)")
    parser.add_argument("--config", required=True, help="recipe (YAML) to train with; see recipes/")
    parser.add_argument("--output", required=True, help="folder for enough.json, enough.html and a folder per fold")
    parser.add_argument("--folds", type=int, default=3, help="parts of every stage, one run each (default 3)")
    parser.add_argument("--max_frames", type=int, default=160, help="most frames sampled, evenly spread (default 160)")
    parser.add_argument("--overwrite", action="store_true", help="start again in a folder that holds a rehearsal")
    parser.add_argument("overrides", nargs="*", help="key=value of the recipe, for example sft.num_train_epochs=3")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Run the rehearsal and print its answer."""
    from train.rehearsal.page import print_answer
    from train.rehearsal.rehearsal import PLAN, rehearse

    output = Path(arguments.output)
    overrides = [*arguments.overrides, f"data.annotations=[{json.dumps(arguments.annotation)}]"]
    recipe = read_recipe(arguments.config, overrides)
    if len(recipe.data.annotations) != 1:
        raise ValueError(
            f"{arguments.annotation} stands for {len(recipe.data.annotations)} annotations; name one: the question is "
            "whether this one is enough"
        )
    recipe = replace(recipe, sft={**recipe.sft, "output_dir": str(output)})
    if arguments.overwrite and (output / PLAN).exists():
        for folder in output.glob("fold-*"):
            shutil.rmtree(folder)
        (output / PLAN).unlink()
    document = rehearse(recipe, output, arguments.folds, arguments.max_frames)
    print_answer(document)
    print(f"page: {output / 'enough.html'}")


if __name__ == "__main__":
    run_command(make_parser(), main)
