"""The worst windows: where the error of the evaluated model is largest, for a person to look at.

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
LEAST_DISTANCE_SEC = 1.0  # between two windows of one episode: neighbours have the same error


@dataclass(frozen=True)
class WorstWindow:
    """One window and its predictions.

    Args:
        result: Its episode.
        label: Percent.
        error: Prediction of the evaluated model minus label, points.
        answers: Per model its prediction.
    """

    result: EpisodeResult
    label: float
    error: float
    answers: dict[str, Prediction]

    @property
    def prediction(self) -> Prediction:
        """The prediction of the evaluated model."""
        return list(self.answers.values())[-1]


def worst_windows(results: Sequence[EpisodeResult], count: int = WORST_WINDOWS) -> list[WorstWindow]:
    """Return the windows with the largest error, at most `PER_EPISODE` per episode, the largest first."""
    windows: list[WorstWindow] = []
    for result in results:
        evaluated = list(result.predictions)[-1]
        errors = result.values[evaluated] - result.labels
        kept: list[float] = []
        for place in np.argsort(-np.abs(np.nan_to_num(errors, nan=0.0)), kind="stable"):
            time = result.predictions[evaluated][place].timestamp_sec
            if len(kept) == PER_EPISODE or not abs(errors[place]) > 0:
                break
            if all(abs(time - other) >= LEAST_DISTANCE_SEC for other in kept):
                kept.append(time)
                answers = {name: row[place] for name, row in result.predictions.items()}
                windows.append(WorstWindow(result, float(result.labels[place]), float(errors[place]), answers))
    return sorted(windows, key=lambda window: -abs(window.error))[:count]
