"""Sampled tokens whose random numbers belong to their row: a batch draws what each of its rows would draw alone.

Knows logits; does not know texts or windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor


class SeededDraws(LogitsProcessor):
    """Draws the next token of each row, and leaves greedy generation no other choice.

    A row has a generator of its own, which gives one number per token: the quantile of the distribution that is taken.

    Args:
        seed: Seed of all rows.
        streams: Per row a number, 0 or more, that tells it from others of the same seed.
        temperature: Logits are divided by it.
    """

    def __init__(self, seed: int, streams: Sequence[int], temperature: float) -> None:
        self._generators = [np.random.default_rng([seed % 2**64, stream]) for stream in streams]
        self._temperature = temperature

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return scores, shape (rows, vocabulary), that allow the drawn tokens only."""
        logits = scores.detach().cpu().double() / self._temperature  # the same numbers on every device
        cumulated = logits.softmax(-1).cumsum(-1)
        quantiles = torch.tensor([[generator.random()] for generator in self._generators], dtype=torch.float64)
        drawn = torch.searchsorted(cumulated, quantiles * cumulated[:, -1:], right=True)
        drawn = drawn.clamp(max=scores.shape[-1] - 1).to(scores.device)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn, 0.0)
