"""Checks of failures: does a failure say of a state what the successes of its task say?

Knows plans, label curves and hashed pictures. A model learns one answer for equal pictures, so that two are a mistake.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataset.demonstration import Demonstration
from dataset.finding import Finding
from dataset.labels import ROUNDED, plan_steps, step_levels
from dataset.similarity import STILL_BITS, cached_hashes
from dataset.task_plan import same_task_success
from dataset.video import VideoReader

COMPARED_FRAMES = 300  # most frames of an episode that are compared with another's, evenly spread
FEWEST_ALIKE = 5  # frames; fewer look like a success by chance, since hashes of 64 bits miss small movements
UNEQUAL_POINTS = 10.0  # labels of equal pictures that differ by more contradict each other


def check_failures(demonstrations: Sequence[Demonstration], curves: Sequence[np.ndarray] | None) -> list[Finding]:
    """Compare every failure with the successes of its task.

    Args:
        demonstrations: The set; its failures have their plans.
        curves: Their labels; None leaves out the comparison of pictures, which decodes every video once.
    """
    findings = []
    for number, failure in enumerate(demonstrations):
        if failure.annotation.success:
            continue
        same_task = [k for k, d in enumerate(demonstrations) if same_task_success(failure.annotation, d.annotation)]
        findings += _check_plan(failure, [demonstrations[k] for k in same_task])
        if curves is not None and same_task:
            successes = [(demonstrations[k], curves[k]) for k in same_task]
            findings += _compare_pictures(failure, curves[number], successes)
    return findings


def _check_plan(failure: Demonstration, successes: Sequence[Demonstration]) -> list[Finding]:
    """Check that steps and scale of a failure come from a success, and that its end fits them."""
    annotation = failure.annotation
    measured = annotation.measured_progress is not None
    if annotation.plan is None and not successes:
        scale = "" if measured else f"its labels are scaled to end at {annotation.final_progress:g} %, and "
        message = (
            f"{failure.path} is a failure, and no success of its task is in this set: {scale}only the steps marked in "
            "it are listed. A success says other things of equal pictures; name one of the same task as well"
        )
        return [Finding("warning", "all", message, field="final_progress")]
    if annotation.plan is None:
        success = successes[0]
        texts = ", ".join(f'"{step.subtask}"' for step in plan_steps(success.annotation).steps)
        message = (
            f"its stages are not among the steps of {success.path} in their order, so that it has a scale and a list "
            f"of its own; use these texts: {texts}"
        )
        return [Finding("warning", failure.path, message, field="stages")]
    if measured:
        return []
    plan, levels, final = plan_steps(annotation), step_levels(annotation), annotation.final_progress
    step, last = plan.step_of_stage[-1], len(annotation.stages)
    where = f'the last stage, "{annotation.kept_stages[-1].subtask}", goes from {levels[step]:.1f} to'
    scale = f"{where} {levels[step + 1]:.1f} % on the scale of {annotation.plan.source}"
    if final > levels[step + 1] + ROUNDED:
        message = f"final_progress is {final:g}, but {scale}; mark the stages that were reached, or lower it"
    elif final < levels[step] - ROUNDED:
        message = (
            f"final_progress is {final:g}, but {scale}: the labels fall to {final:g} % after it. If nothing was lost, "
            "raise it; if something was, say so with falls_back_to"
        )
    else:
        return []
    return [Finding("warning", failure.path, message, last, "final_progress")]


def _compare_pictures(
    failure: Demonstration, labels: np.ndarray, successes: Sequence[tuple[Demonstration, np.ndarray]]
) -> list[Finding]:
    """Find whether most frames of a failure that look like frames of a success have none of their labels."""
    hashes, frames = _hashes(failure, labels)
    nearest = np.full(len(frames), np.inf)
    places: list[tuple[Demonstration, int, float]] = [(failure, 0, 0.0)] * len(frames)
    for success, of_success in successes:
        others, other_frames = _hashes(success, of_success)
        alike = np.bitwise_count(hashes[:, None] ^ others[None]).sum(axis=2) <= STILL_BITS
        gaps = np.where(alike, np.abs(labels[frames][:, None] - of_success[other_frames][None]), np.inf)
        for place in np.flatnonzero(gaps.min(axis=1, initial=np.inf) < nearest):
            other = int(other_frames[gaps[place].argmin()])
            nearest[place], places[place] = gaps[place].min(), (success, other, float(of_success[other]))
    matched = np.isfinite(nearest)
    unequal = matched & (nearest > UNEQUAL_POINTS)
    if matched.sum() < FEWEST_ALIKE or 2 * unequal.sum() <= matched.sum():
        return []
    worst = int(np.where(unequal, nearest, -1.0).argmax())
    success, other, label = places[worst]
    frame = int(frames[worst])
    message = (
        f"frame {frame} looks like frame {other} of {success.path}, but its label is {labels[frame]:.1f} % and not "
        f"{label:.1f} % (of {matched.sum()} frames that look like one of a success, {unequal.sum()} have another "
        "label). Correct the stages or the end of one of them, unless the pictures differ in a detail that decides"
    )
    return [Finding("warning", failure.path, message, field="stages")]


def _hashes(demonstration: Demonstration, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return packed hashes of up to `COMPARED_FRAMES` labelled frames, uint8, and these frames."""
    labelled = np.flatnonzero(np.isfinite(labels))
    places = np.linspace(0, len(labelled) - 1, min(COMPARED_FRAMES, len(labelled))).round().astype(int)
    frames = labelled[places]
    return np.packbits(cached_hashes(VideoReader(demonstration.video))[frames], axis=1), frames
