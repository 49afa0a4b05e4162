"""Write the adapter folder.

Knows the content of the folder (its file names are in `infer.model.adapter_folder`); does not know how the adapter was
trained.
"""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dataset.command_line import onetake_version
from dataset.files import write_text_atomically
from dataset.prompts import PROMPT_VERSION
from dataset.sample_file import write_samples
from infer.model.adapter_folder import ADAPTER_WEIGHTS, SAMPLES, TRAIN_SUMMARY, ProgressConfig
from infer.model.base_files import IMAGE_FILES, TOKENIZER_FILES, copy_base_files, split_revision
from infer.model.model import ProgressModel
from train.model_card import write_card
from train.peft_internals import name_base
from train.recipe import Recipe
from train.training_data import TrainingData

PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "av", "numpy")


def save_adapter(
    model: ProgressModel,
    folder: Path,
    recipe: Recipe,
    data: TrainingData,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write PEFT's adapter, the base's tokenizer and image files, window rule, pixels, prompt version and samples.

    The base has the name in the recipe (a hub id with its revision, or a relative path), not a path of this machine.

    Args:
        model: The trained model.
        folder: The adapter folder.
        recipe: The settings of the run.
        data: What it was trained on.
        weights: The gathered weights of the model, if each process holds a part of them (FSDP).
    """
    name_base(model.model, split_revision(recipe.model)[0], model.revision)
    model.model.save_pretrained(folder, state_dict=weights)
    (folder / ADAPTER_WEIGHTS).chmod(mode_of_new_files())  # safetensors lets only its owner read it
    write_base_files(model, folder)
    pixels = {"min_pixels": recipe.image.min_pixels, "max_pixels": recipe.image.max_pixels}
    ProgressConfig(
        recipe.data.window, **pixels, tasks=data.tasks, prompt_version=PROMPT_VERSION, base_digest=model.base_digest
    ).save(folder)
    write_samples(folder / SAMPLES, data.dataset, recipe.data.window, data.demonstrations)


def write_base_files(model: ProgressModel, folder: Path) -> None:
    """Write tokenizer, chat template and image processor as the base has them, with the pixel budget of the model.

    They are the base's own files: those that this version of transformers would write, earlier ones cannot read. A base
    that has none on this machine gets those.
    """
    if not copy_base_files(model.base_name, folder, TOKENIZER_FILES):
        model.tokenizer.save_pretrained(folder)
    if not copy_base_files(model.base_name, folder, IMAGE_FILES):
        model.image_processor.save_pretrained(folder)
    path = folder / IMAGE_FILES[0]
    if path.exists():
        least, most = model.pixel_budget
        document = json.loads(path.read_text(encoding="utf-8"))
        document["size"] = {"shortest_edge": least, "longest_edge": most}
        document |= {name: value for name, value in (("min_pixels", least), ("max_pixels", most)) if name in document}
        write_text_atomically(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def mode_of_new_files() -> int:
    """Return the permissions that this process gives new files; their mask can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def write_summary(folder: Path, recipe: Recipe, data: TrainingData, figures: dict[str, Any]) -> None:
    """Write the model card and, last of all, `train_summary.json`.

    Args:
        folder: The adapter folder, otherwise complete.
        recipe: The settings of the run.
        data: What it was trained on.
        figures: `seconds`, `steps`, `samples`, `mean_loss`, `base_revision`, `reload_logit_difference`, `evaluations`,
            `best_step` and other measurements.
    """
    summary = {
        **figures,
        "base_model": recipe.model,
        "prompt_version": PROMPT_VERSION,  # of prompt and answer
        "window": recipe.data.window.to_dict(),
        "data": data.sources,
        "versions": {"onetake": onetake_version(), **{package: version(package) for package in PACKAGES}},
    }
    write_card(folder, recipe, summary)
    write_text_atomically(folder / TRAIN_SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
