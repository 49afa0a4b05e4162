"""The worst windows: where the judged model errs most, one per place, so that a person can look at them.

Knows labels and predictions of episodes; does not know pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infer.records import Prediction
from infer.report.evaluate import EpisodeResult

WORST_WINDOWS = 6
PER_EPISODE = 2
LEAST_DISTANCE_SEC = 1.0  # between two windows of one episode: neighbours show the same mistake


@dataclass(frozen=True)
class WorstWindow:
    """One window and what was said about it.

    Args:
        result: Its episode.
        label: Percent.
        error: Prediction less label, points; of the judged model.
        answers: Per model its prediction.
    """

    result: EpisodeResult
    label: float
    error: float
    answers: dict[str, Prediction]

    @property
    def shown(self) -> Prediction:
        """The judged model's prediction."""
        return list(self.answers.values())[-1]


def worst_windows(results: Sequence[EpisodeResult], count: int = WORST_WINDOWS) -> list[WorstWindow]:
    """Return the windows with the largest error, at most `PER_EPISODE` of an episode, the largest first."""
    found: list[WorstWindow] = []
    for result in results:
        judged = list(result.predictions)[-1]
        errors = result.values[judged] - result.labels
        kept: list[float] = []
        for place in np.argsort(-np.abs(np.nan_to_num(errors, nan=0.0)), kind="stable"):
            time = result.predictions[judged][place].timestamp_sec
            if len(kept) == PER_EPISODE or not abs(errors[place]) > 0:
                break
            if all(abs(time - other) >= LEAST_DISTANCE_SEC for other in kept):
                kept.append(time)
                answers = {name: row[place] for name, row in result.predictions.items()}
                found.append(WorstWindow(result, float(result.labels[place]), float(errors[place]), answers))
    return sorted(found, key=lambda window: -abs(window.error))[:count]
