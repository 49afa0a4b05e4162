"""Stage metrics: does the list of remaining actions name the right stage, and change where the stage changes?

Knows annotations and answers; of a percentage it only knows whether it means "done". Does not know videos or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from dataset.annotation import Annotation
from dataset.labels import SUCCESS_THRESHOLD, plan_steps, remaining_subtasks
from dataset.prompts import parse_answer
from dataset.wording import plain_text

BOUNDARY_TOLERANCE = 0.05


def labelled_stages(annotation: Annotation, frames: Sequence[int]) -> list[int | None]:
    """Return the current step at every frame: 0 for the first, K when all K steps are done, None in excluded stages.

    Steps are those of `dataset.labels.plan_steps`: a repeated attempt is the same step.
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
    """Return the current step according to every answer, numbered as in `labelled_stages`; None where it names no step.

    It is the first step in the list of remaining actions, compared without case, white space, full stop and encoding of
    letters. If several steps have that name, it is the one whose number of remaining steps is nearest. An answer
    without a list means that all steps are done if its percentage is at least 95. Other wordings count as no step: a
    base model, which was not trained on the wording of these steps, scores low.

    Args:
        annotation: The episode; its texts must be those that the model was trained on.
        outputs: The raw answers.
    """
    plan = plan_steps(annotation)
    steps_of: dict[str, list[int]] = {}
    for step, planned in enumerate(plan.steps):
        steps_of.setdefault(plain_text(planned.subtask), []).append(step)
    for stage, step in zip(annotation.kept_stages, plan.step_of_stage, strict=True):
        steps_of.setdefault(plain_text(stage.subtask), []).append(step)
    return [_answered_stage(steps_of, len(plan.steps), output) for output in outputs]


def _answered_stage(steps_of: dict[str, list[int]], count: int, output: str) -> int | None:
    answer = parse_answer(output)
    if not answer.remaining:
        return count if answer.progress is not None and answer.progress >= SUCCESS_THRESHOLD else None
    by_length = count - len(answer.remaining)
    return min(steps_of.get(plain_text(answer.remaining[0]), ()), key=lambda step: abs(step - by_length), default=None)


def stage_accuracy(labelled: Sequence[int | None], answered: Sequence[int | None]) -> float | None:
    """Return the share of labelled frames whose answer names the current step, 0 to 1.

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
    """Return the F1 score of the boundaries in the answers against those in the labels.

    `2 TP / (2 TP + FP + FN)`. A boundary is a frame whose step differs from that of the frame before it. Two boundaries
    match if they are at most `tolerance` times the length of the playback apart (ProcVLM scores its action segmentation
    this way, with 5 %); each is matched once, as many as possible. Which steps meet at a boundary does not count
    (`stage_accuracy` measures that), but a list that flickers adds false boundaries. Frames without a step are skipped.
    None where neither side has a boundary.

    Args:
        frames: Source frames, rising.
        labelled, answered: The step at each, from `labelled_stages` and `answered_stages`.
        tolerance: Share of `frames[-1] - frames[0]`.
    """
    if not len(frames) == len(labelled) == len(answered):
        raise ValueError(f"{len(frames)} frames, {len(labelled)} labels, {len(answered)} answers; give one per frame")
    labels, answers = _boundaries(frames, labelled), _boundaries(frames, answered)
    if not labels and not answers:
        return None
    matched = _count_matches(labels, answers, tolerance * (frames[-1] - frames[0]))
    return 2 * matched / (len(labels) + len(answers))


def _boundaries(frames: Sequence[int], stages: Sequence[int | None]) -> list[int]:
    steps = [(frame, stage) for frame, stage in zip(frames, stages, strict=True) if stage is not None]
    return [after[0] for before, after in pairwise(steps) if before[1] != after[1]]


def _count_matches(labels: Sequence[int], answers: Sequence[int], reach: float) -> int:
    """Count the pairs of two rising lists at most `reach` apart; taking the earliest match is optimal on a line."""
    matched, place = 0, 0
    for boundary in labels:
        while place < len(answers) and answers[place] < boundary - reach:
            place += 1
        if place < len(answers) and answers[place] <= boundary + reach:
            matched, place = matched + 1, place + 1
    return matched


def _labelled_pairs(labelled: Sequence[int | None], answered: Sequence[int | None]) -> list[tuple[int, int | None]]:
    if len(labelled) != len(answered):
        raise ValueError(f"{len(labelled)} labels for {len(answered)} answers; there must be one per frame")
    return [(label, answer) for label, answer in zip(labelled, answered, strict=True) if label is not None]
