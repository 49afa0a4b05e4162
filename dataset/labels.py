"""Labels: the progress of every frame of an annotated demonstration, in percent.

Knows annotations and the formulas. Does not know pixels (see `similarity`), samples, prompts or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dataset.annotation import Annotation, Stage
from dataset.wording import same_text

SUCCESS_THRESHOLD = 95.0
ROUNDED = 0.5  # points by which a level that a person entered may miss a stage's end: 33 is 33.3
Labels = Literal["linear", "visual"]


def stage_weights(lengths: list[int]) -> np.ndarray:
    """Return the share of each stage in the whole task, by its length; float64, shape (K,), sums to 1.

    `w_k = clip(K * n_k / T, 0.75, 1.25)` for K stages of n_k frames, T = sum n_k, then normalised (ProcVLM, arXiv
    2605.08774): longer stages have larger shares, within limits.
    """
    counts = np.asarray(lengths, dtype=np.float64)
    weights: np.ndarray = np.clip(len(counts) * counts / counts.sum(), 0.75, 1.25)
    weights /= weights.sum()
    return weights


def stage_shares(steps: Sequence[Stage]) -> np.ndarray:
    """Return the share of each step in the whole task: by the weights in the annotation, else by the lengths.

    As soon as one step has a `weight`, those without count 1, and no length matters.
    """
    if all(step.weight is None for step in steps):
        return stage_weights([step.end - step.start for step in steps])
    weights: np.ndarray = np.array([1.0 if step.weight is None else step.weight for step in steps])
    weights /= weights.sum()
    return weights


def label_curve(annotation: Annotation, labels: Labels = "linear", similarity: np.ndarray | None = None) -> np.ndarray:
    """Return the progress of every frame in percent; float64, shape (num_frames,); nan in excluded stages.

    If the annotation holds measured progress, that is the label. Otherwise every step of the task (`plan_steps`) has a
    share w of 100 % (`stage_shares`), and a kept stage [s, e) rises from the share of the steps before it by its own,
    times a fraction:

    * "linear": time, `(t - s) / (e - s)`.
    * "visual": visual change (ProcVLM, arXiv 2605.08774), the cumulative sum of `1.5 - sim(i - 1, i)` over the frames
      s < i <= t, divided by the sum over the whole stage. The stage's first frame adds nothing, its last one reaches
      its share; a stage of one frame, without a change to divide by, reaches it at once.

    Where a stage falls back, the next one begins at the start of the stage fallen back to. Frames after the last stage
    are finished: 100; after a last stage that falls back they stay at the level fallen back to.

    A failure with a plan has the steps and levels of a success of its task. Its last stage rises to `final_progress`
    instead of by its whole share, within that share, and the frames after it have `final_progress` (or the level
    fallen back to). In a failure without a plan all values are scaled by `final_progress / 100`.

    Args:
        annotation: The demonstration.
        labels: Which fraction.
        similarity: `similarity.frame_similarity` of the video, shape (num_frames,); "visual" needs it.
    """
    if labels not in ("linear", "visual"):
        raise ValueError(f'data.labels is "{labels}"; use "linear" or "visual"')
    curve = np.full(annotation.num_frames, np.nan)
    if annotation.measured_progress is not None:
        curve[:] = annotation.measured_progress
        for stage in annotation.stages:
            if stage.excluded:
                curve[stage.start : stage.end] = np.nan
        return curve
    if labels == "visual":
        if similarity is None:
            raise ValueError(
                'labels "visual" need the similarity of the frames; pass similarity=frame_similarity(reader)'
            )
        if similarity.shape != curve.shape:
            raise ValueError(f"similarity has {len(similarity)} values for {len(curve)} frames; compute it again")
    plan, levels = plan_steps(annotation), step_levels(annotation)
    kept, final = annotation.kept_stages, annotation.final_progress
    for stage, step in zip(kept, plan.step_of_stage, strict=True):
        bottom, top = levels[step], levels[step + 1]
        if annotation.plan is not None and stage is kept[-1]:
            top = min(max(final, bottom), top)
        if similarity is not None and labels == "visual":
            fraction = _visual_fraction(similarity[stage.start : stage.end])
        else:
            fraction = np.arange(stage.end - stage.start) / (stage.end - stage.start)
        curve[stage.start : stage.end] = bottom + (top - bottom) * fraction
    falls_back = kept[-1].falls_back_to is not None
    if annotation.plan is not None:
        curve[annotation.last_stage_end :] = levels[plan.next_step] if falls_back else final
        return curve
    curve[annotation.last_stage_end :] = levels[plan.next_step]
    curve[curve > 100.0 - 1e-9] = 100.0  # a sum of shares may miss 100 by its rounding, and only 100 is "done"
    return curve * (final / 100.0)


def _visual_fraction(similarity: np.ndarray) -> np.ndarray:
    """Return how much of one stage's visual change has happened at each of its frames, 0 to 1, shape (n,)."""
    if len(similarity) == 1:
        return np.ones(1)
    change = 1.5 - similarity
    change[0] = 0.0
    total: np.ndarray = np.cumsum(change)
    total /= total[-1]
    return total


