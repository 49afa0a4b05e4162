"""Labels: the progress of every frame of an annotated demonstration, in percent.

Knows annotations and the formulas. Does not know pixels (see `similarity`), samples, prompts or models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dataset.annotation import Annotation, Stage

SUCCESS_THRESHOLD = 95.0
Labels = Literal["linear", "visual"]


def stage_weights(lengths: list[int]) -> np.ndarray:
    """Return the share of each stage in the whole task; float64, shape (K,), sums to 1.

    `w_k = clip(K * n_k / T, 0.75, 1.25)` for K stages of n_k frames, T = sum n_k, then normalised (ProcVLM, arXiv
    2605.08774): longer stages have larger shares, within limits.
    """
    counts = np.asarray(lengths, dtype=np.float64)
    weights: np.ndarray = np.clip(len(counts) * counts / counts.sum(), 0.75, 1.25)
    weights /= weights.sum()
    return weights


def label_curve(annotation: Annotation, labels: Labels = "linear", similarity: np.ndarray | None = None) -> np.ndarray:
    """Return the progress of every frame in percent; float64, shape (num_frames,); nan in excluded stages.

    If the annotation holds measured progress, that is the label. Otherwise every step of the task (`plan_steps`) has a
    share w of 100 %, and a kept stage [s, e) rises from the share of the steps before it by its own, times a fraction:

    * "linear": time, `(t - s) / (e - s)`.
    * "visual": visual change (ProcVLM, arXiv 2605.08774), the cumulative sum of `1.5 - sim(i - 1, i)` over the frames
      s < i <= t, divided by the sum over the whole stage. The stage's first frame adds nothing, its last one reaches
      its share; a stage of one frame, without a change to divide by, reaches it at once.

    Where a stage falls back, the next one begins at the start of the stage fallen back to. Frames after the last stage
    are finished: 100; after a last stage that falls back they stay at the level fallen back to. In a failed
    demonstration all values are scaled by `final_progress / 100`.

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
    plan = plan_steps(annotation)
    weights = stage_weights([stage.end - stage.start for stage in plan.steps])
    before = np.concatenate([[0.0], np.cumsum(weights)])
    for stage, step in zip(annotation.kept_stages, plan.step_of_stage, strict=True):
        length = stage.end - stage.start
        if similarity is not None and labels == "visual":
            gained = weights[step] * _visual_fraction(similarity[stage.start : stage.end])
        else:
            gained = weights[step] * np.arange(length) / length
        curve[stage.start : stage.end] = 100.0 * (before[step] + gained)
    after = plan.next_step
    curve[annotation.last_stage_end :] = 100.0 if after == len(plan.steps) else 100.0 * before[after]
    curve[curve > 100.0 - 1e-9] = 100.0  # a sum of shares may miss 100 by its rounding, and only 100 is "done"
    return curve * (annotation.final_progress / 100.0)


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
        steps: For every step, in order, its last attempt (a stage).
        step_of_stage: For every kept stage, which step it works on.
        next_step: The step that comes after the last stage; `len(steps)` when nothing is left to do.
    """

    steps: tuple[Stage, ...]
    step_of_stage: tuple[int, ...]
    next_step: int


def plan_steps(annotation: Annotation) -> StepPlan:
    """Number the steps of a demonstration: a stage is the step after the one before it, unless that one falls back.

    With stages reach, lift (falls back to 1), reach, lift, place the steps are reach, lift, place and the stages work
    on steps 0, 1, 0, 1, 2. A success has as many steps as its last pass; an attempt that was split finer than that
    pass counts its surplus to the last step. A failure also keeps the steps that were reached and lost again.
    """
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
    return StepPlan(steps, tuple(min(place, count - 1) for place in step_by_number.values()), min(step, count))


def remaining_subtasks(annotation: Annotation, frame_index: int) -> tuple[str, ...]:
    """Return the texts of the steps still to do at a frame, the current one first; empty when the task is done.

    A sub-task that occurs twice is listed twice; an attempt that fails and is repeated is one step. After the last
    stage of a failed demonstration the last stage is what remains (it was attempted and did not succeed), or what it
    fell back to.
    """
    plan = plan_steps(annotation)
    for stage, step in zip(annotation.kept_stages, plan.step_of_stage, strict=True):
        if frame_index < stage.end:
            return (stage.subtask, *(later.subtask for later in plan.steps[step + 1 :]))
    left = tuple(later.subtask for later in plan.steps[plan.next_step :])
    return left if left or annotation.success else (plan.steps[-1].subtask,)
