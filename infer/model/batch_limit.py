"""Batches that fit into memory: when it runs out, the batch is halved and the work goes on.

Knows exceptions and list lengths; does not know what is computed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from infer.model.errors import ModelError

logger = logging.getLogger(__name__)


class BatchLimit:
    """The number of items that are worked on at once; it only falls.

    Args:
        size: Items to start with, at least 1.
        items: What the items are, for messages ("windows").
    """

    def __init__(self, size: int, items: str) -> None:
        if size < 1:
            raise ValueError(f"batch size is {size}; it must be at least 1")
        self.size, self._items = size, items

    def run(self, function: Callable[..., list[Any]], *columns: Sequence[Any] | np.ndarray) -> list[Any]:
        """Return `function(*columns)` in order, called on at most `size` items at a time.

        Args:
            function: Takes equally long sequences, returns one result per item.
            columns: Those sequences.

        Raises:
            ModelError: One item alone does not fit.
        """
        results: list[Any] = []
        while len(results) < len(columns[0]):
            batch = slice(len(results), len(results) + self.size)
            try:
                results += function(*(column[batch] for column in columns))
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
                self._halve(len(columns[0][batch]))
        return results

    def _halve(self, tried: int) -> None:
        if tried == 1:
            raise ModelError(
                f"memory ran out with a batch of one ({self._items}); lower max_pixels or the window size, use "
                "--torch_dtype bfloat16, or a device with more memory"
            )
        self.size = max(1, tried // 2)
        logger.warning("memory ran out: continuing with %d %s at a time", self.size, self._items)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _out_of_memory(error: RuntimeError) -> bool:
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(
        phrase in text for phrase in ("out of memory", "not enough memory", "can't allocate memory")
    )
