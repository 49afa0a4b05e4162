"""`python -m train.merge`: merge base and adapter into one model, for engines without LoRA.

Knows adapter folders and the folder of the merged model; does not know training.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from dataset.command_line import run_command
from infer.model.adapter_folder import (
    MODEL_CARD,
    PROGRESS_CONFIG,
    ProgressConfig,
    base_of_adapter,
    read_train_summary,
)
from infer.model.source import ModelSource

EPILOG = """\
example:
  python -m train.merge --model_path runs/demo/adapter --output_path runs/demo/merged
  python -m infer --model_path runs/demo/merged --video_path v.mp4 --task "Open the drawer" --output_path p.jsonl
"""


def merge_adapter(
    model_path: str | Path, output_path: str | Path, base_model: str | None = None, torch_dtype: str | None = None
) -> float:
    """Write the merged model: weights, tokenizer, image processor, window rule, model card.

    Weights are merged in float32 and rounded once, to `torch_dtype`.

    Args:
        model_path: Adapter folder.
        output_path: Folder to write; it must not exist.
        base_model: Base to use instead of the one that the adapter names.
        torch_dtype: Number type of the merged weights; None takes that of the training.

    Returns:
        The largest difference of a logit between base with adapter and merged model, both in float32, on a text probe.

    Raises:
        ValueError: The folder exists, or the adapter or its base cannot be used.
    """
    import torch

    from infer.model.model import ProgressModel

    output = Path(output_path)
    if output.exists():
        raise ValueError(f"{output} exists already; name another --output_path, or remove it first")
    summary = read_train_summary(model_path)
    base_name = base_model or base_of_adapter(model_path)
    budget = ProgressConfig.read(model_path)
    source = ModelSource(
        base_name, torch_dtype="float32", device="cpu", min_pixels=budget.min_pixels, max_pixels=budget.max_pixels
    )
    model = ProgressModel.load(source).with_adapter(model_path)
    probe = torch.tensor([model.tokenizer("The following actions are required: ")["input_ids"]])
    with torch.no_grad():
        adapted = model.model(input_ids=probe).logits
        merged = model.model.merge_and_unload()
        difference = (adapted - merged(input_ids=probe).logits).abs().max().item()
    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    merged.to(getattr(torch, torch_dtype or summary.get("torch_dtype", "float32"))).save_pretrained(partial)
    model.tokenizer.save_pretrained(partial)
    model.image_processor.save_pretrained(partial)
    shutil.copy(Path(model_path) / PROGRESS_CONFIG, partial)
    card = (Path(model_path) / MODEL_CARD).read_text(encoding="utf-8")
    (partial / MODEL_CARD).write_text(_merged_card(card), encoding="utf-8")
    for picture in Path(model_path).glob("*.png"):
        shutil.copy(picture, partial)
    partial.rename(output)
    return difference


def _merged_card(card: str) -> str:
    return (
        card.replace("library_name: peft", "library_name: transformers")
        .replace("A LoRA adapter of a", "A model merged from a base and a LoRA adapter: a")
        .replace("--model_path THIS_FOLDER --use_lora", "--model_path THIS_FOLDER")
    )


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.merge",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model_path", required=True, help="adapter folder")
    parser.add_argument("--output_path", required=True, help="folder of the merged model; it must not exist")
    parser.add_argument("--base_model", help="base to use instead of the one that the adapter names")
    parser.add_argument(
        "--torch_dtype",
        choices=("float32", "bfloat16", "float16"),
        help="number type of the merged weights (default: the one of the training)",
    )
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Merge, and print the difference of the outputs."""
    difference = merge_adapter(arguments.model_path, arguments.output_path, arguments.base_model, arguments.torch_dtype)
    print(f"merged model: {arguments.output_path} (logits of a probe differ by {difference:.1e} in float32)")


if __name__ == "__main__":
    run_command(make_parser(), main)
