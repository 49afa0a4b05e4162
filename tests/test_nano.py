"""The programs that made the embedded base: drawn scenes, the fast preprocessing, the split of tasks, annotations."""

import json

import numpy as np
import pytest
import torch
from material import DEMO, ROOT


def test_drawn_episodes_have_exact_labels():
    from scenes import draw_episode

    ends = []
    for seed in range(20):
        episode = draw_episode(np.random.default_rng(seed), 32)
        count = len(episode.frames)
        assert episode.frames.shape == (count, 32, 32, 3) and episode.frames.dtype == np.uint8
        assert len(episode.stage_index) == len(episode.progress) == count
        assert ((episode.progress == 100.0) == (episode.stage_index == len(episode.stages))).all()
        share = 100.0 / len(episode.stages)
        done = episode.stage_index * share
        assert (episode.progress >= done - 1e-9).all() and (episode.progress <= done + share + 1e-9).all()
        ends.append(episode.progress[-1])
    assert max(ends) == 100.0 and min(ends) < 100.0  # successes and failures


def test_drawn_episodes_repeat_for_a_seed():
    from scenes import draw_episode

    first, second = (draw_episode(np.random.default_rng(7), 32) for _ in range(2))
    assert first.task == second.task and np.array_equal(first.frames, second.frames)


def test_fast_preprocessing_is_the_image_processors(nano):
    from pretrain import image_side, preprocess_square

    side = image_side(nano)
    frames = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    ours, theirs = preprocess_square(nano, frames), nano.preprocess(list(frames))
    torch.testing.assert_close(ours["pixel_values"], theirs["pixel_values"], rtol=0, atol=1e-6)
    assert torch.equal(ours["image_grid_thw"], theirs["image_grid_thw"])


def test_evaluation_tasks_and_the_demo_are_never_trained_on():
    from sim_tasks import NEVER_TRAIN_ON, TRAINING_TASKS

    assert {"assembly", "basketball", "hammer", "peg-insert-side", "pick-place"} <= set(NEVER_TRAIN_ON)
    assert not set(NEVER_TRAIN_ON) & set(TRAINING_TASKS)


def test_windows_for_pretraining_stay_inside_and_end_at_their_frame():
    from omegaconf import OmegaConf
    from pretrain import draw_window

    options = OmegaConf.load(ROOT / "recipes" / "nano" / "pretrain.yaml").train
    rng = np.random.default_rng(0)
    windows = [draw_window(30, options, rng) for _ in range(300)]
    assert all(0 <= index < 30 for window in windows for index in window)
    assert {len(window) for window in windows} == {1, 8}
    assert any(window[0] > window[-1] for window in windows)  # reversed ones are there


@pytest.mark.parametrize(("success", "ends"), [(True, [3, 6, 9]), (False, [3, 11])])
def test_simulator_records_become_annotations(tmp_path, success, ends):
    from material import write_video
    from sim_annotations import annotation_from_record

    video = write_video(tmp_path / "clip.mp4", 12)
    index = [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 if success else [0] * 3 + [1] * 9
    record = {
        "n_frames": 12, "instruction": "t", "success": success, "stage_index": index,
        "progress": [i / 12 for i in range(11)] + [1.0 if success else 0.4],
        "stages": [{"description": f"s{i}", "end_frame": e if success else None} for i, e in enumerate((3, 6, 9))],
    }  # fmt: skip
    annotation = annotation_from_record(record, video, measured=True)
    assert [stage.end for stage in annotation.stages] == ends
    assert annotation.final_progress == (100.0 if success else 40.0)
    assert annotation.measured_progress[6] == 50.0
    assert annotation_from_record(record, video, measured=False).measured_progress is None


def test_the_bundled_demo_is_small_and_whole():
    from dataset.check import check_demonstrations
    from dataset.samples import read_demonstrations

    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) <= 3_000_000
    demo = read_demonstrations([DEMO / "demo.json"])
    assert check_demonstrations(demo) == []
    held_out = read_demonstrations(sorted((DEMO / "held_out").glob("*.json")))
    outcomes = [d.annotation.success for d in held_out]
    assert len(outcomes) >= 5 and {True, False} == set(outcomes)
    assert all(d.annotation.measured_progress is not None for d in held_out)
    assert json.loads((DEMO / "demo.json").read_text()).get("measured_progress") is None  # as a person marks
