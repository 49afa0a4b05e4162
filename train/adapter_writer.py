"""Write the adapter folder, and check that it reloads.

Knows the content of the folder (its file names are in `infer.model.adapter_folder`); does not know how the adapter was
trained.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dataset.command_line import onetake_version
from dataset.files import write_text_atomically
from dataset.prompts import PROMPT_VERSION
from dataset.sample_file import VqaSample, write_samples
from infer.decoding.answers import answer_windows
from infer.model.adapter_folder import RELOAD_PARITY, SAMPLES, TRAIN_SUMMARY, ProgressConfig
from infer.model.base_files import split_revision
from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.model.source import ModelSource
from train.callbacks import base_checksums
from train.collate import WindowCollator
from train.model_card import write_card
from train.peft_internals import name_base
from train.recipe import Recipe
from train.training_data import TrainingData
from train.trl_internals import restore_forward

PARITY_TOLERANCE = 1e-4  # largest difference of a logit between the trained model and the one loaded from disk
PROBES = 4
PROBE_TOKENS = 64  # of each answer
PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "av", "numpy")


@dataclass(frozen=True)
class Probes:
    """The output of the trained model for a few fixed samples, to be compared with the reloaded model's.

    Args:
        inputs: Arguments of the forward pass, without labels.
        logits: Float tensor, shape (samples, length, vocabulary).
        answers: The first tokens of greedy answers as text, one per sample.
        samples: The samples.
    """

    inputs: dict[str, Any]
    logits: torch.Tensor
    answers: list[str]
    samples: list[VqaSample]


def save_adapter(
    model: ProgressModel,
    folder: Path,
    recipe: Recipe,
    data: TrainingData,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write PEFT's adapter, tokenizer, window rule, pixel budget, prompt version and samples.

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
    model.tokenizer.save_pretrained(folder)
    pixels = {"min_pixels": recipe.image.min_pixels, "max_pixels": recipe.image.max_pixels}
    ProgressConfig(
        recipe.data.window, **pixels, tasks=data.tasks, prompt_version=PROMPT_VERSION, base_digest=model.base_digest
    ).save(folder)
    write_samples(folder / SAMPLES, data.dataset, recipe.data.window, data.demonstrations)


@torch.no_grad()
def take_probes(model: ProgressModel, collator: WindowCollator, samples: Sequence[VqaSample]) -> Probes:
    """Run a few samples, evenly spread over the set, through the trained model."""
    chosen = [samples[round(i * (len(samples) - 1) / (PROBES - 1))] for i in range(PROBES)]
    inputs = collator([asdict(sample) for sample in chosen])
    inputs.pop("labels")
    return Probes(inputs, model.base(**inputs).logits.float(), _answers(model, collator, chosen), chosen)


@torch.no_grad()
def check_reload(
    trained: ProgressModel, base_before: dict[str, int], probes: Probes, collator: WindowCollator, folder: Path
) -> float:
    """Remove the adapter, check that the base is unchanged, load the adapter from the folder, compare outputs.

    Args:
        trained: The trained model; its base has no adapter afterwards.
        base_before: Checksums of the base's weights before training.
        probes: The output of the trained model.
        collator: Makes the same inputs again.
        folder: The adapter folder; the result is written into it.

    Returns:
        The largest difference of a logit.

    Raises:
        ModelError: The base changed, or the reloaded adapter answers differently.
    """
    base = bare_base(trained)
    if base_checksums(base.model) != base_before:
        raise ModelError("the weights of the base changed during training; the adapter was not put in place")
    reloaded = base.with_adapter(folder)
    difference = (probes.logits - reloaded.base(**probes.inputs).logits.float()).abs().max().item()
    answers = _answers(reloaded, WindowCollator(reloaded, collator.frames, collator.as_pixels), probes.samples)
    document = {
        "logit_difference": difference,
        "tolerance": PARITY_TOLERANCE,
        "probes": [
            {
                "video": Path(sample.video).name,
                "window_frame_indices": list(sample.window_frame_indices),
                "label": sample.progress,
                "trained": trained_answer,
                "reloaded": reloaded_answer,
            }
            for sample, trained_answer, reloaded_answer in zip(probes.samples, probes.answers, answers, strict=True)
        ],
    }
    write_text_atomically(folder / RELOAD_PARITY, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    bare_base(reloaded)
    if not difference <= PARITY_TOLERANCE or answers != probes.answers:
        raise ModelError(
            f"the adapter reloaded from {folder} answers differently than the trained model (logits differ by "
            f"{difference:.2g}); it was not put in place. Train in float32, or report this as a bug"
        )
    return difference


def check_gathered(weights: dict[str, torch.Tensor], folder: Path, base_name: str) -> None:
    """After sharded training: load the folder as inference does and compare every adapter weight, bit by bit.

    Args:
        weights: The trained model's weights, gathered.
        folder: The adapter folder; the result is written into it.
        base_name: The base.

    Raises:
        ModelError: A weight is missing or differs.
    """
    reloaded = dict(
        ProgressModel.load(ModelSource(base_name, torch_dtype="float32")).with_adapter(folder).model.named_parameters()
    )
    trained = {name: weight for name, weight in weights.items() if ".lora_" in name}
    differing = [
        name
        for name, weight in trained.items()
        if name not in reloaded or not torch.equal(reloaded[name].cpu().float(), weight.cpu().float())
    ]
    if differing or not trained:
        raise ModelError(
            f"{len(differing)} of {len(trained)} adapter weights reloaded from {folder} differ from the trained ones; "
            "it was not put in place"
        )
    document: dict[str, Any] = {"logit_difference": None, "equal_weights": len(trained), "probes": []}
    write_text_atomically(folder / RELOAD_PARITY, json.dumps(document, indent=2) + "\n")


def bare_base(model: ProgressModel) -> ProgressModel:
    """Remove the adapter and the changes that the trainer made; return the base as it was loaded."""
    base = model.model.unload() if model.has_adapter else model.model
    restore_forward(base)
    return ProgressModel(base.eval(), model.tokenizer, model.image_processor, model.base_name)


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


def _answers(model: ProgressModel, collator: WindowCollator, samples: Sequence[VqaSample]) -> list[str]:
    """Return the first tokens of greedy answers as text, one sample at a time: prompts may differ."""
    answers = []
    for sample in samples:
        window = [collator.frames[sample.video, index] for index in sample.window_frame_indices]
        if collator.as_pixels:
            pixels = torch.cat([frame.values[0] for frame in window])
            features = model.encode_pixels(pixels, torch.tensor([frame.grid_thw for frame in window]))
        else:
            features = [frame.features(model.device) for frame in window]
        answers += answer_windows(model, [features], sample.prompt, PROBE_TOKENS)
    return answers
