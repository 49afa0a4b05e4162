"""The programs that made the embedded base: drawn scenes, the fast preprocessing, the split of tasks, annotations."""

import json

import numpy as np
import pytest
import torch
from material import DEMO, ROOT
from omegaconf import OmegaConf


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


def test_a_gripper_beyond_the_upper_edge_is_drawn():
    from scenes import Painter

    painter = Painter(np.random.default_rng(0), 32, (200, 0, 0), (0, 0, 200), "block", "tray")
    assert painter.paint((0.5, 3.0, 1.0, 0.2, 0.0, 0.8)).shape == (32, 32, 3)
    assert painter.place(0.5, 3.0)[1] < 0.0


def test_drawn_episodes_repeat_for_a_seed():
    from scenes import draw_episode

    first, second = (draw_episode(np.random.default_rng(7), 32) for _ in range(2))
    assert first.task == second.task and np.array_equal(first.frames, second.frames)


def test_fast_preprocessing_is_the_image_processors(nano):
    from nano_batches import image_side, preprocess_square

    side = image_side(nano)
    frames = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    ours, theirs = preprocess_square(nano, images), nano.preprocess(list(frames))
    torch.testing.assert_close(ours["pixel_values"], theirs["pixel_values"], rtol=0, atol=1e-6)
    assert torch.equal(ours["image_grid_thw"], theirs["image_grid_thw"])


def test_evaluation_tasks_and_the_demo_are_never_trained_on():
    from sim_tasks import NEVER_TRAIN_ON, TRAINING_TASKS

    assert {"assembly", "basketball", "hammer", "peg-insert-side", "pick-place"} <= set(NEVER_TRAIN_ON)
    assert not set(NEVER_TRAIN_ON) & set(TRAINING_TASKS)


def test_every_training_text_has_three_wordings_and_the_colour_of_its_object():
    from sim_tasks import TRAINING_TASKS

    for name, task in TRAINING_TASKS.items():
        groups = [task.texts, *(stage.texts for stage in task.stages)]
        assert all(len(set(texts)) >= 3 for texts in groups), name
        assert ("{colour}" in str(groups)) == bool(task.colours), name
        if "decoy" in task.failures:  # only the colour tells which object is asked for
            assert all("{colour}" in text for text in task.texts), name


def test_grasp_tasks_seldom_show_plain_successes_and_an_early_stop_leaves_some_of_each():
    from sim_kinds import FAILURES, list_episodes, training_kinds
    from sim_tasks import TRAINING_TASKS

    for name, task in TRAINING_TASKS.items():
        kinds = training_kinds(task, 12)
        assert kinds.count("success") == (6 if task.carry is None else 4)
        assert all(kind in FAILURES or kind.startswith("stop") for kind in task.failures), name
    assert {*TRAINING_TASKS["push"].failures} <= {*training_kinds(TRAINING_TASKS["push"], 24)}
    names = ["push", "door-open"]
    listed = list(list_episodes("training", names, 8, 24))
    assert len({(name, file) for name, file, _ in listed}) == 8 + 24
    assert [name for name, _, _ in listed[:16]] == ["push"] * 12 + ["door-open"] * 4


@pytest.mark.parametrize("chosen_set", ["development", "evaluation"])
def test_every_held_out_family_is_judged_on_successes_setbacks_and_failures(chosen_set):
    from sim_kinds import list_episodes
    from sim_tasks import NEVER_TRAIN_ON, TASK_SETS

    assert set(TASK_SETS[chosen_set]) <= set(NEVER_TRAIN_ON)
    for task in TASK_SETS[chosen_set]:
        files = [file for _, file, _ in list_episodes(chosen_set, [task], 0, 0)]
        assert {"demo", "success_1", "success_2", "success_3", "pause", "recovery"} <= set(files)
        assert sum(file.startswith("failure_") for file in files) == 3


def test_progress_depends_on_the_state_and_not_on_what_went_before():
    from types import SimpleNamespace

    from sim_stages import Stage, StageTracker

    stages = (
        Stage(("near",), lambda w: w.gap < 0.1, lambda w: w.gap, 0.1),
        Stage(("hold",), lambda w: w.done, lambda w: 1.0, hold=lambda w: w.gap < 0.2),
    )
    tracker = StageTracker(stages)
    gaps = [1.1, 0.6, 0.05, *[0.6] * StageTracker.PATIENCE]  # approaches, holds, loses it
    seen = [tracker.step(SimpleNamespace(gap=gap, done=False), i) for i, gap in enumerate(gaps)]
    assert seen[0] == (0, 0.0) and seen[2][0] == 1
    assert seen[1] == seen[-1] == (0, pytest.approx(0.5))


