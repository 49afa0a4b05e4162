"""Disagreement: where readings of a demonstration and its label part, told in plain sentences.

Knows labels, readings and stretches of a demonstration; does not know how the readings were made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infer.metrics.progress import mae, mean_of_defined
from train.rehearsal.perturbed import COPIES, RECORDED

MOST_ERROR = 15.0  # points: a stretch that is read worse than this, as recorded, is worth another demonstration
MOST_ERROR_ON_COPIES = 25.0  # the same on a perturbed copy
MUCH_WORSE = 2.0  # a copy is named where its error is so many times that of the recording
REMEDIES = {copy.name: copy.remedy for copy in COPIES}


@dataclass(frozen=True)
class Stretch:
    """A piece of one stage of the demonstration.

    Args:
        name: How a person calls it.
        stage: The stage's text.
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
    """How one stretch was read.

    Args:
        stretch: Where.
        frames: Frames judged in it, at least 1.
        label: Mean label, percent.
        said: Mean reading as recorded, percent; None where no answer held one.
        errors: Per copy the mean absolute error, points; None without an answer.
        stages_right: Share of the answers to the recording that name the right step; None where none is labelled.
        stage_said: The text of the step that most of the wrong ones name; None where none is wrong or none names one.
    """

    stretch: Stretch
    frames: int
    label: float
    said: float | None
    errors: Mapping[str, float | None]
    stages_right: float | None
    stage_said: str | None

    @property
    def error(self) -> float:
        """Mean error over the copies, points: what stretches are ranked by; an unanswered stretch counts most."""
        mean = mean_of_defined(list(self.errors.values()))
        return 100.0 if mean is None else mean

    @property
    def misread(self) -> bool:
        """Whether it is read worse than a model that may be used."""
        recorded = self.errors[RECORDED.name]
        return recorded is None or recorded > MOST_ERROR or bool(self.worse_copies)

    @property
    def worse_copies(self) -> list[str]:
        """The copies that are read badly, and much worse than the recording; the worst first."""
        least = MUCH_WORSE * (self.errors[RECORDED.name] or 0.0)
        bad = {
            name: error
            for name, error in self.errors.items()
            if name != RECORDED.name and error is not None and error > max(MOST_ERROR_ON_COPIES, least)
        }
        return sorted(bad, key=bad.__getitem__, reverse=True)


def find_disagreements(
    stretches: Sequence[Stretch],
    frames: Sequence[int],
    labels: np.ndarray,
    readings: Mapping[str, np.ndarray],
    steps: Sequence[str],
    labelled: Sequence[int | None],
    answered: Sequence[int | None],
) -> list[Disagreement]:
    """Return how every stretch was read, the worst first; stretches without a judged frame are left out.

    Args:
        stretches: Pieces of the demonstration.
        frames: Judged source frames, rising.
        labels: Percent at each, nan for none.
        readings: Per copy, the recording among them, the percentages at the same frames; nan for none.
        steps: Texts of the task's steps.
        labelled, answered: The step at each frame, from `infer.metrics.stages`, of the recording.
    """
    at = np.asarray(frames)
    found = []
    for stretch in stretches:
        inside = (at >= stretch.start) & (at < stretch.end) & np.isfinite(labels)
        if not inside.any():
            continue
        pairs = [(labelled[place], answered[place]) for place in np.flatnonzero(inside).tolist()]
        pairs = [(label, answer) for label, answer in pairs if label is not None]
        wrong = Counter(answer for label, answer in pairs if answer is not None and answer != label)
        said = readings[RECORDED.name][inside]
        found.append(
            Disagreement(
                stretch=stretch,
                frames=int(inside.sum()),
                label=float(labels[inside].mean()),
                said=float(np.nanmean(said)) if np.isfinite(said).any() else None,
                errors={name: mae(labels[inside], values[inside]) for name, values in readings.items()},
                stages_right=sum(label == answer for label, answer in pairs) / len(pairs) if pairs else None,
                stage_said=_step_text(steps, wrong.most_common(1)[0][0]) if wrong else None,
            )
        )
    return sorted(found, key=lambda one: -one.error)


def describe(disagreement: Disagreement) -> str:
    """Say in one or two sentences where a stretch lies, what is said there instead, and what to do."""
    one, stretch = disagreement, disagreement.stretch
    place = f"{stretch.start_sec:.1f} to {stretch.end_sec:.1f} s, {stretch.name}"
    recorded = one.errors[RECORDED.name]
    if recorded is None:
        return f"{place}: no answer holds a percentage. Train longer, or annotate another demonstration of it."
    stage = ""
    if one.stages_right is not None and one.stages_right < 0.5:
        named = f'mostly "{one.stage_said}"' if one.stage_said else "a step of other words, or none"
        stage = f" It names the right step in {one.stages_right:.0%} of the frames ({named})."
    if recorded > MOST_ERROR and one.said is not None:
        lean = one.said - one.label
        side = "now too high, now too low" if abs(lean) < recorded / 2 else "too high" if lean > 0 else "too low"
        if one.stages_right is None or one.stages_right >= 0.5:
            advice = "Annotate another demonstration that shows it"
        elif one.stage_said is None:
            advice = "It has not learnt the wording of the steps: train longer, then look again"
        else:
            advice = (
                "Look at the boundaries of this stage first; if they are right, annotate another demonstration of it"
            )
        return (
            f"{place}: off by {recorded:.0f} points, {side} (says {one.said:.0f} % on average, the label is "
            f"{one.label:.0f} %).{stage} {advice}."
        )
    if one.worse_copies:
        worst = one.worse_copies[0]
        return (
            f"{place}: right as recorded (off by {recorded:.0f} points), but off by {one.errors[worst]:.0f} points "
            f"when {_as_condition(worst)}.{stage} What to do: {REMEDIES[worst]}."
        )
    return f"{place}: off by {recorded:.0f} points as recorded, {one.error:.0f} over all copies.{stage}"


def _step_text(steps: Sequence[str], step: int) -> str:
    return steps[step] if step < len(steps) else "nothing is left to do"


def _as_condition(copy: str) -> str:
    return f"played at {copy}" if copy.endswith("speed") else f"the picture is {copy}"
