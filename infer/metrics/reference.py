"""ProcVLM's own metrics, for comparison with published figures.

The definitions are those of its evaluation program (arXiv 2605.08774; evqa/eval/compute_metrics.py of its repository).
They differ from the metrics of the same name in `progress`: an undefined figure is 0 there, and predictions outside 0
to 100 are clipped; each docstring gives the rest. All take one episode. ProcVLM averages them over the episodes with at
least two answered frames (None here for fewer), except MCC@95, which it computes over the frames of all episodes
together. Each of its one-shot sets is one "episode": compare such figures over the pooled frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

from infer.metrics.progress import Values, paired


def reference_tau_a(labels: Values, predictions: Values) -> float | None:
    """Return Kendall's tau-a: concordant less discordant pairs over all pairs, `(C - D) / (n (n - 1) / 2)`.

    A pair tied on either side counts in the denominator only: a demonstration with a finished tail cannot reach 1.
    `progress.kendall_tau` (tau-b) takes ties out.
    """
    labels, predictions = paired(labels, predictions)
    if len(labels) < 2:
        return None
    order = np.sign(labels[:, None] - labels) * np.sign(predictions[:, None] - predictions)  # (n, n), each pair twice
    return float(order.sum() / (len(labels) * (len(labels) - 1)))


def reference_voc(labels: Values, predictions: Values) -> float | None:
    """Return Spearman's correlation of the prediction with the frame's place in the order of labels.

    Frames are sorted by label (stable), and ranked 0, 1, 2, ... even where labels are equal: inside a finished tail a
    model is asked to go on rising. 0 for a constant prediction. `progress.voc` gives equal labels equal ranks.
    """
    labels, predictions = paired(labels, predictions)
    if len(labels) < 2:
        return None
    predictions = predictions[np.argsort(labels, kind="stable")]
    if np.ptp(predictions) == 0:
        return 0.0
    return float(spearmanr(np.arange(len(predictions)), predictions).statistic)


def reference_ccc(labels: Values, predictions: Values) -> float | None:
    """Return the concordance correlation coefficient as `progress.ccc`, but 0 where either side is constant.

    (A variance below 1e-8 counts as constant, and 1e-8 is added to the denominator.)
    """
    labels, predictions = _clipped(labels, predictions)
    if len(labels) < 2:
        return None
    if min(labels.var(), predictions.var()) < 1e-8:
        return 0.0
    covariance = ((labels - labels.mean()) * (predictions - predictions.mean())).mean()
    scale = labels.var() + predictions.var() + (labels.mean() - predictions.mean()) ** 2
    return float(2 * covariance / (scale + 1e-8))


def reference_ubr(labels: Values, predictions: Values) -> float | None:
    """Return the unique bin ratio: different predictions over different labels, both rounded to multiples of 5 points.

    Only frames whose label lies strictly between 0 and 100 take part; halves are rounded to the even multiple. Above 1
    where a model predicts more different values than there are labels; order and error do not matter.
    """
    labels, predictions = _clipped(labels, predictions)
    inside = (labels > 0) & (labels < 100)
    if inside.sum() < 2:
        return None
    predicted, labelled = (len(np.unique(np.round(values[inside] / 5.0))) for values in (predictions, labels))
    return predicted / labelled


def reference_epr50(predictions: Values) -> float | None:
    """Return the effective progress resolution at coverage 0.5, in bits, with at most 1000 bins.

    `log2 k` for the largest k <= 1000 with at least k / 2 occupied bins, bins `[j / k, (j + 1) / k)`. Unlike in
    `progress.effective_resolution`, 100 % is a bin of its own beyond the last, and counts.
    """
    values = np.asarray(predictions, dtype=np.float64)
    values = values[np.isfinite(values)].clip(0.0, 100.0) / 100.0
    if len(values) < 2:
        return None
    for bins in range(1000, 0, -1):
        width = 1.0 / bins
        if width * len(np.unique(np.floor(values / width))) >= 0.5:
            return float(-np.log2(width))
    raise AssertionError("one bin is always occupied")


def reference_mcc95(labels: Sequence[float] | np.ndarray, predictions: Sequence[float] | np.ndarray) -> float | None:
    """Return Matthews' correlation of `label >= 95` and `prediction >= 95` over frames; 0 where it is undefined.

    The reference pools the frames of all episodes; pass them joined to do the same. `success.mcc` is None there.
    None without an answered frame.
    """
    labels, predictions = paired(labels, predictions)
    if not len(labels):
        return None
    done, predicted = labels >= 95.0, predictions >= 95.0
    table = np.array(
        [[(predicted & done).sum(), (predicted & ~done).sum()], [(~predicted & done).sum(), (~predicted & ~done).sum()]]
    )
    margins = float(np.prod(table.sum(axis=0, dtype=float)) * np.prod(table.sum(axis=1, dtype=float)))
    determinant = float(table[0, 0]) * float(table[1, 1]) - float(table[0, 1]) * float(table[1, 0])
    return float(determinant / np.sqrt(margins + 1e-8))


def _clipped(labels: Values, predictions: Values) -> tuple[np.ndarray, np.ndarray]:
    labels, predictions = paired(labels, predictions)
    return labels.clip(0.0, 100.0), predictions.clip(0.0, 100.0)
