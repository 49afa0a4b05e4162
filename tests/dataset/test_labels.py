from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import annotated, make_annotation

from dataset.annotation import Annotation, Stage
from dataset.labels import label_curve, plan_steps, remaining_subtasks, stage_weights


def test_weights_are_clipped_and_sum_to_one():
    # K n / T = 0.2 and 1.8, clipped to 0.75 and 1.25
    np.testing.assert_allclose(stage_weights([10, 90]), [0.375, 0.625])
    np.testing.assert_allclose(stage_weights([50, 50]), [0.5, 0.5])


def test_progress_grows_with_time_inside_a_stage():
    curve = label_curve(annotated(4, 4, tail=2))
    np.testing.assert_allclose(curve, [0, 12.5, 25, 37.5, 50, 62.5, 75, 87.5, 100, 100])


def test_without_a_finished_tail_the_label_stays_below_100():
    assert label_curve(annotated(4, 4))[-1] == 87.5


def test_a_failure_is_scaled_by_what_it_reached():
    curve = label_curve(annotated(4, 4, tail=1, success=False, final_progress=60.0))
    np.testing.assert_allclose(curve[[0, 4, 8]], [0, 30, 60])


def test_an_excluded_stage_has_no_label_and_no_weight(video):
    annotation = Annotation(
        video="v.mp4", fingerprint="x", num_frames=12, fps=25.0, task="t", success=True,
        stages=(Stage("a", 0, 4), Stage("", 4, 8, excluded=True), Stage("b", 8, 12)),
    )  # fmt: skip
    curve = label_curve(annotation)
    assert np.isnan(curve[4:8]).all()
    np.testing.assert_allclose(curve[[0, 3, 8, 11]], [0, 37.5, 50, 87.5])


def test_measured_progress_is_the_label(video):
    measured = tuple(float(i) for i in range(40))
    np.testing.assert_array_equal(label_curve(make_annotation(video, 10, 30, measured_progress=measured)), measured)


@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=8), tail=st.integers(1, 10))
def test_curves_never_fall_and_end_at_100(lengths, tail):
    curve = label_curve(annotated(*lengths, tail=tail))
    assert (np.diff(curve) >= -1e-9).all()
    assert curve[0] == 0.0
    assert curve[-1] == 100.0
    assert curve.max() <= 100.0


def test_remaining_subtasks():
    annotation = annotated(4, 4, 4, tail=2)
    assert remaining_subtasks(annotation, 0) == ("s0", "s1", "s2")
    assert remaining_subtasks(annotation, 4) == ("s1", "s2")
    assert remaining_subtasks(annotation, 12) == ()


def test_a_subtask_that_occurs_twice_stays_two_steps():
    annotation = annotated(4, 4, 4)
    stages = tuple(replace(stage, subtask=text) for stage, text in zip(annotation.stages, "aba", strict=True))
    assert remaining_subtasks(replace(annotation, stages=stages), 0) == ("a", "b", "a")


def test_after_a_failure_the_last_stage_remains():
    annotation = annotated(4, 4, tail=2, success=False, final_progress=50.0)
    assert remaining_subtasks(annotation, 9) == ("s1",)


def test_percentages_are_percentages():
    assert label_curve(annotated(10, tail=1)).max() == pytest.approx(100.0)


def visual(annotation: Annotation, similarity) -> np.ndarray:
    return label_curve(annotation, "visual", np.array(similarity, dtype=float))


def test_visual_progress_follows_the_change_between_frames():
    # weights 0.5 and 0.5; increments 1.5 - sim: stage 1: -, 0.5, 1.5, 0.5 of 2.5; stage 2: -, 1, 0.5, 0.5 of 2
    curve = visual(annotated(4, 4, tail=1), [1, 1, 0, 1, 0.2, 0.5, 1, 1, 1])
    np.testing.assert_allclose(curve, [0, 10, 40, 50, 50, 75, 87.5, 100, 100])


def test_visual_progress_of_a_failure_is_scaled_and_of_one_frame_is_whole():
    curve = visual(annotated(3, 1, success=False, final_progress=60.0), [1, 1, 1, 1])
    # lengths 3 and 1: weights clip(1.5) = 1.25 and clip(0.5) = 0.75, so 0.625 and 0.375
    np.testing.assert_allclose(curve, [0, 18.75, 37.5, 60])


