"""Success: does a percentage separate finished from unfinished?

Knows outcomes (true or false) and percentages, of frames (finished: the label reaches the threshold) or of episodes
(their last prediction against their outcome). nan is left out; an undefined figure is None.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import mannwhitneyu, pearsonr

from dataset.labels import SUCCESS_THRESHOLD


def auroc(outcomes: ArrayLike, predictions: ArrayLike) -> float | None:
    """Return the probability that a success has a higher percentage than a failure; ties count half.

    The area under the ROC curve, as the Mann-Whitney statistic U over the number of pairs (Hanley and McNeil, Radiology
    143, 1982). In [0, 1], 0.5 for guessing; it does not depend on a threshold. None unless both outcomes occur.
    """
    outcomes, predictions = _defined(outcomes, predictions)
    positive, negative = predictions[outcomes], predictions[~outcomes]
    if not len(positive) or not len(negative):
        return None
    return float(mannwhitneyu(positive, negative, method="asymptotic").statistic / (len(positive) * len(negative)))


def accuracy(outcomes: ArrayLike, predictions: ArrayLike, threshold: float = SUCCESS_THRESHOLD) -> float | None:
    """Return the share of outcomes equal to `prediction >= threshold`, 0 to 1; None without predictions.

    Its weakness: where one outcome is rare, always predicting the other scores high. See `mcc`.
    """
    outcomes, predictions = _defined(outcomes, predictions)
    return float(((predictions >= threshold) == outcomes).mean()) if len(outcomes) else None


def mcc(outcomes: ArrayLike, predictions: ArrayLike, threshold: float = SUCCESS_THRESHOLD) -> float | None:
    """Return Matthews' correlation coefficient of the outcome and `prediction >= threshold`.

    `(TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN))` (Matthews, Biochimica et Biophysica Acta 405,
    1975), which is Pearson's correlation of two binary variables. In [-1, 1], 0 for guessing at any share of successes.
    None where all outcomes or all decisions are the same.
    """
    outcomes, predictions = _defined(outcomes, predictions)
    decisions = predictions >= threshold
    if len({*outcomes.tolist()}) < 2 or len({*decisions.tolist()}) < 2:
        return None
    return float(pearsonr(outcomes.astype(float), decisions.astype(float)).statistic)


def best_threshold(outcomes: ArrayLike, predictions: ArrayLike, default: float = SUCCESS_THRESHOLD) -> float | None:
    """Return the threshold that separates the outcomes best; meant for the frames of the training demonstrations.

    It has the largest true positive rate minus false positive rate (Youden, Cancer 3, 1950), which does not depend on
    how many frames are finished. Candidates are `default` and the middles between neighbouring predictions; of equally
    good ones the nearest to `default` is returned. None unless both outcomes occur and a threshold is better than
    guessing.
    """
    outcomes, predictions = _defined(outcomes, predictions)
    if not outcomes.any() or outcomes.all():
        return None
    levels = np.unique(predictions)
    candidates = sorted([default, *((levels[:-1] + levels[1:]) / 2)], key=lambda threshold: abs(threshold - default))
    gains = [(predictions[outcomes] >= t).mean() - (predictions[~outcomes] >= t).mean() for t in candidates]
    best = int(np.argmax(np.round(gains, 12)))
    return float(candidates[best]) if gains[best] > 0 else None


def finished(labels: ArrayLike, threshold: float = SUCCESS_THRESHOLD) -> np.ndarray:
    """Return which frames count as finished, bool; all labels must be defined."""
    return np.asarray(labels, dtype=np.float64) >= threshold


def _defined(outcomes: ArrayLike, predictions: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    outcomes, predictions = np.asarray(outcomes, dtype=bool), np.asarray(predictions, dtype=np.float64)
    if len(outcomes) != len(predictions):
        raise ValueError(f"{len(outcomes)} outcomes for {len(predictions)} predictions; there must be one for each")
    defined = np.isfinite(predictions)
    return outcomes[defined], predictions[defined]
