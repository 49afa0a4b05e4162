"""Success: does a percentage tell finished from unfinished?

Knows outcomes (true or false) and percentages, of frames (finished: the label reaches the threshold) or of episodes
(their last prediction against their outcome). nan takes no part; an undefined figure is None.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from dataset.labels import SUCCESS_THRESHOLD


def auroc(outcomes: ArrayLike, predictions: ArrayLike) -> float | None:
    """Return the chance that a success is given a higher percentage than a failure; ties count half.

    The area under the ROC curve as the Mann-Whitney statistic, `(R - p (p + 1) / 2) / (p n)` with R the sum of the mean
    ranks of the p successes among p + n (Hanley and McNeil, Radiology 143, 1982). In [0, 1], 0.5 for guessing; no
    threshold takes part. None unless both outcomes occur.
    """
    outcomes, predictions = _answered(outcomes, predictions)
    positive, negative = int(outcomes.sum()), int((~outcomes).sum())
    if not positive or not negative:
        return None
    ranks = rankdata(predictions)[outcomes].sum()
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))


def accuracy(outcomes: ArrayLike, predictions: ArrayLike, threshold: float = SUCCESS_THRESHOLD) -> float | None:
    """Return the share of outcomes that `prediction >= threshold` gets right, 0 to 1; None without predictions.

    Its weakness: where one outcome is rare, always naming the other scores high. See `mcc`.
    """
    outcomes, predictions = _answered(outcomes, predictions)
    return float(((predictions >= threshold) == outcomes).mean()) if len(outcomes) else None


def mcc(outcomes: ArrayLike, predictions: ArrayLike, threshold: float = SUCCESS_THRESHOLD) -> float | None:
    """Return Matthews' correlation of the outcome and `prediction >= threshold`.

    `(TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN))` (Matthews, Biochimica et Biophysica Acta 405,
    1975). In [-1, 1], 0 for guessing whatever the share of successes. None where a row or a column of the table is
    empty: one outcome only, or always the same verdict.
    """
    outcomes, predictions = _answered(outcomes, predictions)
    said = predictions >= threshold
    true_positive, false_positive = int((said & outcomes).sum()), int((said & ~outcomes).sum())
    true_negative, false_negative = int((~said & ~outcomes).sum()), int((~said & outcomes).sum())
    margins = (
        (true_positive + false_positive)
        * (true_positive + false_negative)
        * (true_negative + false_positive)
        * (true_negative + false_negative)
    )
    if not margins:
        return None
    return float((true_positive * true_negative - false_positive * false_negative) / np.sqrt(margins))


def best_threshold(outcomes: ArrayLike, predictions: ArrayLike, default: float = SUCCESS_THRESHOLD) -> float | None:
    """Return the threshold that separates the outcomes best; meant for the frames of the training demonstrations.

    It has the largest true positive rate less false positive rate (Youden, Cancer 3, 1950), which does not depend on
    how many frames are finished. Tried are `default` and the places half-way between neighbouring predictions; among
    equals the one nearest to `default` wins. None unless both outcomes occur, or where no threshold beats guessing.
    """
    outcomes, predictions = _answered(outcomes, predictions)
    if not outcomes.any() or outcomes.all():
        return None
    levels = np.unique(predictions)
    candidates = sorted([default, *((levels[:-1] + levels[1:]) / 2)], key=lambda threshold: abs(threshold - default))
    gains = [(predictions[outcomes] >= t).mean() - (predictions[~outcomes] >= t).mean() for t in candidates]
    best = int(np.argmax(np.round(gains, 12)))
    return float(candidates[best]) if gains[best] > 0 else None


def finished(labels: ArrayLike, threshold: float = SUCCESS_THRESHOLD) -> np.ndarray:
    """Return which labelled frames count as finished, bool; a frame without a label must be left out before."""
    return np.asarray(labels, dtype=np.float64) >= threshold


def _answered(outcomes: ArrayLike, predictions: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    outcomes, predictions = np.asarray(outcomes, dtype=bool), np.asarray(predictions, dtype=np.float64)
    if len(outcomes) != len(predictions):
        raise ValueError(f"{len(outcomes)} outcomes for {len(predictions)} predictions; there must be one for each")
    answered = np.isfinite(predictions)
    return outcomes[answered], predictions[answered]
