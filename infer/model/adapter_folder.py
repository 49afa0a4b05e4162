"""The adapter folder: the names of its files and everything that is read from them. Imports no torch.

`python -m train` writes the folder; inference, reports and vLLM read it. All of them take names and readers from here.
Does not know how the files come about, nor videos or answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dataset.window import WindowSpec
from infer.model.errors import ModelError

ADAPTER_CONFIG = "adapter_config.json"  # PEFT's: rank, layers, base
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PROGRESS_CONFIG = "progress_config.json"  # window rule, pixels and prompt of the training; a merged model has it, too
RECIPE = "recipe.yaml"  # the recipe of the run, complete
INPUTS = "inputs.json"  # digests of all that the run read (`train.run_inputs`), so that it is resumed on the same
SAMPLES = "samples.jsonl"  # what was trained on; beside it its `dataset.sample_file.meta_path`
TRAINING_LOG = "training_log.jsonl"
CURVES = "curves.png"  # loss and metrics over the steps
HELD_OUT = "held_out.png"  # the last evaluation's predictions against the labels
EVALUATIONS = "evaluations"  # a folder: per evaluation its predictions and `HELD_OUT`
WANDB_ID = "wandb_run_id"  # of the wandb run that the training reported to; only with `sft.report_to: wandb`
RELOAD_PARITY = "reload_parity.json"  # the trained model against the one loaded from this folder
PROBE_PICTURES = "probe"  # a folder: the pictures of one of its questions, which other engines are asked
MODEL_CARD = "README.md"
TRAIN_SUMMARY = "train_summary.json"  # written last: a folder that holds it is complete


@dataclass(frozen=True)
class ProgressConfig:
    """How an adapter was trained, as far as inference must do the same.

    Args:
        window: The window rule.
        min_pixels, max_pixels: Pixel budget of one image; None leaves the base model's own.
        tasks: Task texts of the training demonstrations.
        prompt_version: `dataset.prompts.PROMPT_VERSION` at training time.
        base_digest: `infer.model.base_files.base_digest` of the base; None where it is unknown.
    """

    window: WindowSpec
    min_pixels: int | None
    max_pixels: int | None
    tasks: tuple[str, ...]
    prompt_version: int
    base_digest: str | None = None

    def save(self, folder: str | Path) -> None:
        """Write `progress_config.json` into an adapter folder."""
        document = {
            "window": self.window.to_dict(),
            "min_pixels": self.min_pixels,
            "max_pixels": self.max_pixels,
            "tasks": list(self.tasks),
            "prompt_version": self.prompt_version,
            "base_digest": self.base_digest,
        }
        (Path(folder) / PROGRESS_CONFIG).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: str | Path) -> ProgressConfig:
        """Read it from an adapter folder or a merged model; ModelError when it is missing or damaged."""
        path = Path(folder) / PROGRESS_CONFIG
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                window=WindowSpec(**document["window"]),
                min_pixels=document["min_pixels"],
                max_pixels=document["max_pixels"],
                tasks=tuple(document["tasks"]),
                prompt_version=document["prompt_version"],
                base_digest=document.get("base_digest"),  # version 0.1 wrote none
            )
        except FileNotFoundError:
            raise ModelError(
                f"adapter {folder} has no {PROGRESS_CONFIG}, so its window rule is unknown; use a folder that "
                "`python -m train` wrote"
            ) from None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path} is damaged ({error}); train the adapter again or restore the file") from None


def is_adapter(folder: str | Path) -> bool:
    """Tell whether a folder holds a LoRA adapter."""
    return (Path(folder) / ADAPTER_CONFIG).exists()


def base_of_adapter(folder: str | Path) -> str:
    """Return the base that an adapter names, with its `@revision`.

    Raises:
        ModelError: The folder holds no adapter, is damaged, or names no base.
    """
    document = _read_adapter_config(folder)
    base_name, revision = document.get("base_model_name_or_path"), document.get("revision")
    if not base_name:
        raise ModelError(f"{Path(folder) / ADAPTER_CONFIG} names no base model; give one with --base_model")
    return f"{base_name}@{revision}" if revision else base_name


def kind_of_adapter(folder: str | Path) -> str | None:
    """Return PEFT's name of an adapter's kind, "LORA"; None where the folder does not name one."""
    return _read_adapter_config(folder).get("peft_type")


def rank_of_adapter(folder: str | Path) -> int | None:
    """Return the rank of an adapter's LoRA matrices; None where the folder does not name one."""
    return _read_adapter_config(folder).get("r")


def _read_adapter_config(folder: str | Path) -> dict[str, Any]:
    path = Path(folder) / ADAPTER_CONFIG
    if not path.exists():
        hint = (
            "it is a base model; leave --use_lora out"
            if (Path(folder) / "config.json").exists()
            else "name the folder that `python -m train` wrote"
        )
        raise ModelError(f"{folder} holds no LoRA adapter ({ADAPTER_CONFIG} is missing); {hint}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error}); restore it or train the adapter again") from None


def read_train_summary(folder: str | Path) -> dict[str, Any]:
    """Return seconds, steps, samples and data of the training run; ModelError when they cannot be read."""
    path = Path(folder) / TRAIN_SUMMARY
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ModelError(
            f"{path} cannot be read ({error}); use an adapter folder that `python -m train` wrote"
        ) from None


def read_recipe_document(folder: str | Path) -> dict[str, Any]:
    """Return the recipe of the training run as plain YAML; empty where the folder has none.

    Raises:
        ModelError: The file is damaged.
    """
    path = Path(folder) / RECIPE
    if not path.exists():
        return {}
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ModelError(f"{path} is damaged ({error}); restore it or train the adapter again") from None


def refuse_vision_adapter(folder: str | Path) -> None:
    """Refuse an adapter that changes the vision tower: features of a frame are shared by base and all adapters."""
    from safetensors import SafetensorError, safe_open

    path = Path(folder) / ADAPTER_WEIGHTS
    try:
        with safe_open(path, framework="numpy") as weights:
            visual = [name for name in weights.keys() if ".visual." in name]  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({error}); copy the whole folder again") from None
    if visual:
        raise ModelError(
            f"adapter {folder} changes the vision tower ({visual[0]}), but frames are encoded once for base and all "
            "adapters, and vLLM would ignore those weights; merge it (`python -m train.merge`) and use the merged "
            "model, without --use_lora"
        )
