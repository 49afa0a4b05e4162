import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.window import (
    WindowSpec,
    held_window_indices,
    reversed_window_indices,
    rewind_window_indices,
    timing_of,
    wide_windows,
    window_indices,
)


def test_stride_counts_source_frames():
    assert window_indices(WindowSpec(size=4, stride=3), 20, timing=25.0) == (11, 14, 17, 20)


def test_rate_keeps_the_physical_spacing():
    spec = WindowSpec(size=3, rate_hz=5.0)
    assert window_indices(spec, 100, timing=25.0) == (90, 95, 100)
    assert window_indices(spec, 100, timing=50.0) == (80, 90, 100)
    assert window_indices(spec, 100, timing=12.0) == (95, 98, 100)  # 2.4 frames: 95.7, 98.1, 100.5 floored


def test_padding():
    assert window_indices(WindowSpec(size=4, stride=3), 4, timing=25.0) == (0, 0, 1, 4)
    assert window_indices(WindowSpec(size=4, stride=3, padding="short"), 4, timing=25.0) == (1, 4)


def test_windows_do_not_reach_before_their_segment():
    assert window_indices(WindowSpec(size=4, stride=3), 22, timing=25.0, first=18) == (18, 18, 19, 22)
    with pytest.raises(ValueError, match="frame 3 is before"):
        window_indices(WindowSpec(size=4, stride=3), 3, timing=25.0, first=18)


def test_reversed_window_mirrors_the_video():
    spec = WindowSpec(size=4, stride=3)
    assert reversed_window_indices(spec, 20, 25.0, last=99) == (29, 26, 23, 20)
    assert reversed_window_indices(spec, 97, 25.0, last=99) == (99, 99, 99, 97)


@given(
    size=st.integers(1, 16), stride=st.floats(0.1, 20), t=st.integers(0, 5000), first=st.integers(0, 5000),
    padding=st.sampled_from(["repeat_first", "short"]),
)  # fmt: skip
def test_every_window_is_rising_and_ends_at_its_frame(size, stride, t, first, padding):
    first = min(first, t)
    window = window_indices(WindowSpec(size=size, stride=stride, padding=padding), t, 25.0, first)
    assert window[-1] == t
    assert list(window) == sorted(window)
    assert min(window) >= first
    assert len(window) == size if padding == "repeat_first" else 1 <= len(window) <= size


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 0, "stride": 1}, "window size is 0"),
        ({"size": 8}, "set exactly one of them"),
        ({"stride": 1, "rate_hz": 5.0}, "set exactly one of them"),
        ({"stride": -1}, "window stride is -1"),
        ({"stride": 1, "padding": "zeros"}, 'padding is "zeros"'),
    ],
)
def test_impossible_rules_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        WindowSpec(**fields)


def test_saved_rule_reads_back():
    spec = WindowSpec(size=5, rate_hz=2.5, padding="short")
    assert WindowSpec(**spec.to_dict()) == spec


def test_stretched_windows_play_faster_or_slower():
    spec = WindowSpec(size=4, stride=4)
    assert window_indices(spec, 40, 25.0, stretch=2.0) == (16, 24, 32, 40)
    assert window_indices(spec, 40, 25.0, stretch=0.5) == (34, 36, 38, 40)


def test_a_pause_repeats_the_frame():
    spec = WindowSpec(size=5, stride=3)
    assert held_window_indices(spec, 20, 25.0, first=0, held=2) == (14, 17, 20, 20, 20)
    assert held_window_indices(spec, 20, 25.0, first=0, held=4) == (20, 20, 20, 20, 20)


def test_a_rewind_goes_past_the_frame_and_back():
    spec = WindowSpec(size=5, stride=3)
    assert rewind_window_indices(spec, 20, 25.0, first=0, last=99, turn=1) == (14, 17, 20, 23, 20)
    assert rewind_window_indices(spec, 20, 25.0, first=0, last=99, turn=3) == (26, 29, 26, 23, 20)
    assert rewind_window_indices(spec, 20, 25.0, first=18, last=21, turn=1) == (18, 18, 20, 21, 20)
    short = WindowSpec(size=5, stride=3, padding="short")
    assert rewind_window_indices(short, 20, 25.0, first=0, last=99, turn=1) == (14, 17, 20, 23, 20)
    assert rewind_window_indices(short, 20, 25.0, first=18, last=21, turn=1) == (20, 20)


