"""`python -m train`: adapt a base model to your demonstrations with LoRA."""

from __future__ import annotations

import argparse

from dataset.cli import run_command

EPILOG = """\
examples:
  python -m train --config recipes/nano.yaml data.annotations=[data/demo.json]
  python -m train --config recipes/oneshot.yaml data.annotations=[data/demo.json] lora.r=32 sft.num_train_epochs=5
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
    parser.add_argument("overrides", nargs="*", help="key=value, for example lora.r=32")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Read the recipe, train, say where the adapter is."""
    from train.recipe import read_recipe

    recipe = read_recipe(arguments.config, arguments.overrides)

    from train.lora import train_lora

    folder = train_lora(recipe, arguments.overwrite)
    print(f"adapter: {folder}")
    print(
        f"next: python -m infer --model_path {folder} --use_lora"
        ' --video_path VIDEO --task "TASK" --output_path OUT.jsonl'
    )


if __name__ == "__main__":
    run_command(make_parser(), main)
