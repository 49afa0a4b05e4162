"""Disagreement: where predictions and labels of a demonstration differ, in plain sentences.

Knows labels, predictions and segments of a demonstration; does not know how the predictions were made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infer.metrics.limits import beside_limit
from infer.metrics.progress import mae
from train.rehearsal.perturbed import AS_RECORDED, RECORDINGS

MOST_ERROR = 15.0  # points, as recorded: a segment with a larger error needs another demonstration
MOST_ERROR_PERTURBED = 25.0  # the same in a perturbed recording
NO_ANSWER = 100.0  # points: the error where no answer holds a percentage
MUCH_WORSE = 2.0  # a perturbed recording is named where its error is this many times that of the recording
REMEDIES = {recording.name: recording.remedy for recording in RECORDINGS}


@dataclass(frozen=True)
class Rehearsal:
    """The held-out predictions of a rehearsal.

    Args:
        frames: The sampled frames, rising, each predicted by the run that held it out.
        labels: Percent at each, float64, shape (frames,); nan for none.
        predictions: Per recording (see `perturbed`) the percentages at the same frames; nan for none.
        labelled, answered: The step at each frame, from `infer.metrics.stages`, as recorded.
    """

    frames: Sequence[int]
    labels: np.ndarray
    predictions: Mapping[str, np.ndarray]
    labelled: Sequence[int | None]
    answered: Sequence[int | None]


@dataclass(frozen=True)
class Segment:
    """A piece of one stage of the demonstration.

    Args:
        name: Its name for people.
        stage: The text of the stage.
        start, end: Frames, half-open.
        start_sec, end_sec: Its times.
    """

    name: str
    stage: str
    start: int
    end: int
    start_sec: float
    end_sec: float


@dataclass(frozen=True)
class Disagreement:
    """The predictions of one segment against its labels.

    Args:
        segment: Where.
        frames: Sampled frames in it, at least 1.
        label: Mean label, percent.
        prediction: Mean prediction as recorded, percent; None where no answer holds one.
        errors: Per recording the mean absolute error, points; None without an answer.
        stages_right: Share of the answers, as recorded, that name the right step; None where none is labelled.
        wrong_stage: The text of the step that most of the wrong answers name; None where none is wrong or names one.
    """

    segment: Segment
    frames: int
    label: float
    prediction: float | None
    errors: Mapping[str, float | None]
    stages_right: float | None
    wrong_stage: str | None

    @property
    def error(self) -> float:
        """Mean error over the recordings, points: the order of segments; one without an answer counts as 100."""
        return float(np.mean([NO_ANSWER if error is None else error for error in self.errors.values()]))

    @property
    def is_bad(self) -> bool:
        """Whether the error is larger than that of a usable model."""
        recorded = self.errors[AS_RECORDED.name]
        return recorded is None or recorded > MOST_ERROR or bool(self.bad_recordings)

    @property
    def bad_recordings(self) -> list[str]:
        """The perturbed recordings with a large error, much larger than as recorded; the worst first.

        No answer is as bad as the largest error.
        """
        least = MUCH_WORSE * (self.errors[AS_RECORDED.name] or 0.0)
        errors = {name: NO_ANSWER if error is None else error for name, error in self.errors.items()}
        bad = [name for name, error in errors.items() if error > max(MOST_ERROR_PERTURBED, least)]
        return sorted((name for name in bad if name != AS_RECORDED.name), key=errors.__getitem__, reverse=True)


def find_disagreements(segments: Sequence[Segment], rehearsal: Rehearsal, steps: Sequence[str]) -> list[Disagreement]:
    """Return the disagreement of every segment with a sampled frame, the worst first.

    Args:
        segments: Pieces of the demonstration.
        rehearsal: Labels and predictions.
        steps: Texts of the task's steps.
    """
    frames, labels = np.asarray(rehearsal.frames), rehearsal.labels
    disagreements = []
    for segment in segments:
        inside = (frames >= segment.start) & (frames < segment.end) & np.isfinite(labels)
        if not inside.any():
            continue
        pairs = [(rehearsal.labelled[place], rehearsal.answered[place]) for place in np.flatnonzero(inside).tolist()]
        pairs = [(label, answer) for label, answer in pairs if label is not None]
        wrong = Counter(answer for label, answer in pairs if answer is not None and answer != label)
        recorded = rehearsal.predictions[AS_RECORDED.name][inside]
        disagreements.append(
            Disagreement(
                segment=segment,
                frames=int(inside.sum()),
                label=float(labels[inside].mean()),
                prediction=float(np.nanmean(recorded)) if np.isfinite(recorded).any() else None,
                errors={name: mae(labels[inside], values[inside]) for name, values in rehearsal.predictions.items()},
                stages_right=sum(label == answer for label, answer in pairs) / len(pairs) if pairs else None,
                wrong_stage=_step_text(steps, wrong.most_common(1)[0][0]) if wrong else None,
            )
        )
    return sorted(disagreements, key=lambda disagreement: -disagreement.error)


def describe(disagreement: Disagreement) -> str:
    """Return two sentences: what is predicted in a segment instead of its label, and what to do."""
    segment, errors = disagreement.segment, disagreement.errors
    place = f"{segment.start_sec:.1f} to {segment.end_sec:.1f} s, {segment.name}"
    recorded = errors[AS_RECORDED.name]
    if recorded is None or disagreement.prediction is None:
        return f"{place}: no answer holds a percentage. Train longer."
    if recorded > MOST_ERROR:
        said = f"{disagreement.prediction:.0f} % instead of {disagreement.label:.0f} %"
        if abs(disagreement.prediction - disagreement.label) < recorded / 2:
            said = f"off by {recorded:.0f} points in both directions"
        if disagreement.stages_right is None or disagreement.stages_right >= 0.5:
            return f"{place}: {said}. Annotate another demonstration that shows it."
        if disagreement.wrong_stage is None:
            return f"{place}: {said}, and no step of the task is named. Train longer, then look again."
        return (
            f'{place}: taken for "{disagreement.wrong_stage}" ({said}). Check the boundaries of this stage; if they '
            "are right, annotate another demonstration of it."
        )
    if disagreement.bad_recordings:
        worst = disagreement.bad_recordings[0]
        error = errors[worst]
        far = "no answer holds a percentage" if error is None else f"off by {error:.0f} points"
        return f"{place}: {far} when {_as_condition(worst)}, {recorded:.0f} as recorded. What to do: {REMEDIES[worst]}."
    return f"{place}: off by {beside_limit(recorded, MOST_ERROR)} points as recorded, which is good."


def _step_text(steps: Sequence[str], step: int) -> str:
    return steps[step] if step < len(steps) else "nothing is left to do"


def _as_condition(recording: str) -> str:
    return f"played at {recording}" if recording.endswith("speed") else f"the picture is {recording}"
