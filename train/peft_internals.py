"""The private parts of PEFT that training uses, all of them here. Checked against peft 0.21.2.

A new version is checked by the tests named below.
"""

from __future__ import annotations

from typing import Any

import torch

from infer.model.errors import ModelError


def name_base(model: Any, base_name: str, revision: str | None) -> None:
    """Set how `adapter_config.json` names the base, and make the file the same for the same run.

    peft 0.21.2: `PeftModel.peft_config` holds the configurations that `save_pretrained` writes; it turns the list of
    target modules into a set, whose order changes. tests/test_end_to_end.py reads the file.
    """
    for config in model.peft_config.values():
        config.base_model_name_or_path, config.revision = base_name, revision
        if isinstance(config.target_modules, set):
            config.target_modules = sorted(config.target_modules)


def explain_unmatched_targets(error: ValueError, model: torch.nn.Module, targets: Any) -> ValueError:
    """Turn PEFT's error about targets that match no module into one that lists the modules; others keep their reason.

    peft 0.21.2: the error has no class of its own, only a text. tests/train/test_lora.py asks for a wrong target.
    """
    text = str(error)
    if not any(sign in text for sign in ("not found in the base model", "No modules were targeted")):
        return error if "target_modules" not in text else ModelError(f"recipe: lora.target_modules = {targets}: {text}")
    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and ".visual." not in f".{name}."
    }
    return ModelError(
        f"recipe: lora.target_modules = {targets} matches no module of the base; the language model has "
        f"{', '.join(sorted(linear))}"
    )
