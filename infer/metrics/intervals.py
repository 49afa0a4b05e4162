"""Intervals: how far a figure over few episodes may be off.

Knows episodes as opaque items and a statistic over them; does not know what either means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from infer.metrics.progress import mean_of_defined

MIN_DEFINED_SHARE = 0.5


def bootstrap_interval(
    episodes: Sequence[Any],
    statistic: Callable[[Sequence[Any]], float | None] = mean_of_defined,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of a statistic over episodes.

    Whole episodes are drawn with replacement, never frames: the frames of one episode are nearly copies of each other.
    The bounds are the (1 - level) / 2 quantiles, from both ends, of the statistic over the draws (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). With fewer than about ten episodes it is too narrow
    rather than too wide.

    Args:
        episodes: One item per episode: a value (None where undefined; it takes no part), or whatever `statistic`
            reads, such as a pair of values of two models (then the draws are paired).
        statistic: The mean of the defined values by default; may return None.
        level: Coverage asked for, between 0 and 1.
        resamples: Number of draws.
        seed: Seed of the draws.

    Returns:
        (low, high); None with fewer than two episodes, or where the statistic is undefined in more than half of the
        draws (one failure among seven episodes: an AUROC needs both outcomes).
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it is a coverage between 0 and 1, such as 0.95")
    episodes = [episode for episode in episodes if episode is not None]
    if len(episodes) < 2:
        return None
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(episodes), size=(resamples, len(episodes)))
    if statistic is mean_of_defined:  # the same, all draws at once
        values = list(np.asarray(episodes, dtype=np.float64)[draws].mean(axis=1))
    else:
        values = [statistic([episodes[place] for place in draw]) for draw in draws]
    defined = [value for value in values if value is not None]
    if len(defined) < MIN_DEFINED_SHARE * resamples:
        return None
    low, high = np.quantile(defined, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
