"""The probe of an adapter folder: one question with its pictures, and what adapter and base answer to it.

Training writes it; an engine that has the model in another process asks it, to learn whether the adapter is active
there. Knows files and texts; loads no model.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infer.model.adapter_folder import PROBE_PICTURES, RELOAD_PARITY
from infer.model.errors import ModelError

PROBE_TOKENS = 64  # of each answer


@dataclass(frozen=True)
class ReloadProbe:
    """A question that adapter and base answer differently.

    Args:
        prompt: The question.
        frames: RGB uint8 pictures of its window, oldest first, as the image processor resizes them.
        trained: The first `PROBE_TOKENS` tokens of the adapter's greedy answer, as text.
        base: The same of the base without the adapter.
    """

    prompt: str
    frames: list[np.ndarray]
    trained: str
    base: str

    def is_of_adapter(self, answer: str) -> bool:
        """Tell whether an answer is nearer to the adapter's than to the base's; number types may change its letters."""
        to_trained, to_base = (
            difflib.SequenceMatcher(None, answer, text, autojunk=False).ratio() for text in (self.trained, self.base)
        )
        return to_trained > to_base


def write_pictures(folder: Path, frames: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]], resample: Any) -> None:
    """Write the pictures of the probe into an adapter folder, each resized to (height, width)."""
    from PIL import Image

    pictures = folder / PROBE_PICTURES
    pictures.mkdir(exist_ok=True)
    for number, (frame, (height, width)) in enumerate(zip(frames, sizes, strict=True)):
        Image.fromarray(frame).resize((width, height), resample).save(pictures / f"{number:02d}.png")


def read_probe(folder: str | Path) -> ReloadProbe | None:
    """Read the probe of an adapter folder; None where it has none (version 0.1, training with FSDP, equal answers)."""
    from PIL import Image

    path = Path(folder) / RELOAD_PARITY
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        row = next((row for row in document["probes"] if "pictures" in row), None)
        if row is None:
            return None
        frames = []
        for name in row["pictures"]:
            with Image.open(path.parent / name) as picture:
                frames.append(np.asarray(picture.convert("RGB")))
        return ReloadProbe(row["prompt"], frames, row["trained"], row["base"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error}); copy the whole adapter folder again") from None
