"""The configurations of PEFT and TRL, built from a recipe; keys that cannot work are refused by name.

Knows `LoraConfig` and `SFTConfig`; does not know samples or the model.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from trl import SFTConfig

from dataset.recipe import unknown_key
from train.field_types import check_types
from train.recipe import SMALLER_IS_BETTER, Recipe
from train.trl_internals import use_one_gpu

LANGUAGE_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")  # names that the vision tower does not use

FORCED = {  # a recipe cannot set these: the collator uses the columns of the samples and moves tensors itself
    "remove_unused_columns": False,
    "dataset_kwargs": {"skip_prepare_dataset": True},
    "dataloader_pin_memory": False,
    "dataloader_num_workers": 0,
    "packing": False,
    "auto_find_batch_size": False,
}
POSITIVE = {  # zero or less in one of these teaches nothing, or fails late
    "lora": ("r", "lora_alpha"),
    "sft": ("learning_rate", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps"),
}
# the section `evaluation` decides these
TAKEN = ("eval_strategy", "eval_steps", "eval_on_start", "metric_for_best_model", "load_best_model_at_end")


def build_configs(recipe: Recipe, folder: Path) -> tuple[LoraConfig, SFTConfig]:
    """Build both configurations; an unknown key is refused with the nearest one.

    Args:
        recipe: The run.
        folder: For checkpoints and logs during the run.
    """
    for section, config in (("lora", LoraConfig), ("sft", SFTConfig)):
        names = {item.name for item in fields(config)}
        for key in getattr(recipe, section):
            if key not in names:
                raise ValueError(unknown_key(f"{section}.{key}", key, names))
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*deprecated")  # TRL's own use of its old name
    lora = {"target_modules": list(LANGUAGE_TARGETS), **check_types("lora", recipe.lora, LoraConfig)}
    values = check_types("sft", recipe.sft, SFTConfig)
    _check_ranges({"lora": lora, "sft": values})
    sft = {
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "logging_nan_inf_filter": False,
        "use_cpu": not torch.cuda.is_available(),  # several processes on a CPU need it to find each other
        "run_name": _run_name(Path(recipe.sft["output_dir"])),
        **values,
        **_forced(recipe, folder),
        **_evaluation(recipe),
    }
    if sft.get("save_strategy", "steps") != "no":
        sft["save_total_limit"] = max(2, sft.get("save_total_limit") or 2)  # one may be incomplete
    _choose_reports(sft)
    try:
        lora_config, sft_config = LoraConfig(task_type="CAUSAL_LM", **lora), SFTConfig(**sft)
    except (TypeError, ValueError) as error:
        raise ValueError(f"recipe: {error}") from error
    use_one_gpu(sft_config)
    return lora_config, sft_config


def _check_ranges(sections: dict[str, dict[str, Any]]) -> None:
    """Refuse values that would train nothing or fail after the frames are prepared."""
    for section, keys in POSITIVE.items():
        for key in keys:
            value = sections[section].get(key)
            if value is not None and value <= 0:
                raise ValueError(f"recipe: `{section}.{key}` is {value}; it must be above 0")
    if "lm_head" in (sections["lora"]["target_modules"] or ()):
        raise ValueError(
            "recipe: lora.target_modules names lm_head, which cannot learn here: the loss uses its weights directly "
            "and never runs an adapter on it; take it out"
        )
    if sections["sft"].get("max_steps") == 0:
        raise ValueError(
            "recipe: `sft.max_steps` is 0; use 1 or more, or leave it out to train by sft.num_train_epochs"
        )


def _forced(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Return the keys that a recipe cannot set, and those that depend on the run."""
    for key, value in FORCED.items():
        if recipe.sft.get(key, value) != value:
            raise ValueError(f"recipe: `sft.{key}` is {recipe.sft[key]!r}; it must be {value!r} here, leave it out")
    sharded = recipe.sft.get("fsdp") or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if sharded and not torch.cuda.is_available():
        raise ValueError("recipe: sft.fsdp needs GPUs (accelerate would train unsharded here); leave it out on CPUs")
    if sharded and recipe.evaluation.wanted:
        raise ValueError(
            "recipe: `evaluation` is set together with FSDP, under which a model can't write answers; leave one out "
            "(plain `torchrun` without FSDP evaluates)"
        )
    # a sample above sft.max_length is an error of ours before the first step; TRL would cut its image tokens
    return {**FORCED, "max_length": None, "output_dir": str(folder)}


def _evaluation(recipe: Recipe) -> dict[str, Any]:
    """Return the trainer's side of the `evaluation` section."""
    for key in TAKEN:
        if key in recipe.sft:
            raise ValueError(
                f"recipe: `sft.{key}` is set; use the section `evaluation` (every_steps, metric, patience)"
            )
    section = recipe.evaluation
    if not section.wanted:
        return {}
    return {
        "eval_strategy": "steps",
        "eval_steps": section.every_steps,
        "eval_on_start": True,
        "save_strategy": "steps",
        "save_steps": section.every_steps,
        "metric_for_best_model": section.metric,
        "greater_is_better": section.metric not in SMALLER_IS_BETTER,
        "load_best_model_at_end": True,
        "restore_callback_states_from_checkpoint": True,  # the count of early stopping
    }


def _run_name(output: Path) -> str:
    """Name the run after its folder: runs/drawer/adapter is "drawer"."""
    return output.parent.name if output.name == "adapter" and output.parent.name else output.name


def _choose_reports(sft: dict[str, Any]) -> None:
    """Make wandb work without a login; refuse a report whose package is missing."""
    chosen = sft.setdefault("report_to", "none")
    names = [chosen] if isinstance(chosen, str) else list(chosen)
    if "tensorboard" in names and not (find_spec("tensorboard") or find_spec("tensorboardX")):
        raise ValueError("recipe: sft.report_to is tensorboard, which is not installed; `pip install tensorboardX`")
    if "wandb" not in names:
        return
    os.environ.setdefault("WANDB_PROJECT", "onetake")
    if not os.environ.get("WANDB_API_KEY") and not _wandb_login():
        os.environ.setdefault("WANDB_MODE", "offline")
    if os.environ.get("WANDB_MODE") == "offline":
        where = Path(os.environ.get("WANDB_DIR", "."), "wandb").resolve()
        print(f"wandb without a login: logging offline to {where} (upload later with `wandb sync`)")


def _wandb_login() -> bool:
    import netrc

    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
