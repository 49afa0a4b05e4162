import numpy as np
import pytest
from report_material import NAN, make_answers
from tqdm import tqdm

from dataset.video import VideoReader
from dataset.window import WindowSpec, window_indices
from infer.model.encoded_video import EncodedVideo
from infer.model.model import BASE
from infer.report.shortcuts import (
    SCENE_TESTS,
    ShortcutPlan,
    changed_windows,
    count_shortcut_windows,
    evenly_spaced,
    falling,
    run_shortcuts,
    score_shortcuts,
    time_baseline_values,
)

FALLING = np.array([100.0, 60.0, 30.0, 0.0])


def results(readings, backward=(FALLING,)):
    return {one.shortcut.name: one for one in score_shortcuts(readings, backward, 50.0)}


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
    by_name = results([make_answers(), make_answers()])
    assert all(one.passed for one in by_name.values()), by_name
    assert by_name["reversed"].measured == pytest.approx(-1.0)


def test_the_baselines_are_measured_beside_the_model():
    by_name = results([make_answers()])
    assert (by_name["reversed"].time_baseline, by_name["reversed"].constant_baseline) == (1.0, 0.0)
    assert (
        by_name["blank"].time_baseline == 52.5 and by_name["blank"].constant_baseline == 50.0
    )  # the mean of 0, 40, 70, 100
    clock = time_baseline_values(WindowSpec(size=5, stride=5), np.array([0.0, 50.0, 100.0]), 25.0, 101)
    assert clock["plain"].tolist() == [0, 50, 100]
    assert clock["frozen"].tolist() == [20, 70, 100]  # a window spans 20 frames
    assert clock["half_speed"].tolist() == [0, 100, 100] and clock["double_speed"].tolist() == [0, 25, 50]


@pytest.mark.parametrize("name", SCENE_TESTS)
def test_a_value_that_moves_with_the_same_scene_fails(name):
    reading = make_answers(changed={name: np.array([20.0, 60.0, 90.0, 80.0])})
    one = results([reading])[name]
    assert one.measured == 20.0 and one.passed is False and one.unit == "points"
    assert results([make_answers(changed={name: np.array([NAN, 60.0, 70.0, NAN])})])[name].measured == 10.0


def test_means_are_taken_per_episode_first():
    moved = make_answers(changed={"frozen": np.array([NAN, NAN, NAN, 70.0])})  # one window, 30 points
    assert results([moved, make_answers()])["frozen"].measured == 15.0
    assert results([moved, make_answers()])["frozen"].windows == 5


def test_blank_images_may_be_low_or_unsure():
    assert results([make_answers(blank=np.array([90.0, 90.0, 90.0]))])["blank"].passed is False
    unsure = make_answers(blank=np.array([50.0, 50.0, 50.0]), blank_spread=np.array([30.0, 20.0, 10.0]))
    one = results([unsure])["blank"]
    assert one.passed is True and one.spread == 20.0


def test_another_task_must_stay_low():
    assert results([make_answers(changed={"other_task": np.full(4, 60.0)})])["other_task"].passed is False


def test_reversed_playback_must_fall():
    assert results([make_answers()], [FALLING[::-1]])["reversed"].passed is False
    assert results([make_answers()], [np.full(4, 30.0)])["reversed"].measured == 0.0  # the same everywhere: no fall
    assert results([make_answers()], [])["reversed"].passed is None
    assert falling(np.array([NAN, 3.0])) is None and falling(np.array([9.0, NAN, 3.0])) == pytest.approx(-1.0)


def test_what_was_not_answered_is_not_measured():
    nothing = make_answers(changed={"frozen": np.full(4, NAN)}, blank=np.full(3, NAN), blank_spread=np.full(3, NAN))
    by_name = results([nothing])
    for name in ("frozen", "blank"):
        assert by_name[name].measured is None and by_name[name].passed is None and by_name[name].windows == 0


def test_evenly_spaced_keeps_the_last():
    assert evenly_spaced(list(range(10)), 4) == [0, 3, 6, 9]
    assert evenly_spaced([3, 5], 4) == [3, 5]
    assert count_shortcut_windows(100, 8) == 43 and count_shortcut_windows(100, 0) == 0


def test_reading_asks_about_every_changed_window(nano, video):
    window, frames = WindowSpec(size=5, stride=4), [0, 20]
    encoded = EncodedVideo(nano, VideoReader(video), keep_all=True)
    with tqdm(disable=True) as bar:
        answers = run_shortcuts(
            nano, encoded, ShortcutPlan("t", window, tuple(frames), 2), np.array([1.0, 2.0]), BASE, bar
        )
    for name in SCENE_TESTS:
        assert np.isnan(answers.changed[name][0])  # the first window is one frame, whatever is done to it
        assert np.isfinite(answers.changed[name][1])
    assert np.isfinite(answers.changed["other_task"]).all()
    assert answers.blank.shape == (3,) and (answers.blank_spread >= 0).all()
