"""Figures beside their limits: rounded so that a person can see on which side of the limit a figure is."""

from __future__ import annotations

MOST_DECIMALS = 4


def beside_limit(value: float, limit: float, decimals: int = 0) -> str:
    """Return a figure with as many decimals as it takes to tell it from its limit: "15.2" beside 15, never "15"."""
    while decimals < MOST_DECIMALS and value != limit and round(value, decimals) == round(limit, decimals):
        decimals += 1
    return f"{value:.{decimals}f}"
