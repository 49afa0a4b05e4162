"""Which model this is, by content: a digest of the base's weights and one of the adapter's.

Knows weights; does not know names or folders, which can change without the model.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from infer.model.adapter_folder import ADAPTER_WEIGHTS
from infer.model.base_files import base_digest
from infer.model.errors import ModelError
from infer.model.source import ModelSource

Identity = dict[str, Any]  # "base" and "adapter" (None: no adapter, or a base whose files are not here), and their use


def identity_in_memory(model: Any) -> Identity:
    """Return the identity of a loaded `infer.model.model.ProgressModel` with its active adapter."""
    adapter = None
    if model.has_adapter and model.progress_config is not None:
        digest = hashlib.sha256()
        for name, weight in sorted(model.model.named_parameters()):
            if ".lora_" in name and f".{model.model.active_adapter}." in f"{name}.":
                digest.update(name.replace(f".{model.model.active_adapter}", "").encode())
                digest.update(weight.detach().float().cpu().contiguous().numpy().data)
        adapter = digest.hexdigest()[:32]
    dtype = str(model.base.dtype).removeprefix("torch.")
    return {"base": model.base_digest, "adapter": adapter, "pixels": list(model.pixel_budget), "torch_dtype": dtype}


def identity_of_files(source: ModelSource) -> Identity:
    """Return the identity of a model that another process has loaded, from its files.

    An adapter has another digest here than in memory, since a file holds more than weights.
    """
    base_name, _ = source.check_folder()
    adapter = None
    if source.use_lora:
        adapter = hashlib.sha256((Path(source.model_path) / ADAPTER_WEIGHTS).read_bytes()).hexdigest()[:32]
    try:
        return {"base": base_digest(base_name), "adapter": adapter}
    except ModelError:
        return {"base": None, "adapter": adapter}
