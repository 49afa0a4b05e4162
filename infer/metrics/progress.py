"""Metrics of a progress reward over one episode: labels and predictions in, one number out.

Knows arrays only; does not know videos, models or reports. All values are percent; nan marks a frame without a label or
without a parsed prediction and is left out. An undefined metric is None, never 0. The figure of a set of episodes is
the mean over its episodes (`mean_of_defined`), never over the frames of all, with an interval (`intervals`). `stages`,
`success` and `calibration` have the metrics of stages, outcomes and levels; `reference` has ProcVLM's own variants.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import kendalltau, spearmanr

METRICS = ("voc", "cycle_voc", "mae", "final", "parse_rate")

Values = Sequence[float] | np.ndarray


def voc(labels: Values, predictions: Values) -> float | None:
    """Return the value-order correlation: Spearman's rank correlation of label and prediction over one playback.

    In [-1, 1]; ties take their mean rank. Generative Value Learning (Ma et al., arXiv 2411.04549) ranks predictions
    against time; against the label, a prediction that stays level in a pause and falls before a recovery is right. None
    when fewer than two frames have both values, or when one side is constant.
    """
    labels, predictions = paired(labels, predictions)
    if _without_order(labels, predictions):
        return None
    return float(spearmanr(labels, predictions).statistic)


def cycle_voc(
    labels: Values, predictions: Values, reversed_labels: Values, reversed_predictions: Values
) -> float | None:
    """Return one Spearman correlation over a forward playback followed by the reversed one.

    The windows of the reversed playback are rebuilt for that direction (RoboValue's Cycle-VOC). A model that only
    follows time keeps rising while the labels fall, and scores near 0. None as in `voc`, or when one of the two
    playbacks is empty.
    """
    if len(labels) == 0 or len(reversed_labels) == 0:
        return None
    return voc([*labels, *reversed_labels], [*predictions, *reversed_predictions])


def kendall_tau(labels: Values, predictions: Values) -> float | None:
    """Return Kendall's tau-b: concordant less discordant pairs of frames, each side's ties taken out.

    `(C - D) / sqrt((n0 - n1) (n0 - n2))` with n0 = n (n - 1) / 2 pairs, n1 tied in the label and n2 tied in the
    prediction (Kendall, The treatment of ties in ranking problems, Biometrika 33, 1945). In [-1, 1]; half of one plus
    it is the chance that two frames which differ are put in the right order. None as in `voc`.
    """
    labels, predictions = paired(labels, predictions)
    if _without_order(labels, predictions):
        return None
    return float(kendalltau(labels, predictions, variant="b").statistic)


def ccc(labels: Values, predictions: Values) -> float | None:
    """Return Lin's concordance correlation coefficient: correlation, with a penalty for wrong level and wrong scale.

    `2 s_xy / (s_x^2 + s_y^2 + (mean_x - mean_y)^2)` with variances over n (Lin, Biometrics 45, 1989). In [-1, 1]; 1
    only where all values are equal. A constant prediction scores 0. None when fewer than two frames have both values,
    or when both sides are the same constant.
    """
    labels, predictions = paired(labels, predictions)
    if len(labels) < 2:
        return None
    scale = labels.var() + predictions.var() + (labels.mean() - predictions.mean()) ** 2
    if scale == 0:
        return None
    covariance = ((labels - labels.mean()) * (predictions - predictions.mean())).mean()
    return float(2 * covariance / scale)


def mae(labels: Values, predictions: Values) -> float | None:
    """Return the mean absolute error in points of 100; None without a frame that has both values."""
    labels, predictions = paired(labels, predictions)
    return float(np.abs(labels - predictions).mean()) if len(labels) else None


def rmse(labels: Values, predictions: Values) -> float | None:
    """Return the root of the mean squared error in points of 100; None without a frame that has both values.

    At least the `mae`; far above it where a few errors are large.
    """
    labels, predictions = paired(labels, predictions)
    return float(np.sqrt(((labels - predictions) ** 2).mean())) if len(labels) else None


def effective_resolution(predictions: Values, coverage: float = 0.5, finest: int = 1000) -> float | None:
    """Return the effective progress resolution (EPR) in bits: how finely the predictions use the range 0 to 100.

    `log2 k` for the largest number k of equal bins over 0 to 100, at most `finest`, of which the predictions occupy a
    share of at least `coverage` (ProcVLM, arXiv 2605.08774, with k <= 1000 and coverage 0.5). The last bin holds 100.

    Its weakness: it does not depend on the label. Random numbers score as high as any model can, and more frames score
    higher (n frames reach k = n / coverage at most). A low value shows that a model repeats a few numbers; a high value
    alone shows nothing. None with fewer than two predictions.

    Args:
        predictions: Percent; nan is left out.
        coverage: Share of occupied bins, above 0 up to 1.
        finest: Largest number of bins tried; 1000 are 0.1 points each.
    """
    values = np.asarray(predictions, dtype=np.float64)
    values = values[np.isfinite(values)].clip(0.0, 100.0)
    if len(values) < 2:
        return None
    values = np.unique(values)
    for bins in range(min(finest, int(len(values) / coverage)), 0, -1):
        occupied = len(np.unique(np.minimum(np.floor(values * bins / 100.0), bins - 1)))
        if occupied >= coverage * bins:
            return float(np.log2(bins))
    raise AssertionError("one bin is always occupied")


def final(predictions: Values) -> float | None:
    """Return the last prediction of a playback; None when that answer held no percentage."""
    return float(predictions[-1]) if len(predictions) and np.isfinite(predictions[-1]) else None


def parse_rate(predictions: Values) -> float | None:
    """Return the share of answers that hold a percentage, 0 to 1; None without answers."""
    return float(np.isfinite(np.asarray(predictions, dtype=np.float64)).mean()) if len(predictions) else None


def mean_of_defined(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are defined; None when none is."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def paired(labels: Values, predictions: Values) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and predictions of the frames that have both, float64."""
    if len(labels) != len(predictions):
        raise ValueError(f"{len(labels)} labels for {len(predictions)} predictions; there must be one per frame")
    labels, predictions = (np.asarray(values, dtype=np.float64) for values in (labels, predictions))
    both = np.isfinite(labels) & np.isfinite(predictions)
    return labels[both], predictions[both]


def _without_order(labels: np.ndarray, predictions: np.ndarray) -> bool:
    return len(labels) < 2 or np.ptp(labels) == 0 or np.ptp(predictions) == 0
