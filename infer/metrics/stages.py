"""Boundaries: does the list of remaining actions change where the demonstration changes its stage?

Knows annotations and the lists that answers hold; does not know percentages beyond "is it done", videos or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from dataset.annotation import Annotation
from dataset.labels import SUCCESS_THRESHOLD, plan_steps, remaining_subtasks
from dataset.prompts import parse_answer

BOUNDARY_TOLERANCE = 0.05


def labelled_stages(annotation: Annotation, frames: Sequence[int]) -> list[int | None]:
    """Return the step that is being done at every frame: 0 for the first, K when all K are done.

    None in excluded stages. Steps are those of `dataset.labels.plan_steps`: a repeated attempt is the same step.
    """
    stages = [_stage_at(annotation, frame) for frame in frames]
    steps = len(plan_steps(annotation).steps)
    return [
        None if stage is not None and stage.excluded else steps - len(remaining_subtasks(annotation, frame))
        for stage, frame in zip(stages, frames, strict=True)
    ]


def _stage_at(annotation: Annotation, frame: int):
    return next((stage for stage in annotation.stages if stage.start <= frame < stage.end), None)


def answered_stages(annotation: Annotation, outputs: Sequence[str]) -> list[int | None]:
    """Return the step that every answer says is being done, as `labelled_stages` counts them; None for none of them.

    It is the step named first in the list of remaining actions, without regard to case, blanks and a full stop; where
    several steps have that name, the one with the nearest number of steps left. No list means that all is done, if the
    answer also says at least 95 %; an answer that says neither names no step. Words of their own count as no step: a
    base model that was not adapted to the wording of these steps scores low here whatever it sees.

    Args:
        annotation: The episode; its texts are those that the model was taught, or the comparison means little.
        outputs: The raw answers.
    """
    plan = plan_steps(annotation)
    steps_of: dict[str, list[int]] = {}
    for stage, step in zip(annotation.kept_stages, plan.step_of_stage, strict=True):
        steps_of.setdefault(_normal(stage.subtask), []).append(step)
    return [_answered_stage(steps_of, len(plan.steps), output) for output in outputs]


def _answered_stage(steps_of: dict[str, list[int]], count: int, output: str) -> int | None:
    answer = parse_answer(output)
    if not answer.remaining:
        return count if answer.progress is not None and answer.progress >= SUCCESS_THRESHOLD else None
    by_length = count - len(answer.remaining)
    return min(steps_of.get(_normal(answer.remaining[0]), ()), key=lambda step: abs(step - by_length), default=None)


def _normal(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()


def stage_accuracy(labelled: Sequence[int | None], answered: Sequence[int | None]) -> float | None:
    """Return the share of labelled frames whose answer names the step that is being done, 0 to 1.

    An answer that names no step is wrong. None without a labelled frame.
    """
    pairs = _labelled_pairs(labelled, answered)
    return sum(label == answer for label, answer in pairs) / len(pairs) if pairs else None


def boundary_f1(
    frames: Sequence[int],
    labelled: Sequence[int | None],
    answered: Sequence[int | None],
    tolerance: float = BOUNDARY_TOLERANCE,
) -> float | None:
    """Return the F1 score of the places where the step changes, as answered against as labelled.

    `2 TP / (2 TP + FP + FN)`: a boundary is a frame whose step differs from that of the frame before it, and is found
    when an answered boundary lies within `tolerance` times the length of the playback (the reference scores its action
    segmentation so, with 5 %); each boundary is used once, as many as possible are matched. Which steps meet there does
    not count (`stage_accuracy` does that), but a list that flickers adds false boundaries. Frames without a step are
    passed over. None where neither side has a boundary.

    Args:
        frames: Source frames, rising.
        labelled, answered: The step at each, from `labelled_stages` and `answered_stages`.
        tolerance: Share of `frames[-1] - frames[0]`.
    """
    if not len(frames) == len(labelled) == len(answered):
        raise ValueError(f"{len(frames)} frames, {len(labelled)} labels, {len(answered)} answers; they go together")
    wanted, found = _boundaries(frames, labelled), _boundaries(frames, answered)
    if not wanted and not found:
        return None
    matched = _matched(wanted, found, tolerance * (frames[-1] - frames[0]))
    return 2 * matched / (len(wanted) + len(found))


def _boundaries(frames: Sequence[int], stages: Sequence[int | None]) -> list[int]:
    known = [(frame, stage) for frame, stage in zip(frames, stages, strict=True) if stage is not None]
    return [after[0] for before, after in pairwise(known) if before[1] != after[1]]


def _matched(wanted: Sequence[int], found: Sequence[int], reach: float) -> int:
    """Count the pairs of two rising lists that lie within `reach`; taking the earliest fit is optimal on a line."""
    matched, place = 0, 0
    for boundary in wanted:
        while place < len(found) and found[place] < boundary - reach:
            place += 1
        if place < len(found) and found[place] <= boundary + reach:
            matched, place = matched + 1, place + 1
    return matched


def _labelled_pairs(labelled: Sequence[int | None], answered: Sequence[int | None]) -> list[tuple[int, int | None]]:
    if len(labelled) != len(answered):
        raise ValueError(f"{len(labelled)} labels for {len(answered)} answers; there must be one per frame")
    return [(label, answer) for label, answer in zip(labelled, answered, strict=True) if label is not None]
