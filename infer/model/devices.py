"""Where a model runs and in which number type: device, dtype, attention, 4-bit weights.

Knows torch's devices; does not know which model it is.
"""

from __future__ import annotations

from typing import Any

import torch

from infer.model.errors import ModelError


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have, before weights are read."""
    try:
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:  # torch raises either, by device
        raise ModelError(f'device "{device}" cannot be used ({error}); leave --device out or use cpu') from None


def best_device() -> str:
    """Return the fastest device of this machine: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_attention(device: str, dtype: torch.dtype) -> str:
    """Return FlashAttention 2 where it is installed and can be used, else torch's own attention."""
    from transformers.utils import is_flash_attn_2_available

    usable = device.startswith("cuda") and dtype in (torch.float16, torch.bfloat16) and is_flash_attn_2_available()
    return "flash_attention_2" if usable else "sdpa"


def resolve_dtype(torch_dtype: str, device: str) -> torch.dtype:
    """Return the number type that `ModelSource` names; "auto" is bfloat16 on a GPU that has it, else float32."""
    if torch_dtype == "auto":
        return torch.bfloat16 if device.startswith("cuda") and torch.cuda.is_bf16_supported() else torch.float32
    return getattr(torch, torch_dtype)


def allow_tf32(device: str, dtype: torch.dtype) -> None:
    """Let an NVIDIA GPU use TF32 for what remains in float32 of a model in bfloat16 or float16 (adapters in training).

    A model that is wanted in float32 keeps exact products.
    """
    if device.startswith("cuda") and dtype != torch.float32:
        torch.set_float32_matmul_precision("high")


def four_bits(device: str, dtype: torch.dtype) -> dict[str, Any]:
    """Return what `from_pretrained` needs for a base in 4 bits (NF4, double quantization, as in QLoRA)."""
    from importlib.util import find_spec

    if not device.startswith("cuda"):
        raise ModelError(f"load_in_4bit is set, but the device is {device}; 4 bits need an NVIDIA GPU, leave it out")
    if find_spec("bitsandbytes") is None:
        raise ModelError("load_in_4bit needs the package bitsandbytes; `pip install bitsandbytes`, or leave it out")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=["visual", "lm_head"],
    )
    return {"quantization_config": config, "device_map": {"": device}}
