"""`python -m train`: adapt a base model to your demonstrations with LoRA."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys

from dataset.command_line import run_command

EPILOG = """\
examples:
  python -m train --config recipes/nano.yaml data/demo.json
  python -m train --config recipes/oneshot.yaml data/demo.json lora.r=32 sft.num_train_epochs=5
  python -m train --config recipes/oneshot.yaml "labels/*.json" --dry-run
      samples, tokens, parameters, memory and time, from three timed steps
  python -m train --config recipes/oneshot.yaml data/demo.json --resume
      go on after an interruption: the same command again
  python -m train --each --config recipes/oneshot.yaml labels/ sft.output_dir=runs/tasks
      one adapter per task
  torchrun --nproc_per_node 2 -m train --config recipes/oneshot.yaml data.annotations=[data/demo.json]
then:
  python -m infer --model_path runs/nano/adapter --use_lora --video_path V --task T --output_path P
"""


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, help="recipe (YAML); see recipes/")
    parser.add_argument("--overwrite", action="store_true", help="replace the adapter folder if it exists")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--each", action="store_true", help="one adapter per task; sft.output_dir holds their folders")
    parser.add_argument("--dry-run", action="store_true", help="say what the run will cost, and write no adapter")
    parser.add_argument(
        "words", nargs="*", metavar="ANNOTATION or KEY=VALUE",
        help="annotations to train on (files, folders or quoted globs; as data.annotations), and keys of the recipe "
        "such as lora.r=32",
    )  # fmt: skip
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Read the recipe, train, say where the adapter is."""
    from dataset.recipe import split_words
    from train.recipe import read_recipe

    if int(os.environ.get("RANK", 0)):  # one of several processes: the first one speaks
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115

    annotations, overrides = split_words(arguments.words)
    if annotations:
        overrides.append(f"data.annotations={json.dumps(annotations)}")
    recipe = read_recipe(arguments.config, overrides)
    print(f"{arguments.config}: loading PyTorch, then {recipe.model}", flush=True)
    if arguments.dry_run:
        from train.cost import estimate_cost, format_cost

        print(format_cost(estimate_cost(recipe)))
        return
    if arguments.each:
        from train.per_task import train_each

        folders = train_each(recipe, arguments.overwrite, arguments.resume)
    else:
        from train.lora import train_lora

        folders = [train_lora(recipe, arguments.overwrite, arguments.resume)]
    for folder in folders:
        print(f"adapter: {folder}")
    from infer.model.adapter_folder import ProgressConfig

    task = shlex.quote(ProgressConfig.read(folders[-1]).tasks[0])
    print(
        f"next: python -m infer --model_path {folders[-1]} --use_lora --video_path VIDEO --task {task} "
        "--output_path OUT.jsonl"
    )


if __name__ == "__main__":
    run_command(make_parser(), main)
