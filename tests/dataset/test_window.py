import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.window import (
    WindowSpec,
    held_window_indices,
    reversed_window_indices,
    rewind_window_indices,
    window_indices,
)


def test_stride_counts_source_frames():
    assert window_indices(WindowSpec(size=4, stride=3), 20, fps=25.0) == (11, 14, 17, 20)


def test_rate_keeps_the_physical_spacing():
    spec = WindowSpec(size=3, rate_hz=5.0)
    assert window_indices(spec, 100, fps=25.0) == (90, 95, 100)
    assert window_indices(spec, 100, fps=50.0) == (80, 90, 100)
    assert window_indices(spec, 100, fps=12.0) == (95, 98, 100)  # 2.4 frames: 95.7, 98.1, 100.5 floored


def test_padding():
    assert window_indices(WindowSpec(size=4, stride=3), 4, fps=25.0) == (0, 0, 1, 4)
    assert window_indices(WindowSpec(size=4, stride=3, padding="short"), 4, fps=25.0) == (1, 4)


def test_windows_do_not_reach_before_their_segment():
    assert window_indices(WindowSpec(size=4, stride=3), 22, fps=25.0, first=18) == (18, 18, 19, 22)
    with pytest.raises(ValueError, match="frame 3 is before"):
        window_indices(WindowSpec(size=4, stride=3), 3, fps=25.0, first=18)


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
