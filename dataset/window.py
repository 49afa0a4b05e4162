"""Windows: which frames accompany frame t. One rule for samples, training, inference and servers.

Knows frame numbers and rates only; does not know videos, pixels or labels.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class WindowSpec:
    """The window rule: `size` frames ending at the current one, a fixed physical spacing apart.

    Args:
        size: Frames in a window, the current one included; >= 1.
        stride: Spacing in source frames, > 0. Exactly one of `stride` and `rate_hz` is set.
        rate_hz: Frames per second of the window; the spacing is then `fps / rate_hz` source frames, for videos of any
            rate.
        padding: What comes before the first frame: "repeat_first" repeats it, so that every window has `size`
            frames; "short" makes the window shorter.
    """

    size: int = 8
    stride: float | None = None
    rate_hz: float | None = None
    padding: Literal["repeat_first", "short"] = "repeat_first"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"window size is {self.size}; it must be at least 1")
        if (self.stride is None) == (self.rate_hz is None):
            raise ValueError(
                f"window stride is {self.stride} and rate_hz is {self.rate_hz}; set exactly one of them "
                "(for example stride: 4, or rate_hz: 5.0)"
            )
        for name, value in (("stride", self.stride), ("rate_hz", self.rate_hz)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"window {name} is {value}; it must be a positive number")
        if self.padding not in ("repeat_first", "short"):
            raise ValueError(f'window padding is "{self.padding}"; use "repeat_first" or "short"')

    def step(self, fps: float) -> float:
        """Return the spacing in source frames of a video with `fps` frames per second; at least one frame."""
        if self.stride is not None:
            return max(1.0, self.stride)
        assert self.rate_hz is not None  # one of the two is set
        return max(1.0, fps / self.rate_hz)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set, as saved in an adapter folder."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def window_indices(spec: WindowSpec, t: int, fps: float, first: int = 0, stretch: float = 1.0) -> tuple[int, ...]:
    """Return the source frames of the window that ends at frame `t`, oldest first.

    Frame k steps back is `floor(t - k * step + 0.5)`.

    Args:
        spec: The window rule.
        t: Current frame, `t >= first`; it is always the last index returned.
        fps: Frames per second of the video; used with `rate_hz` only.
        first: First frame that a window can hold: 0, or the frame after a cut.
        stretch: Factor on the spacing, > 0: 2 plays the video at twice its speed. Training only.

    Returns:
        `spec.size` indices with padding "repeat_first"; 1 to `spec.size` with "short".
    """
    if t < first:
        raise ValueError(f"frame {t} is before the first frame of its segment, {first}; use a later frame")
    step = max(1.0, spec.step(fps) * stretch)
    indices = [math.floor(t - k * step + 0.5) for k in range(spec.size - 1, -1, -1)]
    if spec.padding == "short":
        return tuple(index for index in indices if index >= first)
    return tuple(max(index, first) for index in indices)


def reversed_window_indices(spec: WindowSpec, t: int, fps: float, last: int) -> tuple[int, ...]:
    """Return the window of frame `t` while the segment that ends at frame `last` is played backwards.

    The earlier frames of the window are later frames of the video: the window of the mirrored video, in source numbers.
    """
    return tuple(last - index for index in window_indices(spec, last - t, fps))


def held_window_indices(spec: WindowSpec, t: int, fps: float, first: int, held: int) -> tuple[int, ...]:
    """Return the window of frame `t` when the robot has paused there for the last `held` places, 1 to `size - 1`."""
    moving = WindowSpec(spec.size - held, spec.stride, spec.rate_hz, spec.padding)
    return window_indices(moving, t, fps, first) + (t,) * held


def rewind_window_indices(spec: WindowSpec, t: int, fps: float, first: int, last: int, turn: int) -> tuple[int, ...]:
    """Return a window that plays forward and, for its last `turn` places (1 to `size - 1`), back to frame `t`.

    The turning point is `turn` places later than `t`. Frames outside the segment [first, last] are its ends, or left
    out with padding "short".
    """
    step = spec.step(fps)
    places = [turn - abs(turn - back) for back in range(spec.size - 1, -1, -1)]  # how many places after t
    indices = [math.floor(t + place * step + 0.5) for place in places]
    if spec.padding == "short":
        return tuple(index for index in indices if first <= index <= last)
    return tuple(min(max(index, first), last) for index in indices)
