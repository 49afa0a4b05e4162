"""Intervals: how uncertain a mean over few episodes is.

Knows one value per episode; does not know what it means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap


def bootstrap_interval(
    values: Sequence[float | None], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of the mean over episodes (`scipy.stats.bootstrap`).

    Whole episodes are drawn with replacement, never frames: the frames of one episode are nearly copies of each other.
    The bounds are the (1 - level) / 2 quantiles, from both ends, of the means of the draws (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 13). With fewer than about ten episodes it is too narrow rather than
    too wide.

    Args:
        values: One per episode; None where it is undefined, which is left out.
        level: Coverage, between 0 and 1.
        resamples: Number of draws.
        seed: Seed of the draws.

    Returns:
        (low, high); None with fewer than two defined values.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it is a coverage between 0 and 1, such as 0.95")
    defined = np.array([value for value in values if value is not None], dtype=np.float64)
    if len(defined) < 2:
        return None
    result = bootstrap(
        (defined,),
        np.mean,
        n_resamples=resamples,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