def test_visual_labels_need_the_similarity_of_every_frame():
    with pytest.raises(ValueError, match="need the similarity of the frames"):
        label_curve(annotated(4), "visual")
    with pytest.raises(ValueError, match="similarity has 3 values for 4 frames"):
        visual(annotated(4), [1, 1, 1])
    with pytest.raises(ValueError, match='labels is "cubic"'):
        label_curve(annotated(4), "cubic")


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    tail=st.integers(1, 5),
    seed=st.integers(0, 1000),
    excluded=st.integers(0, 5),
)
def test_visual_curves_never_fall_and_give_each_stage_its_share(lengths, tail, seed, excluded):
    annotation = annotated(*lengths, tail=tail)
    if excluded < len(lengths) and len(lengths) > 1:
        stages = list(annotation.stages)
        stages[excluded] = replace(stages[excluded], excluded=True)
        annotation = replace(annotation, stages=tuple(stages))
    curve = visual(annotation, np.random.default_rng(seed).random(annotation.num_frames))
    kept = annotation.kept_stages
    weights = 100 * stage_weights([stage.end - stage.start for stage in kept])
    reached = 0.0
    for stage, weight in zip(kept, weights, strict=True):
        part = curve[stage.start : stage.end]
        assert (np.diff(part) >= -1e-9).all()
        assert reached - 1e-9 <= part[0] and part[-1] == pytest.approx(reached + weight)
        reached += weight
    assert (curve[annotation.last_stage_end :] == 100.0).all()
    assert np.nanmax(curve) <= 100.0


def falling(*texts_and_marks, tail: int = 1, **fields) -> Annotation:
    """Stages of four frames each: a text, or a text with the number of the stage that it falls back to."""
    rows = [row if isinstance(row, tuple) else (row, None) for row in texts_and_marks]
    annotation = annotated(*[4] * len(rows), tail=tail, **fields)
    stages = (
        replace(stage, subtask=text, falls_back_to=back)
        for stage, (text, back) in zip(annotation.stages, rows, strict=True)
    )
    return replace(annotation, stages=tuple(stages))


def test_a_fall_back_lowers_the_curve_to_the_start_of_the_stage_fallen_back_to():
    annotation = falling("reach", ("lift", 1), "reach", "lift", "place")
    curve = label_curve(annotation)
    third = 100 / 3
    np.testing.assert_allclose(curve[[0, 4, 7]], [0, third, third * 1.75])
    np.testing.assert_allclose(curve[[8, 12, 16, 20]], [0, third, 2 * third, 100])
    assert plan_steps(annotation).step_of_stage == (0, 1, 0, 1, 2)
    assert remaining_subtasks(annotation, 5) == ("lift", "place")
    assert remaining_subtasks(annotation, 9) == ("reach", "lift", "place")
    assert remaining_subtasks(annotation, 20) == ()


def test_a_stage_that_falls_back_to_itself_is_tried_again():
    curve = label_curve(falling("reach", ("grasp", 2), "grasp"))
    np.testing.assert_allclose(curve[::4], [0, 50, 50, 100])


def test_a_failure_that_ends_by_falling_back_stays_there():
    annotation = falling("reach", "lift", ("place", 2), tail=2, success=False, final_progress=90.0)
    curve = label_curve(annotation)
    np.testing.assert_allclose(curve[[4, 8, 12, 13]], [30, 60, 30, 30])
    assert remaining_subtasks(annotation, 13) == ("lift", "place")


def test_an_attempt_split_finer_than_its_repetition_counts_to_the_last_step():
    annotation = falling("reach", "close", ("lift", 1), "pick up", "place")
    assert plan_steps(annotation).step_of_stage == (0, 1, 1, 0, 1)
    assert label_curve(annotation)[-1] == 100.0


@given(data=st.data(), lengths=st.lists(st.integers(1, 9), min_size=2, max_size=7), success=st.booleans())
def test_curves_with_fall_backs_stay_inside_and_fall_only_there(data, lengths, success):
    outcome = {} if success else {"success": False, "final_progress": 70.0}
    annotation = annotated(*lengths, tail=1, **outcome)
    stages = []
    for number, stage in enumerate(annotation.stages, start=1):
        marks = st.none() if success and number == len(lengths) else st.none() | st.integers(1, number)
        stages.append(replace(stage, falls_back_to=data.draw(marks)))
    annotation = replace(annotation, stages=tuple(stages))
    curve = label_curve(annotation)
    assert curve.min() >= 0.0 and curve.max() <= annotation.final_progress + 1e-9
    falls = set(np.flatnonzero(np.diff(curve) < -1e-9) + 1)
    assert falls <= {stage.end for stage in stages}
    if all(stage.falls_back_to is None for stage in stages):
        assert not falls
    if success:
        assert curve[-1] == 100.0


def test_weights_of_ones_own_replace_the_lengths():
    annotation = annotated(4, 40, 4, tail=1)
    stages = (replace(annotation.stages[0], weight=3.0), *annotation.stages[1:])  # the others count 1
    np.testing.assert_allclose(label_curve(replace(annotation, stages=stages))[[0, 4, 44, 48]], [0, 60, 80, 100])


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan")])
def test_a_weight_is_a_positive_number(weight):
    with pytest.raises(ValueError, match=r"has the weight .*; it must be a positive number, or be left out"):
        Stage("a", 0, 1, weight=weight)