def test_a_failed_episode_is_kept_only_if_it_shows_what_its_kind_promises():
    from sim_kinds import is_wanted
    from sim_tasks import TASKS

    def recording(stage, touched, lift, gap, moved, remaining):
        return {
            "ok": False, "success": np.zeros(20, bool), "stage": np.array([0] * 5 + [stage[0]] * 5 + [stage[1]] * 10),
            "fraction": np.zeros(20), "touched": np.array([False] * 5 + [touched[0]] * 5 + [touched[1]] * 10),
            "lift": np.full(20, lift), "gap": np.full(20, gap), "moved": np.full(20, moved),
            "remaining": np.full(20, remaining),
        }  # fmt: skip

    task = TASKS["shelf-place"]  # carried from stage 3 on
    dropped = recording((3, 0), (True, False), 0.2, 0.3, 0.2, 0.4)
    missed = recording((0, 0), (False, False), 0.0, 0.3, 0.0, 0.4)
    stalled = recording((3, 3), (True, True), 0.2, 0.0, 0.2, 0.4)
    wanted = {
        kind: [is_wanted(r, kind, task) for r in (dropped, missed, stalled)] for kind in ("drop", "beside", "stop3")
    }
    assert wanted["drop"] == [True, False, False]
    assert wanted["beside"] == [False, True, False]
    assert wanted["stop3"] == [False, True, True]  # a stop before the grasp promises nothing about the object
    assert not is_wanted(dropped | {"remaining": np.full(20, 0.05)}, "drop", task)  # it fell onto the target
    assert not is_wanted(stalled | {"success": np.ones(20, bool)}, "stop3", task)


def training_options():
    return OmegaConf.load(ROOT / "recipes" / "nano" / "pretrain.yaml").train


def test_windows_for_pretraining_stay_inside_and_end_at_their_frame():
    from nano_batches import draw_window

    options = training_options()
    rng = np.random.default_rng(0)
    for size in (1, 4, 8, 16):
        windows = [draw_window(30, size, options, rng) for _ in range(100)]
        assert all(0 <= index < 30 for window in windows for index in window)
        assert {len(window) for window in windows} == {size}
    assert any(window[0] > window[-1] for window in windows)  # reversed ones are there


def test_a_rewinding_window_goes_past_its_frame_and_back():
    from nano_batches import draw_window

    options = training_options()
    options.rewind_share, options.pause_share = 1.0, 0.0
    for seed in range(20):
        window = draw_window(400, 8, options, np.random.default_rng(seed))
        steps = np.diff(window)
        if window[0] > 60 and max(window) < 399 and steps[0] > 0:
            break
    last, top = window[-1], int(np.argmax(window))
    assert window[top] > last and (steps[:top] > 0).all() and (steps[top:] < 0).all()


def marked_episode():
    """Return an episode of black pictures with a white mark where its object is, out of sight in the last one."""
    from scenes import Episode

    places = np.array([[0.25, 0.5], [0.5, 0.625], [0.75, 0.75], [np.nan, np.nan]])
    frames = np.zeros((4, 64, 64, 3), np.uint8)
    for frame, (x, y) in zip(frames[:3], places, strict=False):
        frame[round(y * 64) - 1 : round(y * 64) + 1, round(x * 64) - 1 : round(x * 64) + 1] = 255
    nowhere = np.full((4, 2), np.nan)
    texts = ("Take the red cup", ("Close the gripper on the red cup", "Lower the red cup"))
    return Episode(frames, *texts, np.array([0, 0, 1, 1]), np.arange(4.0), np.zeros(4), nowhere, places, "red")


def test_a_view_moves_pictures_and_places_alike():
    from nano_batches import draw_view

    episode, options, seen = marked_episode(), training_options(), 0
    for seed in range(40):
        view = draw_view(episode, options, np.random.default_rng(seed))
        pictures = view.show(episode.frames)
        assert pictures.shape == (4, 3, 64, 64)
        for picture, place in zip(pictures[:3], episode.thing, strict=False):
            x, y = view.place(*place)
            if 0.05 < x < 0.95 and 0.05 < y < 0.95:
                rows, columns = np.nonzero((picture[0] > picture[0].min() + 60).numpy())
                assert np.hypot(columns.mean() + 0.5 - x * 64, rows.mean() + 0.5 - y * 64) < 1.5
                seen += 1
    assert seen > 60


def test_a_new_look_is_drawn_where_the_object_is_and_named_in_the_texts():
    from repaint import draw_look
    from scenes import COLOURS

    episode = marked_episode()
    for seed in range(20):
        renamed, look = draw_look(episode, np.random.default_rng(seed))
        assert renamed.colour in COLOURS and renamed.task == f"Take the {renamed.colour} cup"
        assert renamed.stages[1] == f"Lower the {renamed.colour} cup"  # "Lower" keeps its letters
        frames = look.show(episode.frames, episode.thing)
        assert episode.frames.sum() == 3 * 4 * 3 * 255  # the original is left alone
        around = look.show(np.zeros_like(episode.frames), np.full((4, 2), np.nan))
        assert np.array_equal(frames[3], around[3]) and np.array_equal(around[0], around[3])
        for frame, empty, (x, y) in zip(frames[:3], around, episode.thing, strict=False):
            rows, columns = np.nonzero((frame != empty).any(-1))
            assert len(rows) and np.hypot(columns.mean() - x * 64, rows.mean() - y * 64) < 5


