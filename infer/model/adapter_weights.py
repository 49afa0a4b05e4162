"""Put an adapter on a base, and refuse one that does not fit: keys, shapes, or weights that change nothing.

Knows PEFT. Does not know which base it is, or how the adapter was trained.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file

from infer.model.adapter_folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS, kind_of_adapter
from infer.model.errors import ModelError

NAMED_KEYS = 3  # of those that do not fit, in the message


def put_adapter(model: Any, folder: str | Path, name: str, as_saved: bool = False) -> PeftModel:
    """Put the adapter of a folder on a model, beside those that are on it; return the model with it.

    Args:
        model: A transformers model, or a `PeftModel` with other adapters.
        folder: The adapter folder.
        name: Name of the adapter in memory.
        as_saved: Keep the number type of the file, for training and merging. Else it takes that of a base in bfloat16
            or float16: in float32, as PEFT has it, every layer would convert its input there and back.

    Raises:
        ModelError: Its weights are not those that its configuration stands for on this base, or they change nothing.
            The model is left as it was.
    """
    kind = kind_of_adapter(folder)
    if kind != "LORA":
        raise ModelError(
            f"{Path(folder) / ADAPTER_CONFIG} is of the kind {kind}; only LORA can be used, train it again"
        )
    weights = load_file(Path(folder) / ADAPTER_WEIGHTS)
    others = isinstance(model, PeftModel)
    device = str(next(model.parameters()).device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # PEFT uses its old name
        for reported in ("Found missing adapter keys", "Some weights of PeftModel were not initialized"):
            warnings.filterwarnings("ignore", message=reported)  # an error of ours says it
        try:
            if others:
                model.load_adapter(str(folder), name, torch_device=device, ignore_mismatched_sizes=True)
                adapted = model
            else:
                adapted = PeftModel.from_pretrained(model, str(folder), name, ignore_mismatched_sizes=True)
        except ValueError as error:
            if not others:  # PEFT leaves it there
                vars(model).pop("peft_config", None)
            raise ModelError(
                f"adapter {folder} does not fit the base ({str(error).splitlines()[0][:300]}); give the base that it "
                "was trained on with --base_model"
            ) from error
    problem = difference(weights, expected_weights(adapted, name, weights)) or nothing_changed(weights)
    if problem:
        if others:
            adapted.delete_adapter(name)
        else:
            adapted.unload()
        raise ModelError(f"adapter {folder} {problem}")
    if as_saved:
        types = {weight.dtype for weight in weights.values()}
        if len(types) == 1:
            for key, parameter in adapted.named_parameters():
                if ".lora_" in key and f".{name}" in key:
                    parameter.data = parameter.data.to(*types)
    elif (base_type := adapted.get_base_model().dtype) in (torch.bfloat16, torch.float16):
        for key, parameter in adapted.named_parameters():
            if ".lora_" in key and f".{name}" in key:
                parameter.data = parameter.data.to(base_type)
    return adapted.to(device)


def expected_weights(model: PeftModel, name: str, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights that PEFT would save for an adapter in memory; embeddings too, if the file has them."""
    embeddings = any(".lora_" not in key and ("embed_tokens" in key or "lm_head" in key) for key in weights)
    return get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=embeddings)


def difference(weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> str | None:
    """Say how an adapter's file differs from what its configuration stands for on this base; None where it fits."""
    shapes = [
        f"{key} is {tuple(weights[key].shape)} and not {tuple(weight.shape)}"
        for key, weight in expected.items()
        if key in weights and weights[key].shape != weight.shape
    ]
    problems = [
        f"{len(keys)} weights {what} ({', '.join(keys[:NAMED_KEYS])}{', ...' if len(keys) > NAMED_KEYS else ''})"
        for keys, what in (
            (sorted(expected.keys() - weights.keys()), "are missing"),
            (shapes, "have another shape"),
            (sorted(weights.keys() - expected.keys()), "belong to no layer of the base"),
        )
        if keys
    ]
    if not problems:
        return None
    return (
        f"does not fit its {ADAPTER_CONFIG} on this base: {'; '.join(problems)}. Copy the whole folder again, or give "
        "the base that it was trained on with --base_model"
    )


def nothing_changed(weights: Mapping[str, torch.Tensor]) -> str | None:
    """Say that an adapter answers as the base does, as one of each pair of its matrices is zero; None where it acts."""
    dead = {key for key, weight in weights.items() if "lora_" in key and not weight.any()}
    for key in weights:
        pair = {key, key.replace("lora_A", "lora_B"), key.replace("embedding_A", "embedding_B")}
        if ("lora_A" in key or "embedding_A" in key) and len(pair) == 2 and not pair & dead:
            return None
        if "lora_" not in key or "magnitude" in key or "bias" in key:  # DoRA, LoRA biases, whole modules
            return None
    return (
        "changes nothing: of each pair of its matrices one is zero, so it would answer as the base does. It was not "
        "trained, or the file is damaged; train it again or copy the whole folder again"
    )
