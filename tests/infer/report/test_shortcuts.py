import numpy as np
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
    run_shortcuts,
    time_baseline_values,
)

OTHERS = ("Peel the banana", "Wind the clock")


def test_windows_are_changed_as_their_names_say():
    window = WindowSpec(size=4, stride=4)
    changed = changed_windows(window, 20, 25.0, np.random.default_rng(0))
    assert window_indices(window, 20, 25.0) == (8, 12, 16, 20)
    assert changed["frozen"] == (20, 20, 20, 20)
    assert changed["half_speed"] == (14, 16, 18, 20)
    assert changed["double_speed"] == window_indices(WindowSpec(size=4, stride=8), 20, 25.0)
    assert sorted(changed["shuffled"]) == [8, 12, 16, 20] and changed["shuffled"][-1] == 20
    assert all(indices[-1] == 20 for indices in changed.values())


def test_evenly_spaced_keeps_the_last():
    assert evenly_spaced(list(range(10)), 4) == [0, 3, 6, 9]
    assert evenly_spaced([3, 5], 4) == [3, 5]
    assert count_shortcut_windows(100, 8) == 43 and count_shortcut_windows(100, 0) == 0


def test_the_time_baseline_by_hand():
    clock = time_baseline_values(WindowSpec(size=5, stride=5), np.array([0.0, 50.0, 100.0]), 25.0, 101)
    assert clock["plain"].tolist() == [0, 50, 100]
    assert clock["frozen"].tolist() == [20, 70, 100]  # a window spans 20 frames
    assert clock["half_speed"].tolist() == [0, 100, 100] and clock["double_speed"].tolist() == [0, 25, 50]


def test_other_tasks_are_asked_in_turn(nano, video, monkeypatch):
    asked = []
    monkeypatch.setattr("infer.report.shortcuts.build_prompt", lambda text: asked.append(text) or text)
    encoded = EncodedVideo(nano, VideoReader(video), keep_all=True)
    plan = ShortcutPlan("t", WindowSpec(size=2, stride=4), (0, 10, 20), OTHERS, False, 4)
    with tqdm(disable=True) as bar:
        run_shortcuts(nano, encoded, plan, np.zeros(3), BASE, bar)
    assert [text for text in asked if text != "t"] == list(OTHERS)


def test_reading_asks_about_every_changed_window(nano, video):
    window, frames = WindowSpec(size=5, stride=4), [0, 20]
    encoded = EncodedVideo(nano, VideoReader(video), keep_all=True)
    with tqdm(disable=True) as bar:
        answers = run_shortcuts(
            nano, encoded, ShortcutPlan("t", window, tuple(frames), OTHERS, True, 2), np.array([1.0, 2.0]), BASE, bar
        )
    for name in SCENE_TESTS:
        assert answers.changed[name][0] == 1.0  # the first window is one frame, whatever is done to it
        assert answers.has_effect[name].tolist() == [False, True] and np.isfinite(answers.changed[name][1])
    assert np.isfinite(answers.changed["other_task"]).all() and answers.other_tasks == OTHERS and answers.success
    assert answers.blank.shape == (3,) and (answers.blank_spread >= 0).all()
