"""Adapt a base model to annotated demonstrations: recipe in, adapter folder out. The main path reads top to bottom.

    python -m train --config recipes/nano.yaml data.annotations=[data/demo.json] sft.output_dir=runs/demo/adapter

Knows PEFT and TRL. Does not know how samples are made (`dataset.samples`) or answers are decoded (`infer`).
"""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from dataset.annotation import write_text_atomically
from dataset.check import check_demonstrations
from dataset.prompts import PROMPT_VERSION
from dataset.recipe import unknown_key
from dataset.samples import (
    Demonstration,
    VqaSample,
    build_sample_set,
    read_demonstrations,
    read_samples,
    write_samples,
)
from infer.errors import ModelError
from infer.model import ProgressConfig, ProgressModel
from train.collate import WindowCollator, encode_sample_frames
from train.recipe import Recipe, save_recipe

TRAIN_SUMMARY = "train_summary.json"
PARITY_TOLERANCE = 1e-4  # largest difference of a logit between the trained model and the one loaded from disk


def train_lora(recipe: Recipe, overwrite: bool = False) -> Path:
    """Train a LoRA adapter and write it, complete, to `recipe.sft["output_dir"]`.

    The folder appears in one step at the end: a run that fails or is stopped leaves an earlier adapter as it was.

    Args:
        recipe: The run.
        overwrite: Replace an adapter folder that exists.

    Returns:
        The adapter folder.

    Raises:
        ValueError: The recipe, a demonstration or the base model cannot be used; or the folder exists already.
    """
    started = time.monotonic()
    output = Path(recipe.sft["output_dir"])
    if output.exists() and not overwrite:
        raise ValueError(f"{output} exists already; choose another sft.output_dir, or add --overwrite to replace it")
    partial = output.with_name(output.name + ".partial")
    lora_config, sft_config = _configs(recipe, partial)
    demonstrations, samples, tasks = _prepare_samples(recipe)
    dtype = "bfloat16" if sft_config.bf16 else "float16" if sft_config.fp16 else "float32"
    pixels = {"min_pixels": recipe.image.min_pixels, "max_pixels": recipe.image.max_pixels}
    model = ProgressModel.load(recipe.model, torch_dtype=dtype, **pixels)
    collator = WindowCollator(model, encode_sample_frames(model, samples))

    with _in_place_when_complete(partial, output):
        trainer = _make_trainer(model, samples, collator, lora_config, sft_config)
        model.model = trainer.model
        result = trainer.train()
        model.model.eval()

        _set_base_name(model, recipe.model)
        model.model.save_pretrained(partial)
        model.tokenizer.save_pretrained(partial)
        ProgressConfig(recipe.data.window, **pixels, tasks=tasks, prompt_version=PROMPT_VERSION).save(partial)
        save_recipe(partial / "recipe.yaml", recipe)
        if demonstrations:
            write_samples(partial / "samples.jsonl", samples, recipe.data.window, demonstrations)
        log = "".join(json.dumps(row) + "\n" for row in trainer.state.log_history)
        write_text_atomically(partial / "training_log.jsonl", log)
        difference = _reload_difference(model, collator, samples, partial, dtype)
        summary = {
            "seconds": round(time.monotonic() - started, 1),
            "steps": result.global_step,
            "samples": len(samples),
            "mean_loss": round(result.training_loss, 4),
            "base_model": recipe.model,
            "reload_logit_difference": difference,
        }
        write_text_atomically(partial / TRAIN_SUMMARY, json.dumps(summary, indent=2) + "\n")
    return output


@contextmanager
def _in_place_when_complete(partial: Path, output: Path) -> Iterator[None]:
    """Make an empty folder to fill; swap it in at the end, or remove it on an error and leave the earlier one alone."""
    earlier = output.with_name(output.name + ".earlier")
    for leftover in (partial, earlier):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if output.exists():
        output.rename(earlier)
    partial.rename(output)
    shutil.rmtree(earlier, ignore_errors=True)


