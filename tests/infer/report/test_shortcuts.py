import numpy as np
import pytest
from report_material import NAN, make_reading
from tqdm import tqdm

from dataset.video import VideoReader
from dataset.window import WindowSpec, window_indices
from infer.model.encoded_video import EncodedVideo
from infer.report.shortcuts import (
    SCENE_TESTS,
    changed_windows,
    clock_through,
    count_shortcut_windows,
    evenly_spaced,
    falling,
    judge_shortcuts,
    read_shortcuts,
)

FALLING = np.array([100.0, 60.0, 30.0, 0.0])


def results(readings, backward=(FALLING,)):
    return {one.shortcut.name: one for one in judge_shortcuts(readings, backward, 50.0)}


def test_windows_are_changed_as_their_names_say():
    window = WindowSpec(size=4, stride=4)
    changed = changed_windows(window, 20, 25.0, np.random.default_rng(0))
    assert window_indices(window, 20, 25.0) == (8, 12, 16, 20)
    assert changed["frozen"] == (20, 20, 20, 20)
    assert changed["half_speed"] == (14, 16, 18, 20)
    assert changed["double_speed"] == window_indices(WindowSpec(size=4, stride=8), 20, 25.0)
    assert sorted(changed["shuffled"]) == [8, 12, 16, 20] and changed["shuffled"][-1] == 20
    assert all(indices[-1] == 20 for indices in changed.values())


def test_a_good_reader_passes_everything():
    found = results([make_reading(), make_reading()])
    assert all(one.passed for one in found.values()), found
    assert found["reversed"].measured == pytest.approx(-1.0)


def test_a_clock_and_a_constant_are_measured_beside_the_model():
    found = results([make_reading()])
    assert (found["reversed"].clock, found["reversed"].constant) == (1.0, 0.0)
    assert found["blank"].clock == 52.5 and found["blank"].constant == 50.0  # the mean of 0, 40, 70, 100
    clock = clock_through(WindowSpec(size=5, stride=5), np.array([0.0, 50.0, 100.0]), 25.0, 101)
    assert clock["plain"].tolist() == [0, 50, 100]
    assert clock["frozen"].tolist() == [20, 70, 100]  # a window spans 20 frames
    assert clock["half_speed"].tolist() == [0, 100, 100] and clock["double_speed"].tolist() == [0, 25, 50]


@pytest.mark.parametrize("name", SCENE_TESTS)
def test_a_value_that_moves_with_the_same_scene_fails(name):
    reading = make_reading(changed={name: np.array([20.0, 60.0, 90.0, 80.0])})
    one = results([reading])[name]
    assert one.measured == 20.0 and one.passed is False and one.unit == "points"
    assert results([make_reading(changed={name: np.array([NAN, 60.0, 70.0, NAN])})])[name].measured == 10.0


def test_means_are_taken_per_episode_first():
    moved = make_reading(changed={"frozen": np.array([NAN, NAN, NAN, 70.0])})  # one window, 30 points
    assert results([moved, make_reading()])["frozen"].measured == 15.0
    assert results([moved, make_reading()])["frozen"].windows == 5


def test_blank_images_may_be_low_or_unsure():
    assert results([make_reading(blank=np.array([90.0, 90.0, 90.0]))])["blank"].passed is False
    unsure = make_reading(blank=np.array([50.0, 50.0, 50.0]), blank_spread=np.array([30.0, 20.0, 10.0]))
    one = results([unsure])["blank"]
    assert one.passed is True and one.spread == 20.0


def test_another_task_must_stay_low():
    assert results([make_reading(changed={"other_task": np.full(4, 60.0)})])["other_task"].passed is False


def test_reversed_playback_must_fall():
    assert results([make_reading()], [FALLING[::-1]])["reversed"].passed is False
    assert results([make_reading()], [np.full(4, 30.0)])["reversed"].measured == 0.0  # the same everywhere: no fall
    assert results([make_reading()], [])["reversed"].passed is None
    assert falling(np.array([NAN, 3.0])) is None and falling(np.array([9.0, NAN, 3.0])) == pytest.approx(-1.0)


def test_what_was_not_answered_is_not_measured():
    nothing = make_reading(changed={"frozen": np.full(4, NAN)}, blank=np.full(3, NAN), blank_spread=np.full(3, NAN))
    found = results([nothing])
    for name in ("frozen", "blank"):
        assert found[name].measured is None and found[name].passed is None and found[name].windows == 0


def test_evenly_spaced_keeps_the_last():
    assert evenly_spaced(list(range(10)), 4) == [0, 3, 6, 9]
    assert evenly_spaced([3, 5], 4) == [3, 5]
    assert count_shortcut_windows(100, 8) == 43 and count_shortcut_windows(100, 0) == 0


def test_reading_asks_about_every_changed_window(nano, video):
    window, frames = WindowSpec(size=5, stride=4), [0, 20]
    encoded = EncodedVideo(nano, VideoReader(video), keep_all=True)
    with tqdm(disable=True) as bar:
        reading = read_shortcuts(nano, encoded, "t", window, frames, np.array([1.0, 2.0]), False, 2, 0, bar)
    for name in SCENE_TESTS:
        assert np.isnan(reading.changed[name][0])  # the first window is one frame, whatever is done to it
        assert np.isfinite(reading.changed[name][1])
    assert np.isfinite(reading.changed["other_task"]).all()
    assert reading.blank.shape == (3,) and (reading.blank_spread >= 0).all()
