"""Numbers that callers give: one of a wrong type is one clear line, where it comes in.

Knows numbers and their names; does not know what they mean.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


def check_number(name: str, value: Any) -> float:
    """Return a finite number as a float.

    Args:
        name: The argument, for messages.
        value: What the caller gave.

    Raises:
        ValueError: It is no number: a text, a truth value, nan, an infinity.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; it must be a number")
    return float(value)


def check_whole(name: str, value: Any) -> int:
    """Return a whole number as an int; as `check_number`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} is {value!r}; it must be a whole number")
    return int(value)
