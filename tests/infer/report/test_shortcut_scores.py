import numpy as np
import pytest
from report_material import NAN, make_answers

from infer.report.shortcut_scores import falling, score_shortcuts, shuffled_orders
from infer.report.shortcuts import SCENE_TESTS

FALLING = np.array([100.0, 60.0, 30.0, 0.0])


def results(readings, backward=(FALLING,) * 3):
    return {one.shortcut.name: one for one in score_shortcuts(readings, backward, 50.0)}


def test_a_good_model_passes_everything():
    by_name = results([make_answers()] * 3)
    assert all(one.passed for one in by_name.values()), by_name
    assert by_name["reversed"].model.measured == pytest.approx(-1.0)
    assert all(by_name[name].model.order == pytest.approx(1.0) for name in SCENE_TESTS)


def test_the_baselines_are_measured_beside_the_model():
    by_name = results([make_answers()])
    assert (by_name["reversed"].time_baseline.measured, by_name["reversed"].constant_baseline.measured) == (1.0, 0.0)
    blank = by_name["blank"]
    assert (blank.time_baseline.measured, blank.constant_baseline.measured) == (52.5, 50.0)  # mean of 0, 40, 70, 100


def test_a_shuffled_adapter_fails_what_depends_on_the_scene_and_passes_the_rest():
    by_name = results([make_answers()] * 3)
    for name in ("reversed", *SCENE_TESTS):
        assert by_name[name].tells and by_name[name].counts and by_name[name].shuffled_passes < 0.1, name
    assert by_name["reversed"].shuffled.measured == pytest.approx(0.0, abs=0.05)
    assert by_name["frozen"].shuffled.measured == 0.0  # a scene keeps its answer ...
    assert by_name["frozen"].shuffled.order == pytest.approx(0.0, abs=0.05)  # ... which is that of another scene
    for name in ("blank", "other_task"):
        assert by_name[name].passed and by_name[name].shuffled_passes == 1.0 and not by_name[name].counts


def test_the_answers_of_a_shuffled_adapter_do_not_pass():
    """What is simulated, made for real: every scene has the answer of another scene, in every test."""
    order = [2, 0, 3, 1]
    plain = make_answers().plain[order]
    shuffled = make_answers(plain=plain, changed=dict.fromkeys(SCENE_TESTS, plain))
    by_name = results([shuffled] * 3, [FALLING[order]] * 3)
    assert [name for name in ("reversed", *SCENE_TESTS) if by_name[name].passed] == []
    assert all(by_name[name].model.measured == 0.0 for name in SCENE_TESTS)  # nothing changes, and it still fails


def test_few_windows_do_not_tell_a_model_from_a_shuffled_one():
    one = results([make_answers()], [FALLING])
    assert one["frozen"].passed and not one["frozen"].counts and one["frozen"].shuffled_passes > 0.1
    assert one["reversed"].passed and not one["reversed"].counts


def test_one_value_everywhere_passes_no_test_about_the_scene():
    flat = make_answers(plain=np.full(4, 50.0), changed=dict.fromkeys(SCENE_TESTS, np.full(4, 50.0)))
    by_name = results([flat] * 3, [np.full(4, 50.0)] * 3)
    assert [by_name[name].passed for name in ("reversed", *SCENE_TESTS)] == [False] * 5


@pytest.mark.parametrize("name", SCENE_TESTS)
def test_a_value_that_moves_with_the_same_scene_fails(name):
    one = results([make_answers(changed={name: np.array([20.0, 60.0, 90.0, 80.0])})] * 3)[name]
    assert one.model.measured == 20.0 and one.passed is False and one.counts and one.unit == "points"
    near_start = make_answers(
        changed={name: np.array([0.0, 60.0, 70.0, 100.0])},
        has_effect=make_answers().has_effect | {name: np.array([False, True, True, False])},
    )
    assert results([near_start])[name].model.measured == 10.0 and results([near_start])[name].windows == 2


def test_a_window_without_a_percentage_counts_as_changed_and_out_of_order():
    one = results([make_answers(changed={"frozen": np.array([0.0, 40.0, NAN, 100.0])})] * 3)["frozen"]
    assert (one.model.measured, one.model.order, one.passed, one.unanswered) == (25.0, -1.0, False, 3)
    nothing = make_answers(changed={"frozen": np.full(4, NAN)}, blank=np.full(3, NAN), blank_spread=np.full(3, NAN))
    by_name = results([nothing])
    assert by_name["frozen"].model.measured == 100.0 and by_name["frozen"].passed is False
    assert by_name["blank"].model.measured is None and by_name["blank"].passed is None
    half = results([make_answers(blank=np.array([0.0, NAN, 0.0]))])["blank"]
    assert (half.model.measured, half.passed, half.unanswered) == (0.0, None, 1)


def test_a_window_of_one_frame_cannot_be_changed():
    same = make_answers(has_effect={name: np.full(4, False) for name in SCENE_TESTS})
    by_name = results([same] * 3)
    assert all(by_name[name].model.measured == 0.0 and by_name[name].passed for name in SCENE_TESTS)


def test_means_are_taken_per_episode_first():
    moved = make_answers(
        changed={"frozen": np.array([0.0, 40.0, 70.0, 70.0])},  # one window, 30 points
        has_effect=make_answers().has_effect | {"frozen": np.array([False, False, False, True])},
    )
    assert results([moved, make_answers()])["frozen"].model.measured == 15.0
    assert results([moved, make_answers()])["frozen"].windows == 5


def test_blank_images_may_be_low_or_unsure():
    assert results([make_answers(blank=np.array([90.0, 90.0, 90.0]))])["blank"].passed is False
    unsure = make_answers(blank=np.array([50.0, 50.0, 50.0]), blank_spread=np.array([30.0, 20.0, 10.0]))
    one = results([unsure])["blank"]
    assert one.passed is True and one.model.spread == 20.0


def test_another_task_must_stay_low():
    one = results([make_answers(changed={"other_task": np.full(4, 60.0)})])["other_task"]
    assert one.passed is False and one.asked == ("Peel the banana",)


def test_reversed_playback_must_fall():
    assert results([make_answers()], [FALLING[::-1]])["reversed"].passed is False
    assert results([make_answers()], [np.full(4, 30.0)])["reversed"].model.measured == 0.0  # constant: no fall
    assert results([make_answers()], [])["reversed"].passed is None
    assert results([make_answers()], [np.full(4, NAN)])["reversed"].passed is False  # without answers: no fall
    assert falling(np.array([NAN, 3.0])) is None and falling(np.array([9.0, NAN, 3.0])) == pytest.approx(-1.0)


def test_failures_have_no_order_to_keep():
    stopped = make_answers(success=False, changed={"frozen": np.array([0.0, 40.0, 70.0, 60.0])})
    assert results([make_answers(), stopped])["frozen"].model.order == pytest.approx(1.0)
    assert results([stopped], [])["frozen"].passed is None


def test_shuffled_orders_are_a_distribution_around_zero():
    orders = shuffled_orders([np.arange(30.0)] * 5)
    assert orders.mean() == pytest.approx(0.0, abs=0.02) and 0.05 < orders.std() < 0.12
    assert len(shuffled_orders([])) == 0