@dataclass(frozen=True)
class StepPlan:
    """The steps of a task: repeated attempts count as one step.

    Args:
        steps: For every step, in order, its last attempt (a stage); of a failure with a plan, that of the success.
        step_of_stage: For every kept stage, which step it works on.
        next_step: The first step that is left to do after the last stage; `len(steps)` when nothing is.
    """

    steps: tuple[Stage, ...]
    step_of_stage: tuple[int, ...]
    next_step: int


def plan_steps(annotation: Annotation) -> StepPlan:
    """Number the steps of a demonstration: a stage is the step after the one before it, unless that one falls back.

    With stages reach, lift (falls back to 1), reach, lift, place the steps are reach, lift, place and the stages work
    on steps 0, 1, 0, 1, 2. A success has as many steps as its last pass; an attempt that was split finer than that
    pass counts its surplus to the last step. A failure with a plan has the steps of the success, also those that it
    did not reach; without one it has those that it reached, lost again or not.
    """
    own, places = _own_steps(annotation)
    if annotation.plan is None:
        return own
    steps = annotation.plan.steps
    if own.next_step < len(own.steps):  # fell back
        return StepPlan(steps, tuple(places[step] for step in own.step_of_stage), places[own.next_step])
    reached = [level <= annotation.final_progress + ROUNDED for level in annotation.plan.levels[1:-1]]
    return StepPlan(steps, tuple(places[step] for step in own.step_of_stage), reached.count(True))


def step_levels(annotation: Annotation) -> tuple[float, ...]:
    """Return the percent at the start of every step of `plan_steps`, and 100."""
    if annotation.plan is not None:
        return annotation.plan.levels
    shares = stage_shares(plan_steps(annotation).steps)
    return (0.0, *(100.0 * np.cumsum(shares)[:-1]).tolist(), 100.0)


def _own_steps(annotation: Annotation) -> tuple[StepPlan, tuple[int, ...]]:
    """Return the steps that the stages themselves show, and for each its place among the steps of the plan."""
    step_by_number: dict[int, int] = {}
    stage_of_step: dict[int, Stage] = {}
    step = 0
    for number, stage in enumerate(annotation.stages, start=1):
        if stage.excluded:
            continue
        step_by_number[number] = step
        stage_of_step[step] = stage
        step = step + 1 if stage.falls_back_to is None else step_by_number[stage.falls_back_to]
    count = step if annotation.success else max(stage_of_step) + 1
    steps = tuple(stage_of_step[place] for place in range(count))
    own = StepPlan(steps, tuple(min(place, count - 1) for place in step_by_number.values()), min(step, count))
    if annotation.plan is None:
        return own, tuple(range(count))
    places = step_places(steps, annotation.plan.steps)
    if places is None:
        raise ValueError("a failure has a plan with other steps than its stages; use dataset.task_plan.with_plan")
    return own, places


def step_places(steps: Sequence[Stage], of_success: Sequence[Stage]) -> tuple[int, ...] | None:
    """Return for each step its place among those of a success, by text and in order; None if one is not there."""
    places: list[int] = []
    for step in steps:
        first = places[-1] + 1 if places else 0
        place = next((k for k in range(first, len(of_success)) if same_text(of_success[k].subtask, step.subtask)), None)
        if place is None:
            return None
        places.append(place)
    return tuple(places)


def remaining_subtasks(annotation: Annotation, frame_index: int) -> tuple[str, ...]:
    """Return the texts of the steps still to do at a frame, the current one first; empty when the task is done.

    A sub-task that occurs twice is listed twice; an attempt that fails and is repeated is one step. After the last
    stage of a failure come the steps that its level leaves to do: from what it fell back to, else from the step whose
    share holds `final_progress`; without a plan, the last stage (it was attempted and did not succeed).
    """
    plan = plan_steps(annotation)
    for stage, step in zip(annotation.kept_stages, plan.step_of_stage, strict=True):
        if frame_index < stage.end:
            return (stage.subtask, *(later.subtask for later in plan.steps[step + 1 :]))
    left = tuple(later.subtask for later in plan.steps[plan.next_step :])
    return left if left or annotation.success else (plan.steps[-1].subtask,)