def test_only_objects_that_are_grasped_and_told_by_more_than_colour_get_a_new_look():
    from nano_batches import repaintable_colour

    clip = {"task": "push", "kind": "success", "colour": "red", "object_xy": []}
    assert repaintable_colour(clip) == "red"
    for other in ({"kind": "decoy"}, {"task": "door-open"}):
        assert repaintable_colour(clip | other) is None
    assert repaintable_colour({key: value for key, value in clip.items() if key != "object_xy"}) is None


def test_pictures_come_to_rest_while_everything_trains():
    from pretrain import largest_shift

    options = training_options()
    shifts = [largest_shift(step, options) for step in range(0, options.steps, 100)]
    assert shifts[0] == options.largest_shift and shifts[-1] == options.last_shift
    assert shifts == sorted(shifts, reverse=True) and shifts[len(shifts) // 4] > 2 * options.last_shift


def test_processes_share_a_batch_or_say_that_they_cannot():
    from pretrain import share_work

    recipe = OmegaConf.create({"train": {"episodes_per_step": 12}, "vision_train": {"frames_per_step": 192}})
    share_work(recipe, 2)
    assert (recipe.train.episodes_per_step, recipe.vision_train.frames_per_step) == (6, 96)
    with pytest.raises(SystemExit, match="episodes_per_step is 6, which 5 processes cannot share evenly"):
        share_work(recipe, 5)


def average_in_process(rank: int, rendezvous: str) -> None:
    """Average gradients with another process; one of them has none of a parameter."""
    from pretrain import average_gradients

    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    both, one = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(3))
    both.grad = torch.tensor([1.0, 4.0]) * (rank + 1)
    one.grad = torch.ones(3) if rank else None
    average_gradients([both, one])
    assert both.grad.tolist() == [1.5, 6.0] and one.grad.tolist() == [0.5] * 3
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()  # a process that ends with gloo's threads running may abort


def test_processes_average_their_gradients(tmp_path):
    torch.multiprocessing.spawn(average_in_process, (str(tmp_path / "rendezvous"),), nprocs=2)


def test_another_task_is_absent_and_the_own_task_has_its_remaining_steps():
    from nano_batches import Pools, ask
    from scenes import draw_episode

    from dataset.prompts import build_absent_completion

    episode, other = (draw_episode(np.random.default_rng(seed), 32) for seed in (1, 2))
    options = training_options()
    rng = np.random.default_rng(0)
    options.wrong_task_share, options.simulated_share = 1.0, 0.0
    assert ask(episode, 5, Pools([], [other]), options, rng) == (other.task, build_absent_completion())
    task, answer = ask(episode, 0, Pools([], [episode]), options, rng)  # no other task to be had
    assert task == episode.task and all(stage in answer for stage in episode.stages)


def test_the_quick_vision_tower_and_loss_are_those_of_transformers(nano):
    from answer_loss import answer_loss
    from nano_model import continued_model, quicken

    recipe = OmegaConf.load(ROOT / "recipes" / "nano" / "pretrain.yaml")
    recipe.image_size = 64
    model = continued_model(nano.base_name, recipe)
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    slow = model.encode_frames(frames)
    quicken(model.model)
    fast = model.encode_frames(frames)
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours.embedding, theirs.embedding, rtol=1e-4, atol=1e-5)
    batch = model.inputs.build([slow, slow[:1]], ["a", "b c"], ["Therefore, 12", "1. Do it"])
    with torch.no_grad():
        theirs = model.model(**{**batch}).loss
        ours = answer_loss(model, batch, decisive_weight=1.0)
    assert ours.mean == pytest.approx(theirs.item(), rel=1e-5) and ours.weighted.item() == pytest.approx(ours.mean)


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
    from dataset.demonstration import read_demonstrations

    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) <= 3_000_000
    demo = read_demonstrations([DEMO / "demo.json"])
    assert check_demonstrations(demo) == []
    held_out = read_demonstrations(sorted((DEMO / "held_out").glob("*.json")))
    outcomes = [d.annotation.success for d in held_out]
    assert len(outcomes) >= 5 and {True, False} == set(outcomes)
    assert all(d.annotation.measured_progress is not None for d in held_out)
    assert json.loads((DEMO / "demo.json").read_text()).get("measured_progress") is None  # as a person marks
