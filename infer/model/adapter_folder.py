"""What an adapter folder says about itself: its base model, its window rule and pixels, which layers it changes.

Knows the files of the folder; does not know torch, videos or answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from dataset.window import WindowSpec
from infer.model.errors import ModelError

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PROGRESS_CONFIG = "progress_config.json"  # the window rule, the pixels and the prompt that an adapter was trained with


@dataclass(frozen=True)
class ProgressConfig:
    """How an adapter was trained, as far as inference must do the same; saved beside the adapter.

    Args:
        window: The window rule.
        min_pixels, max_pixels: Pixel budget of one image; None leaves the base model's own.
        task: Task texts of the training demonstrations.
        prompt_version: `dataset.prompts.PROMPT_VERSION` at training time.
    """

    window: WindowSpec
    min_pixels: int | None
    max_pixels: int | None
    tasks: tuple[str, ...]
    prompt_version: int

    def save(self, folder: str | Path) -> None:
        """Write `progress_config.json` into an adapter folder."""
        document = {
            "window": self.window.to_dict(),
            "min_pixels": self.min_pixels,
            "max_pixels": self.max_pixels,
            "tasks": list(self.tasks),
            "prompt_version": self.prompt_version,
        }
        (Path(folder) / PROGRESS_CONFIG).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: str | Path) -> ProgressConfig:
        """Read it from an adapter folder; ModelError when it is missing or damaged."""
        path = Path(folder) / PROGRESS_CONFIG
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                window=WindowSpec(**document["window"]),
                min_pixels=document["min_pixels"],
                max_pixels=document["max_pixels"],
                tasks=tuple(document["tasks"]),
                prompt_version=document["prompt_version"],
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
    """Return the base that an adapter names, with its `@revision`; ModelError when the folder is none or names none."""
    path = Path(folder) / ADAPTER_CONFIG
    if not path.exists():
        hint = (
            "it is a base model; leave --use_lora out"
            if (Path(folder) / "config.json").exists()
            else "name the folder that `python -m train` wrote"
        )
        raise ModelError(f"{folder} holds no LoRA adapter ({ADAPTER_CONFIG} is missing); {hint}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error}); restore it or train the adapter again") from None
    base_name, revision = document.get("base_model_name_or_path"), document.get("revision")
    if not base_name:
        raise ModelError(f"{path} names no base model; give one with --base_model")
    return f"{base_name}@{revision}" if revision else base_name


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
