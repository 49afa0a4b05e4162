"""The probe of an adapter, asked at a server: is the adapter active there?

Knows the probe of an adapter folder and how an engine is asked; does not know HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from infer.decoding.settings import Decoding
from infer.model.errors import ModelError
from infer.model.reload_probe import PROBE_TOKENS, read_probe


class AskedEngine(Protocol):
    """An engine whose model is on a server; see `infer.vllm.client.VllmEngine`."""

    server: str
    name: str

    def picture(self, frame: np.ndarray) -> str: ...

    def answer(self, windows: Sequence[Sequence[str]], prompt: str, decoding: Decoding) -> list[str]: ...


def refuse_inactive_adapter(engine: AskedEngine, folder: str | Path) -> None:
    """Ask the probe of an adapter folder; say where there is none.

    Raises:
        ModelError: The answer is nearer to the base's than to the adapter's.
    """
    probe = read_probe(folder)
    if probe is None:
        print(
            f"warning: adapter {folder} has no probe (version 0.1 and FSDP write none), so whether the server "
            f"{engine.server} answers with it is not checked"
        )
        return
    pictures = [engine.picture(frame) for frame in probe.frames]
    (answer,) = engine.answer([pictures], probe.prompt, Decoding(max_new_tokens=PROBE_TOKENS))
    if not probe.is_of_adapter(answer):
        raise ModelError(
            f'the server {engine.server} answers the probe of the adapter as the base does ("{answer[:80]}"), so '
            f'"{engine.name}" there is not {folder}; start it with `python -m infer.vllm --use_lora` and this '
            "folder, or name the adapter with --server_model"
        )