SPECS = st.builds(
    WindowSpec,
    size=st.integers(2, 12),
    rate_hz=st.floats(0.5, 60),
    padding=st.sampled_from(["repeat_first", "short"]),
)


@given(spec=SPECS, t=st.integers(0, 500), fps=st.floats(1, 120), cut=st.integers(0, 100), data=st.data())
def test_every_window_stays_in_its_segment_and_ends_at_its_frame(spec, t, fps, cut, data):
    first, last = max(t - cut, 0), t + cut
    places = data.draw(st.integers(1, spec.size - 1))
    for indices in (
        window_indices(spec, t, fps, first),
        window_indices(spec, t, fps, first, stretch=1.7),
        reversed_window_indices(spec, t, fps, last),
        held_window_indices(spec, t, fps, first, places),
        rewind_window_indices(spec, t, fps, first, last, places),
    ):
        assert indices[-1] == t
        assert first <= min(indices) and max(indices) <= last
        assert len(indices) == spec.size or spec.padding == "short"


@given(rate_hz=st.floats(1, 12), fps=st.floats(24, 120), seconds=st.floats(12, 100))
def test_the_spacing_in_seconds_does_not_depend_on_the_video(rate_hz, fps, seconds):
    spec = WindowSpec(size=8, rate_hz=rate_hz)
    indices = window_indices(spec, round(seconds * fps), fps)
    times = [index / fps for index in indices]
    for place, time in enumerate(reversed(times)):
        assert times[-1] - time == pytest.approx(place / rate_hz, abs=0.51 / fps)


RATES = [3.0, 5.0, 6.25, 15.0, 24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60.0, 120.0]
HERTZ = [1.0, 2.5, 5.0, 6.25, 8.0, 10.0, 12.5, 20.0, 30.0]


def counted(spec: WindowSpec, t: int, fps: float, first: int = 0) -> tuple[int, ...]:
    """The rule of version 0.1, which counts frames: adapters and records of constant rates go by it."""
    step = max(1.0, fps / spec.rate_hz)
    indices = [math.floor(t - k * step + 0.5) for k in range(spec.size - 1, -1, -1)]
    return tuple(i for i in indices if i >= first) if spec.padding == "short" else tuple(max(i, first) for i in indices)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("padding", ["repeat_first", "short"])