def _configs(recipe: Recipe, partial: Path) -> tuple[Any, Any]:
    """Build PEFT's and TRL's own configurations; an unknown key is refused with the nearest one."""
    from peft import LoraConfig
    from trl import SFTConfig

    for section, known in (("lora", LoraConfig), ("sft", SFTConfig)):
        names = {item.name for item in fields(known)}
        for key in getattr(recipe, section):
            if key not in names:
                raise ValueError(unknown_key(f"{section}.{key}", key, names))
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*deprecated")  # TRL's own use of its old name
    forced = {
        "output_dir": str(partial),
        "remove_unused_columns": False,  # the collator reads the samples' own columns
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "dataloader_pin_memory": False,  # the collator's tensors are on the device already
        "max_length": None,  # cutting a sample would cut image tokens
    }
    for key, value in forced.items():
        if key != "output_dir" and recipe.sft.get(key, value) != value:
            raise ValueError(f"recipe: `sft.{key}` is {recipe.sft[key]!r}; it must be {value!r} here, leave it out")
    if "wandb" in str(recipe.sft.get("report_to")) and not os.environ.get("WANDB_API_KEY") and not _wandb_login():
        os.environ.setdefault("WANDB_MODE", "offline")
        print(f"no wandb login: logging offline to {Path('wandb').resolve()} (upload later with `wandb sync`)")
    try:
        return LoraConfig(task_type="CAUSAL_LM", **recipe.lora), SFTConfig(**{**recipe.sft, **forced})
    except (TypeError, ValueError) as error:
        raise ValueError(f"recipe: {error}") from error


def _wandb_login() -> bool:
    import netrc

    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _prepare_samples(recipe: Recipe) -> tuple[list[Demonstration], list[VqaSample], tuple[str, ...]]:
    """Read the samples that the recipe names, or make them from its annotations; returns the task texts as well."""
    if recipe.data.samples:
        samples, window, tasks = read_samples(recipe.data.samples)
        if window != recipe.data.window:
            raise ValueError(
                f"recipe: data.window is {recipe.data.window.to_dict()}, but {recipe.data.samples} was made with "
                f"{window.to_dict()}; make the samples again with this recipe"
            )
        return [], samples, tasks
    demonstrations = read_demonstrations(recipe.data.annotations)
    for finding in check_demonstrations(demonstrations):
        print(f"{finding.level}: {finding.where}: {finding.message}")
    samples = build_sample_set(demonstrations, recipe.data.window, recipe.data.sampling, recipe.data.labels)
    return demonstrations, samples, tuple(dict.fromkeys(d.annotation.task for d in demonstrations))


def _make_trainer(
    model: ProgressModel, samples: Sequence[VqaSample], collator: WindowCollator, lora_config: Any, sft_config: Any
):
    """Wrap the base with the adapter and build the trainer; only the adapter's weights may learn."""
    from datasets import Dataset
    from trl import SFTTrainer

    trainer = SFTTrainer(
        model=model.model,
        args=sft_config,
        train_dataset=Dataset.from_list([asdict(sample) for sample in samples]),
        processing_class=model.tokenizer,
        data_collator=collator,
        peft_config=lora_config,
    )
    learning = [name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad]
    visual = [name for name in learning if ".visual." in name]
    if visual:
        raise ValueError(
            f"recipe: lora.target_modules reaches the vision tower ({visual[0]}), but frames are encoded once with it "
            "frozen; target the language model only (q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj)"
        )
    return trainer


def _set_base_name(model: ProgressModel, name: str) -> None:
    """Name the base in the adapter as the recipe does: a hub id or a relative path, not a path of this machine."""
    for config in model.model.peft_config.values():
        config.base_model_name_or_path = name


@torch.no_grad()
def _reload_difference(
    model: ProgressModel, collator: WindowCollator, samples: Sequence[VqaSample], folder: Path, dtype: str
) -> float:
    """Load the folder as inference will and compare logits on a few samples; refuse an adapter that reads otherwise."""
    probes = [asdict(samples[round(i * (len(samples) - 1) / 3)]) for i in range(4)]
    inputs = collator(probes)
    inputs.pop("labels")
    reloaded = ProgressModel.load(str(folder), use_lora=True, base_model=model.base_name, torch_dtype=dtype)
    difference = (model.model(**inputs).logits - reloaded.model(**inputs).logits).abs().max().item()
    if not difference <= PARITY_TOLERANCE:
        raise ModelError(
            f"the adapter reloaded from {folder} answers differently than the trained model (logits differ by "
            f"{difference:.2g}); it was not put in place. Train in float32, or report this as a bug"
        )
    return difference
