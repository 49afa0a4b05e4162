from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import make_annotation

from dataset.annotation import Annotation, Stage
from dataset.progress import label_curve, remaining_subtasks, stage_weights


def annotated(*lengths: int, tail: int = 0, **fields) -> Annotation:
    ends = np.cumsum(lengths)
    return Annotation(
        video="v.mp4", fingerprint="x", num_frames=int(ends[-1]) + tail, fps=25.0, task="t",
        stages=tuple(Stage(f"s{i}", int(e - n), int(e)) for i, (n, e) in enumerate(zip(lengths, ends, strict=True))),
        **{"success": True, **fields},
    )  # fmt: skip


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
