"""Calibration: is the label 70 % on average where the prediction is 70 %?

Knows labels and percentages; does not know episodes. nan is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infer.metrics.progress import Values, paired


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions in one range of percentages; one point of a reliability plot.

    Args:
        low, high: The range, percent; half-open, the last one closed.
        count: Number of predictions, at least 1.
        mean_prediction: Their mean.
        mean_label: The mean of their labels; equal to `mean_prediction` where the model is calibrated.
    """

    low: float
    high: float
    count: int
    mean_prediction: float
    mean_label: float


def reliability_bins(labels: Values, predictions: Values, bins: int = 10) -> list[ReliabilityBin]:
    """Return those of `bins` equal ranges that hold a prediction, rising."""
    labels, predictions = paired(labels, predictions)
    edges = np.linspace(0.0, 100.0, bins + 1)
    places = np.minimum(np.floor(predictions.clip(0.0, 100.0) * bins / 100.0).astype(int), bins - 1)
    return [
        ReliabilityBin(
            float(edges[place]),
            float(edges[place + 1]),
            int((places == place).sum()),
            float(predictions[places == place].mean()),
            float(labels[places == place].mean()),
        )
        for place in np.unique(places)
    ]


def ece(labels: Values, predictions: Values, bins: int = 10) -> float | None:
    """Return the expected calibration error in points of 100: the mean gap of a reliability plot.

    `sum_b n_b / n * |mean label_b - mean prediction_b|` over equal ranges b of the prediction (Guo et al., arXiv
    1706.04599, where the label is right or wrong; here it is a percentage). At most the `mae`, and 0 for a model that
    always predicts the mean label, so it needs an order metric beside it. None without a frame that has both values.
    """
    occupied = reliability_bins(labels, predictions, bins)
    total = sum(b.count for b in occupied)
    return sum(b.count * abs(b.mean_label - b.mean_prediction) for b in occupied) / total if total else None
