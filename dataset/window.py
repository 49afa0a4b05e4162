"""Windows: which frames accompany frame t. One rule for samples, training, inference, live streams and servers.

Knows frame numbers, rates and times only; does not know videos, pixels or labels.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, Literal, TypeGuard

import numpy as np

from dataset.checked_numbers import check_number, check_whole

# When the frames come: their number per second where the rate is constant, else the time of every frame, in seconds.
Timing = float | Sequence[float] | np.ndarray

ROUNDING_SEC = 0.001  # times that files hold are rounded; Matroska's are whole milliseconds
TIE_SEC = 1e-6  # two frames are equally near where their distances differ by less
WIDE_GAP = 1.05  # gaps this much longer than the spacing of the rule are too long
WIDE_SHARE = 0.05  # a recording is warned of from this share of its time in such gaps on


@dataclass(frozen=True)
class WindowSpec:
    """The window rule: `size` frames ending at the current one, a fixed physical spacing apart.

    Args:
        size: Frames in a window, the current one included; >= 1.
        stride: Spacing in source frames, > 0. Exactly one of `stride` and `rate_hz` is set.
        rate_hz: Frames per second of the window, for videos of any rate: the spacing is `fps / rate_hz` source frames.
            Where the rate of a video varies, its windows hold the frames nearest in time.
        padding: What comes before the first frame: "repeat_first" repeats it, so that every window has `size`
            frames; "short" makes the window shorter.
    """

    size: int = 8
    stride: float | None = None
    rate_hz: float | None = None
    padding: Literal["repeat_first", "short"] = "repeat_first"

    def __post_init__(self) -> None:
        if check_whole("window size", self.size) < 1:
            raise ValueError(f"window size is {self.size}; it must be at least 1")
        if (self.stride is None) == (self.rate_hz is None):
            raise ValueError(
                f"window stride is {self.stride} and rate_hz is {self.rate_hz}; set exactly one of them "
                "(for example stride: 4, or rate_hz: 5.0)"
            )
        for name, value in (("stride", self.stride), ("rate_hz", self.rate_hz)):
            if value is not None and check_number(f"window {name}", value) <= 0:
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


def window_indices(spec: WindowSpec, t: int, timing: Timing, first: int = 0, stretch: float = 1.0) -> tuple[int, ...]:
    """Return the source frames of the window that ends at frame `t`, oldest first.

    At a constant rate, the frame k places before `t` is `floor(t - k * step + 0.5)`. With times and `rate_hz` it is the
    frame nearest to the time `k / rate_hz` seconds before that of `t`, the later one of two, and no frame comes twice.
    Both are the same where the times are those of a constant rate. Frames after `t` have no influence.

    Args:
        spec: The window rule.
        t: Current frame, `t >= first`; it is always the last index returned.
        timing: When the frames come; used with `rate_hz` only.
        first: First frame that a window can hold: 0, or the frame after a cut.
        stretch: Factor on the spacing, > 0: 2 plays the video at twice its speed. Training only.

    Returns:
        `spec.size` indices with padding "repeat_first"; 1 to `spec.size` with "short".
    """
    if t < first:
        raise ValueError(f"frame {t} is before the first frame of its segment, {first}; use a later frame")
    indices = _places(spec, t, timing, range(0, -spec.size, -1), stretch)[::-1]
    if spec.padding == "short":
        return tuple(index for index in indices if index >= first)
    return tuple(max(index, first) for index in indices)


def reversed_window_indices(spec: WindowSpec, t: int, timing: Timing, last: int) -> tuple[int, ...]:
    """Return the window of frame `t` while the segment that ends at frame `last` is played backwards.

    The earlier frames of the window are later frames of the video: the window of the mirrored video, in source numbers.
    """
    mirrored = timing if _is_rate(timing) else _Mirrored(timing, last)
    return tuple(last - index for index in window_indices(spec, last - t, mirrored))


def held_window_indices(spec: WindowSpec, t: int, timing: Timing, first: int, held: int) -> tuple[int, ...]:
    """Return the window of frame `t` when the robot has paused there for the last `held` places, 1 to `size - 1`."""
    moving = WindowSpec(spec.size - held, spec.stride, spec.rate_hz, spec.padding)
    return window_indices(moving, t, timing, first) + (t,) * held


def rewind_window_indices(
    spec: WindowSpec, t: int, timing: Timing, first: int, last: int, turn: int
) -> tuple[int, ...]:
    """Return a window that plays forward and, for its last `turn` places (1 to `size - 1`), back to frame `t`.

    The turning point is `turn` places later than `t`. Frames outside the segment [first, last] are its ends with
    padding "repeat_first", and left out with "short".
    """
    places = [turn - abs(turn - back) for back in range(spec.size - 1, -1, -1)]  # how many places after t
    earlier = dict(zip(range(0, -spec.size, -1), _places(spec, t, timing, range(0, -spec.size, -1)), strict=True))
    later = dict(zip(range(turn + 1), _places(spec, t, timing, range(turn + 1)), strict=True))
    indices = [{**earlier, **later}[place] for place in places]
    if spec.padding == "short":
        return tuple(index for index in indices if first <= index <= last)
    return tuple(min(max(index, first), last) for index in indices)


def timing_of(times: np.ndarray, fps: float, rounding_sec: float = ROUNDING_SEC) -> Timing:
    """Return the timing of a recording: its rate where the times are those of a constant rate, else the times.

    Args:
        times: Time of every frame in seconds, rising, float64, shape (num_frames,), starting at 0.
        fps: Mean frames per second.
        rounding_sec: How far times are from those of the constant rate because they were rounded.
    """
    even = np.arange(len(times)) / fps
    return fps if np.abs(times - even).max() <= rounding_sec * (1 + 1e-6) else times


def wide_windows(spec: WindowSpec, timing: Timing) -> str | None:
    """Return how the windows of a recording are wider than the rule says, as the rest of a sentence about it.

    None where they are not: the frames come as fast as `rate_hz`, or the rule counts frames.
    """
    if spec.rate_hz is None or spec.size == 1:
        return None
    spacing = 1.0 / spec.rate_hz
    gaps = np.array([1.0 / timing]) if _is_rate(timing) else np.diff(np.asarray(timing, dtype=np.float64))
    wide = gaps > WIDE_GAP * spacing
    if not gaps.size or gaps[wide].sum() <= WIDE_SHARE * gaps.sum():
        return None
    if wide.all():
        found = f"has {1.0 / float(gaps.mean()):.4g} frames per second, and the window rule asks for {spec.rate_hz:g}"
    else:
        share = 100.0 * gaps[wide].sum() / gaps.sum()
        found = (
            f"has gaps of up to {gaps.max():.2g} s between its frames in {share:.0f} % of its time, and the window "
            f"rule asks for {spec.rate_hz:g} frames per second"
        )
    return f"{found}, so windows there are wider than {(spec.size - 1) * spacing:.3g} s; record more frames per second"


def _places(spec: WindowSpec, t: int, timing: Timing, places: range, stretch: float = 1.0) -> list[int]:
    """Return the frames that many places after `t`, from place 0 on in one direction; outside the recording as well."""
    if spec.rate_hz is None or _is_rate(timing):
        step = max(1.0, spec.step(timing if _is_rate(timing) else 1.0) * stretch)
        return [math.floor(t + place * step + 0.5) for place in places]
    times: Any = timing
    spacing = stretch / spec.rate_hz
    indices = [t]
    for place in places[1:]:
        nearest = _nearest(times, times[t] + place * spacing)
        indices.append(max(nearest, indices[-1] + 1) if places.step > 0 else min(nearest, indices[-1] - 1))
    return indices


def _nearest(times: Any, time: float) -> int:
    """Return the frame nearest in time, the later one of two; -1 before the recording, and `len(times)` after it."""
    later, count = bisect_right(times, time), len(times)
    if count == 1:
        return 0 if time == times[0] else -1 if later == 0 else 1
    before = times[later - 1] if later > 0 else 2 * times[0] - times[1]
    after = times[later] if later < count else 2 * times[-1] - times[-2]
    if not before <= time <= after:
        return -1 if later == 0 else count
    return later if after - time <= time - before + TIE_SEC else later - 1


def _is_rate(timing: Any) -> TypeGuard[float]:
    return isinstance(timing, Real)


class _Mirrored(Sequence[float]):
    """The times of a segment that is played backwards from its last frame."""

    def __init__(self, times: Any, last: int) -> None:
        self._times, self._last = times, last

    def __len__(self) -> int:
        return self._last + 1

    def __getitem__(self, index: Any) -> Any:
        place = range(self._last + 1)[index]
        return self._times[self._last] - self._times[self._last - place]
