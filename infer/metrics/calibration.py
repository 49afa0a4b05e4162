"""Calibration: does "70 %" mean 70 %, and what should be read instead?

Knows labels and percentages; does not know episodes. nan takes no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from infer.metrics.progress import Values, paired


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions of one range of percentages; one point of a reliability plot.

    Args:
        low, high: The range, percent; half-open, the last one closed.
        count: Predictions in it, at least 1.
        mean_prediction: Their mean.
        mean_label: The mean of their labels; the same as `mean_prediction` where the model is calibrated.
    """

    low: float
    high: float
    count: int
    mean_prediction: float
    mean_label: float


def reliability_bins(labels: Values, predictions: Values, bins: int = 10) -> list[ReliabilityBin]:
    """Return the occupied ones of `bins` equal ranges of the prediction, rising."""
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
    always says the mean label: read it beside an order metric. None without a frame that has both values.
    """
    found = reliability_bins(labels, predictions, bins)
    total = sum(bin_.count for bin_ in found)
    return sum(b.count * abs(b.mean_label - b.mean_prediction) for b in found) / total if total else None


@dataclass(frozen=True)
class IsotonicCalibration:
    """A rising map from what a model says to what it means; order is kept, ties may appear.

    Args:
        said: Percentages, strictly rising.
        meant: What to read instead, rising, one for each.
    """

    said: tuple[float, ...]
    meant: tuple[float, ...]

    def __call__(self, predictions: Values) -> np.ndarray:
        """Return calibrated percentages: linear between the points, flat outside them, nan where there was none."""
        predictions = np.asarray(predictions, dtype=np.float64)
        return np.where(np.isfinite(predictions), np.interp(predictions, self.said, self.meant), np.nan)

    @property
    def corners(self) -> list[tuple[float, float]]:
        """Return the points (said, meant) that draw the map; those inside a flat stretch are left out."""
        points = list(zip(self.said, self.meant, strict=True))
        inner = [
            point
            for before, point, after in zip(points, points[1:], points[2:], strict=False)
            if not before[1] == point[1] == after[1]
        ]
        return [points[0], *inner, points[-1]]


def fit_isotonic(labels: Values, predictions: Values) -> IsotonicCalibration | None:
    """Fit the rising map with the least squared error on labelled frames, those of the training demonstrations.

    Equal predictions are first taken together (their mean label, weighted by their number); then the pool of adjacent
    violators (Barlow and Brunk, Journal of the American Statistical Association 67, 1972; `scipy.optimize`). None with
    fewer than two different predictions: nothing to map.
    """
    labels, predictions = paired(labels, predictions)
    said, places, counts = np.unique(predictions, return_inverse=True, return_counts=True)
    if len(said) < 2:
        return None
    means = np.bincount(places, weights=labels) / counts
    meant = isotonic_regression(means, weights=counts).x
    return IsotonicCalibration(tuple(said.tolist()), tuple(meant.tolist()))