def test_times_of_a_constant_rate_give_the_frames_that_counting_gives(fps, padding):
    times = np.arange(250) / fps
    assert timing_of(times, fps) == fps
    for rate_hz in HERTZ:
        spec = WindowSpec(8, rate_hz=rate_hz, padding=padding)
        for t in range(0, 200, 7):
            assert window_indices(spec, t, fps) == window_indices(spec, t, times) == counted(spec, t, fps)
            assert window_indices(spec, t, times, first=t // 2) == counted(spec, t, fps, first=t // 2)
            mirrored = reversed_window_indices(spec, t, times, last=240)
            assert mirrored == reversed_window_indices(spec, t, fps, last=240)
            assert mirrored == tuple(240 - index for index in counted(spec, 240 - t, fps))
            for turn in (1, 5):
                rewound = rewind_window_indices(spec, t, times, 3, 240, turn)
                assert rewound == rewind_window_indices(spec, t, fps, 3, 240, turn)


@pytest.mark.parametrize(("tick", "fps"), [(0.001, 30.0), (0.001, 23.976), (0.001, 60.0), (0.01, 30.0)])
def test_times_that_a_file_rounds_are_those_of_a_constant_rate(tick, fps):
    times = np.round(np.arange(300) / fps / tick) * tick
    mean = 299 / times[-1]
    assert timing_of(times, mean, tick) == mean


def test_a_lost_frame_makes_the_rate_vary():
    times = np.delete(np.arange(100) / 30.0, 50)
    assert timing_of(times, 98 / times[-1]) is times


def test_windows_of_a_varying_rate_hold_the_frames_nearest_in_time():
    times = np.cumsum([0.0, *[0.1] * 20, *[0.04] * 50])  # ten frames per second, then 25
    spec = WindowSpec(size=4, rate_hz=5.0)
    assert window_indices(spec, 20, times) == (14, 16, 18, 20)
    assert window_indices(spec, 60, times) == (45, 50, 55, 60)
    assert window_indices(spec, 22, times) == (15, 17, 19, 22)  # 1.48, 1.68, 1.88 of 2.08 s; 1.9 s is frame 19
    assert reversed_window_indices(spec, 18, times, last=70) == (30, 25, 20, 18)
    assert held_window_indices(spec, 20, times, 0, held=2) == (18, 20, 20, 20)
    assert rewind_window_indices(spec, 20, times, 0, 70, turn=1) == (18, 20, 25, 20)
    assert window_indices(spec, 20, times, stretch=2.0) == (8, 12, 16, 20)


def test_no_frame_comes_twice_across_a_gap():
    times = [0.0, 0.1, 0.2, 0.3, 3.0]
    assert window_indices(WindowSpec(size=4, rate_hz=5.0), 4, times) == (1, 2, 3, 4)


GAPS = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=60)


@given(spec=SPECS, gaps=GAPS, data=st.data())
def test_windows_of_any_times_are_causal_and_stay_in_their_segment(spec, gaps, data):
    times = np.cumsum([0.0, *gaps])
    t = data.draw(st.integers(0, len(gaps)))
    first, last = data.draw(st.integers(0, t)), data.draw(st.integers(t, len(gaps)))
    window = window_indices(spec, t, times, first)
    assert window == window_indices(spec, t, list(times[: t + 1]), first)  # later frames have no influence
    assert window == tuple(i for i in window if i == first or window.count(i) == 1)
    places = data.draw(st.integers(1, spec.size - 1))
    for indices in (
        window,
        window_indices(spec, t, times, first, stretch=1.7),
        reversed_window_indices(spec, t, times, last),
        held_window_indices(spec, t, times, first, places),
        rewind_window_indices(spec, t, times, first, last, places),
    ):
        assert indices[-1] == t
        assert first <= min(indices) and max(indices) <= last
        assert len(indices) == spec.size or spec.padding == "short"


@given(rate_hz=st.floats(1, 8), seed=st.integers(0, 1000))
def test_the_spacing_in_seconds_holds_where_the_rate_varies(rate_hz, seed):
    times = np.cumsum(np.random.default_rng(seed).uniform(0.02, 0.05, 180))
    indices = window_indices(WindowSpec(size=4, rate_hz=rate_hz), 179, times)
    for place, index in enumerate(reversed(indices)):
        assert times[-1] - times[index] == pytest.approx(place / rate_hz, abs=0.0251)


def test_a_recording_slower_than_the_rule_is_named():
    spec = WindowSpec(size=8, rate_hz=6.25)
    assert wide_windows(spec, 5.0) == (
        "has 5 frames per second, and the window rule asks for 6.25, so windows there are wider than 1.12 s; record "
        "more frames per second"
    )
    slow_half = np.cumsum([0.0, *[0.3] * 20, *[0.04] * 150])
    assert "has gaps of up to 0.3 s between its frames in 50 % of its time" in wide_windows(spec, slow_half)
    assert wide_windows(spec, 25.0) is None and wide_windows(spec, 6.2) is None
    assert (
        wide_windows(WindowSpec(size=8, stride=4), 5.0) is None and wide_windows(WindowSpec(1, rate_hz=9), 5.0) is None
    )
    assert wide_windows(spec, np.cumsum([0.0, *[0.04] * 500, 0.5, *[0.04] * 500])) is None  # one gap is no slow video
