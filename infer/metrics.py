"""Metrics of a progress reward: labels and predictions in, one number out.

Knows arrays only; does not know videos, models or reports. All values are percent; nan marks a frame without a label or
without a parsed prediction and takes no part. A metric that is undefined is None, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

METRICS = ("voc", "cycle_voc", "mae", "final", "parse_rate")


def voc(labels: Sequence[float], predictions: Sequence[float]) -> float | None:
    """Return the value-order correlation: Spearman's rank correlation of label and prediction over one playback.

    In [-1, 1]; ties take their mean rank. Generative Value Learning (Ma et al., arXiv 2411.04549) ranks predictions
    against time; against the label, pauses and recoveries are judged by what happened and not by the clock. None when
    fewer than two frames have both values, or when one side is constant.
    """
    labels, predictions = _paired(labels, predictions)
    if len(labels) < 2 or np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        return None
    return float(spearmanr(labels, predictions).statistic)


def cycle_voc(
    labels: Sequence[float],
    predictions: Sequence[float],
    reversed_labels: Sequence[float],
    reversed_predictions: Sequence[float],
) -> float | None:
    """Return one Spearman correlation over a forward playback followed by the reversed one.

    The windows of the reversed playback are rebuilt for that direction (RoboValue's Cycle-VOC). A model that only
    learned the passing of time keeps rising while the labels fall, and scores near 0. None as in `voc`, or when one
    of the two playbacks is empty.
    """
    if len(labels) == 0 or len(reversed_labels) == 0:
        return None
    return voc([*labels, *reversed_labels], [*predictions, *reversed_predictions])


def mae(labels: Sequence[float], predictions: Sequence[float]) -> float | None:
    """Return the mean absolute error in points of 100; None without a frame that has both values."""
    labels, predictions = _paired(labels, predictions)
    return float(np.abs(labels - predictions).mean()) if len(labels) else None


def final(predictions: Sequence[float]) -> float | None:
    """Return the last prediction of a playback; None when that answer held no percentage."""
    return float(predictions[-1]) if len(predictions) and np.isfinite(predictions[-1]) else None


def parse_rate(predictions: Sequence[float]) -> float | None:
    """Return the share of answers that hold a percentage, 0 to 1; None without answers."""
    return float(np.isfinite(np.asarray(predictions, dtype=np.float64)).mean()) if len(predictions) else None


def mean_of_defined(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are defined; None when none is."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _paired(labels: Sequence[float], predictions: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    if len(labels) != len(predictions):
        raise ValueError(f"{len(labels)} labels for {len(predictions)} predictions; there must be one per frame")
    labels, predictions = (np.asarray(values, dtype=np.float64) for values in (labels, predictions))
    both = np.isfinite(labels) & np.isfinite(predictions)
    return labels[both], predictions[both]
