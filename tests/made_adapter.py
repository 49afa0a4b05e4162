"""Adapter folders with random weights: what `python -m train` writes, without the training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from material import NANO
from peft import LoraConfig, get_peft_model
from transformers import Qwen3VLForConditionalGeneration

from dataset.window import WindowSpec
from infer.model.adapter_folder import ProgressConfig
from infer.model.base_files import base_digest

TEXT_LAYERS = ("q_proj", "v_proj", "up_proj")


def make_adapter(
    folder: Path,
    seed: int,
    window: WindowSpec,
    max_pixels: int | None = None,
    targets: Sequence[str] = TEXT_LAYERS,
    task: str = "t",
) -> str:
    """Write an adapter with random weights, as `python -m train` would."""
    torch.manual_seed(seed)
    model = get_peft_model(
        Qwen3VLForConditionalGeneration.from_pretrained(NANO),
        LoraConfig(r=4, lora_alpha=8, target_modules=list(targets)),
    )
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    model.peft_config["default"].base_model_name_or_path = str(NANO)
    model.save_pretrained(folder)
    ProgressConfig(window, None, max_pixels, (task,), 1, base_digest(str(NANO))).save(folder)
    return str(folder)
