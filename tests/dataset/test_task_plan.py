from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import annotated

from dataset.annotation import Annotation
from dataset.labels import label_curve, plan_steps, remaining_subtasks
from dataset.task_plan import proposed_ends, with_plan


def failed(success: Annotation, frames: int, final: float, tail: int = 0, **fields) -> Annotation:
    """Return the first `frames` frames of a demonstration, and `tail` more, marked as a failure."""
    stages = tuple(replace(s, end=min(s.end, frames)) for s in success.stages if s.start < frames)
    return replace(
        success, stages=stages, num_frames=frames + tail, success=False, final_progress=final, fingerprint="y", **fields
    )


@st.composite
def successes(draw) -> Annotation:
    """Draw successes with repeated attempts, excluded stages and weights of their own."""
    steps = draw(st.integers(1, 5))
    rows: list[tuple[int, int | None]] = []  # the step of every stage, and the step that it falls back to
    step = 0
    while step < steps:
        back = draw(st.one_of(st.none(), st.integers(0, step))) if len(rows) < 12 else None
        rows.append((step, back))
        step = step + 1 if back is None else back
    lengths = [draw(st.integers(1, 30)) for _ in rows]
    success = annotated(*lengths, tail=draw(st.integers(0, 5)))
    weights = draw(st.one_of(st.none(), st.lists(st.floats(0.1, 10), min_size=steps, max_size=steps)))
    stages = []
    for number, (stage, (step, back)) in enumerate(zip(success.stages, rows, strict=True)):
        target = None if back is None else 1 + max(k for k in range(number + 1) if rows[k][0] == back)
        weight = None if weights is None else weights[step]
        stages.append(replace(stage, subtask=f"s{step}", falls_back_to=target, weight=weight))
    success = replace(success, stages=tuple(stages))
    if draw(st.booleans()) and lengths[0] > 2:  # a halt at the start is left out
        first, *rest = success.stages
        cut = draw(st.integers(1, lengths[0] - 1))
        later = [
            replace(s, falls_back_to=s.falls_back_to and s.falls_back_to + 1)
            for s in (replace(first, start=cut), *rest)
        ]
        success = replace(success, stages=(replace(first, end=cut, excluded=True, falls_back_to=None), *later))
    return success


@given(success=successes(), share=st.floats(0, 1), visual=st.booleans(), seed=st.integers(0, 99))
def test_a_success_cut_at_any_frame_and_marked_as_a_failure_keeps_labels_and_remaining_steps(
    success, share, visual, seed
):
    first_kept = success.kept_stages[0].start
    end = success.last_stage_end
    frames = first_kept + 1 + int(share * (end - first_kept - 1))
    similarity = np.random.default_rng(seed).random(success.num_frames)
    how = ("visual", similarity) if visual else ("linear",)
    curve = label_curve(success, *how)
    if visual:
        final = curve[frames - 1]
    else:
        stage = next(s for s in success.stages if s.start < frames <= s.end)
        line = label_curve(success)[stage.start : stage.end]
        rise = line[1] - line[0] if len(line) > 1 else 100 - line[0]
        final = line[0] + rise * (frames - stage.start)
    failure = with_plan(failed(success, frames, min(final, 99.999999)), [success])
    how = ("visual", similarity[:frames]) if visual else ("linear",)
    np.testing.assert_allclose(label_curve(failure, *how), curve[:frames], atol=1e-5)
    for t in range(frames):
        assert remaining_subtasks(failure, t) == remaining_subtasks(success, t)


def test_a_failure_lists_the_steps_that_it_never_reached_and_has_the_scale_of_the_success():
    success = annotated(4, 4, 4, tail=2)
    failure = with_plan(failed(success, 6, 50.0, tail=2), [success])
    np.testing.assert_array_equal(label_curve(failure)[:4], label_curve(success)[:4])
    np.testing.assert_allclose(label_curve(failure)[4:], [100 / 3, 100 / 3 + 25 / 3, 50, 50])
    assert remaining_subtasks(failure, 0) == ("s0", "s1", "s2")
    assert remaining_subtasks(failure, 7) == ("s1", "s2")


@pytest.mark.parametrize(
    ("final", "left"), [(0.0, ("s0", "s1", "s2")), (33.0, ("s1", "s2")), (67.0, ("s2",)), (99.0, ("s2",))]
)
def test_after_a_failure_the_step_whose_share_holds_its_end_remains(final, left):
    success = annotated(4, 4, 4)
    failure = with_plan(failed(success, 8, final, tail=1), [success])
    assert label_curve(failure)[-1] == final
    assert remaining_subtasks(failure, 8) == left


def test_a_failure_that_falls_back_at_its_end_has_the_level_fallen_back_to():
    success = annotated(4, 4, 4)
    failure = failed(success, 8, 60.0, tail=1)
    failure = replace(failure, stages=(failure.stages[0], replace(failure.stages[1], falls_back_to=2)))
    failure = with_plan(failure, [success])
    assert label_curve(failure)[-1] == pytest.approx(100 / 3)
    assert remaining_subtasks(failure, 8) == ("s1", "s2")


def test_a_failure_may_leave_out_a_step():
    success = annotated(4, 4, 4)
    failure = replace(failed(success, 8, 90.0), stages=(success.stages[0], replace(success.stages[2], start=4, end=8)))
    failure = with_plan(failure, [success])
    assert plan_steps(failure).step_of_stage == (0, 2)
    assert label_curve(failure)[4] == pytest.approx(200 / 3)


def test_the_shortest_success_of_the_task_with_these_steps_gives_the_plan_whatever_the_order():
    long, short, other = annotated(9, 9), annotated(4, 4), replace(annotated(2, 2), task="u")
    failure = failed(short, 4, 50.0)
    for others in ([long, short, other], [other, short, long, short]):
        assert with_plan(failure, others, [f"{a.num_frames}.json" for a in others]).plan.source == "8.json"
    assert with_plan(failure, [other]).plan is None
    assert with_plan(short, [long]) is short


def test_the_scale_of_a_measured_success_is_what_was_measured():
    success = replace(annotated(2, 2, tail=1), measured_progress=(0.0, 30.0, 80.0, 90.0, 100.0))
    failure = with_plan(failed(replace(success, measured_progress=None), 2, 80.0), [success])
    np.testing.assert_allclose(label_curve(failure), [0, 40])


def test_ends_that_a_failure_can_have_are_those_of_the_steps_of_a_success():
    assert [(end.step, end.subtask, end.percent) for end in proposed_ends(annotated(4, 4, 4))] == [
        (1, "s0", 33.3),
        (2, "s1", 66.7),
    ]
