"""`python -m train.merge`: merge base and adapter into one model, for engines without LoRA.

Knows adapter folders and the folder of the merged model; does not know training.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dataset.command_line import run_command
from dataset.files import write_text_atomically
from infer.model.adapter_folder import (
    MODEL_CARD,
    PROGRESS_CONFIG,
    ProgressConfig,
    base_of_adapter,
    read_train_summary,
)
from infer.model.base_files import copy_base_files
from infer.model.errors import ModelError
from infer.model.source import ModelSource

if TYPE_CHECKING:
    import torch

    from infer.model.model import ProgressModel

TOLERANCE = 1e-5  # of the largest logit: float32 rounds differently when the adapter is in the weights
PROBE_TEXT = "The following actions are required: "
PROBE_PIXELS = 128 * 128

EPILOG = """\
example:
  python -m train.merge --model_path runs/demo/adapter --output_path runs/demo/merged
  python -m infer --model_path runs/demo/merged --video_path v.mp4 --task "Open the drawer" --output_path p.jsonl
"""


def merge_adapter(
    model_path: str | Path, output_path: str | Path, base_model: str | None = None, torch_dtype: str | None = None
) -> float:
    """Write the merged model: its weights, beside them the base's own configuration, tokenizer and image files.

    Weights are merged in float32 and rounded once, to `torch_dtype`. The folder is put in place after it was loaded
    from disk in a new process and answered a question with a picture as the model in memory did.

    Args:
        model_path: Adapter folder.
        output_path: Folder to write; it must not exist.
        base_model: Base to use instead of the one that the adapter names.
        torch_dtype: Number type of the merged weights; None takes that of the training.

    Returns:
        The largest difference of a logit between base with adapter and merged model, both in float32.

    Raises:
        ValueError: The folder exists, the adapter or its base cannot be used, or the merged model answers differently.
    """
    import torch

    from infer.model.model import ProgressModel
    from train.adapter_writer import mode_of_new_files, write_base_files

    output = Path(output_path)
    if output.exists():
        raise ValueError(f"{output} exists already; name another --output_path, or remove it first")
    base_name = base_model or base_of_adapter(model_path)
    summary = read_train_summary(model_path)
    budget = ProgressConfig.read(model_path)
    source = ModelSource(
        base_name, torch_dtype="float32", device="cpu", min_pixels=budget.min_pixels, max_pixels=budget.max_pixels
    )
    source.check_folder()
    model = ProgressModel.load(source).with_adapter(model_path)
    _convert(model.model, torch.float32)  # the adapter, if it was saved in another type
    adapted = probe_logits(model)
    merged = ProgressModel(model.model.merge_and_unload(), model.tokenizer, model.image_processor, base_name)
    difference = (adapted - probe_logits(merged)).abs().max().item()
    allowed = TOLERANCE * max(1.0, adapted.abs().max().item())
    if not difference <= allowed:
        raise ModelError(
            f"the merged model answers differently than base and adapter (logits differ by {difference:.2g}, of which "
            f"rounding explains {allowed:.2g}); nothing was written. An adapter of embed_tokens or lm_head cannot be "
            "merged where the base ties them: use it with --use_lora, or train without these targets"
        )
    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    dtype = torch_dtype or summary.get("torch_dtype", "float32")
    _convert(merged.model, getattr(torch, dtype))
    merged.model.save_pretrained(partial, save_original_format=False)
    write_base_configuration(base_name, partial, dtype)
    write_base_files(merged, partial)
    shutil.copy(Path(model_path) / PROGRESS_CONFIG, partial)
    card = (Path(model_path) / MODEL_CARD).read_text(encoding="utf-8")
    (partial / MODEL_CARD).write_text(_merged_card(card), encoding="utf-8")
    for picture in Path(model_path).glob("*.png"):
        shutil.copy(picture, partial)
    for weights in partial.glob("*.safetensors"):
        weights.chmod(mode_of_new_files())
    _convert(merged.model, torch.float32)  # the rounded weights
    check_from_disk(partial, probe_logits(merged))
    partial.rename(output)
    return difference


def _convert(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Set the number type of the weights; `Module.to` would round the rotary frequencies as well."""
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)


def write_base_configuration(base_name: str, folder: Path, dtype: str) -> None:
    """Put the base's own configuration beside merged weights: earlier transformers cannot read what this one writes."""
    copied = copy_base_files(base_name, folder, ("config.json", "generation_config.json"))
    if "config.json" not in copied:
        return
    path = folder / "config.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    parts = [document, *(part for part in document.values() if isinstance(part, dict))]
    names = [(part, name) for part in parts for name in ("dtype", "torch_dtype") if part.get(name)]
    for part, name in names or [(document, "dtype")]:
        part[name] = dtype
    write_text_atomically(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def probe_logits(model: ProgressModel) -> torch.Tensor:
    """Return the logits of a question with a picture, float32, shape (tokens, vocabulary)."""
    import numpy as np
    import torch

    pattern = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = np.kron(pattern, np.ones((16, 16, 1), dtype=np.uint8))
    with torch.no_grad():
        features = model.encode_frames(picture[None], pixel_budget=(PROBE_PIXELS, PROBE_PIXELS))
        inputs = model.inputs.build([features], [PROBE_TEXT])
        return model.model(**inputs).logits[0].float().cpu()


def check_from_disk(folder: Path, expected: torch.Tensor) -> None:
    """Load a folder in a new process and compare its logits with those expected; ModelError where they differ."""
    import torch

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "logits.pt"
        program = (
            "import sys, torch; from infer.model.model import ProgressModel; from infer.model.source import "
            "ModelSource; from train.merge import probe_logits; source = ModelSource(sys.argv[1], torch_dtype="
            "'float32', device='cpu'); torch.save(probe_logits(ProgressModel.load(source)), sys.argv[2])"
        )
        command = [sys.executable, "-c", program, str(folder.resolve()), str(file)]
        run = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
        if run.returncode:
            raise ModelError(
                f"{folder} does not load from disk ({run.stderr.strip().splitlines()[-1]}); it was not put in place"
            )
        difference = (torch.load(file) - expected).abs().max().item()
    allowed = TOLERANCE * max(1.0, expected.abs().max().item())
    if not difference <= allowed:
        raise ModelError(
            f"the merged model loaded from {folder} answers differently than the one in memory (logits differ by "
            f"{difference:.2g}, of which rounding explains {allowed:.2g}); it was not put in place"
        )


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
