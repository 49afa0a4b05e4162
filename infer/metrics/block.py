"""Metric blocks: all figures of one predictor on one episode, by name, and how each is displayed.

Knows the names of the metrics, and labels and answers of one episode; does not know models, sets of episodes or pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dataset.annotation import Annotation
from infer.metrics import progress, reference, success
from infer.metrics.stages import answered_stages, boundary_f1, labelled_stages, stage_accuracy

Block = dict[str, float | None]


@dataclass(frozen=True)
class Column:
    """How a metric is displayed.

    Args:
        text: Its meaning, for a person.
        decimals: Digits after the decimal point.
        better: Which direction is good; "neither" where it depends on the episode.
    """

    text: str
    decimals: int
    better: Literal["higher", "lower", "neither"] = "higher"


COLUMNS = {
    "voc": Column("order: rank correlation of label and value over one playback, -1 to 1", 2),
    "cycle_voc": Column("the same over the forward and then the reversed playback; the time baseline scores near 0", 2),
    "mae": Column("mean error, points of 100", 1, "lower"),
    "final": Column("last value of the playback, percent", 1, "neither"),
    "parse_rate": Column("share of answers whose text holds a percentage", 2),
    "kendall_tau": Column("order by pairs of frames (tau-b), -1 to 1", 2),
    "ccc": Column("order and level at once (Lin's concordance), -1 to 1", 2),
    "rmse": Column("root of the mean squared error, points; far above mae: a few large errors", 1, "lower"),
    "stage_accuracy": Column("share of frames whose list of remaining actions names the right stage", 2),
    "boundary_f1": Column("stage changes found within 5 % of the length (F1)", 2),
    "success_auroc": Column("probability that a finished frame has a higher value than an unfinished one (AUROC)", 2),
    "success_accuracy": Column("share of frames that the threshold sorts correctly into finished and unfinished", 2),
    "success_mcc": Column("the same as a correlation, -1 to 1", 2),
    "effective_resolution": Column("how finely the values use 0 to 100, bits; does not depend on the label", 1),
    "reference_tau_a": Column("tau-a, ties count against it", 2),
    "reference_voc": Column("rank correlation with the index of the frame sorted by label", 2),
    "reference_ccc": Column("concordance, 0 where constant", 2),
    "reference_ubr": Column("different values over different labels, in bins of 5 points", 2, "neither"),
    "reference_epr50": Column("effective resolution at half coverage", 2),
    "reference_mcc95": Column("MCC of finished frames at 95 %", 2),
}
MAIN = ("voc", "cycle_voc", "mae", "final", "stage_accuracy", "success_auroc", "parse_rate")  # the first table
DETAIL = tuple(name for name in COLUMNS if name not in MAIN and not name.startswith("reference_"))
REFERENCE = tuple(name for name in COLUMNS if name.startswith("reference_"))


def metric_block(
    labels: np.ndarray, forward: np.ndarray, backward: np.ndarray, parsed: Sequence[bool] | None = None
) -> Block:
    """Return the metrics of `infer.metrics.progress.METRICS` of one episode.

    Args:
        labels: Percent per frame, forward.
        forward, backward: The percentages of both playbacks, each in its own order; nan for none.
        parsed: Per answer of both playbacks whether its text holds the percentage; by default wherever there is one. A
            forced percentage is not in the text (`infer.decoding.digits`).
    """
    return {
        "voc": progress.voc(labels, forward),
        "cycle_voc": progress.cycle_voc(labels, forward, labels[::-1], backward),
        "mae": progress.mae(labels, forward),
        "final": progress.final(forward),
        "parse_rate": progress.parse_rate(
            np.concatenate([forward, backward]) if parsed is None else np.where(parsed, 0.0, np.nan)
        ),
    }


def card_block(
    annotation: Annotation,
    frames: Sequence[int],
    labels: np.ndarray,
    forward: np.ndarray,
    backward: np.ndarray,
    parsed: Sequence[bool] | None = None,
    outputs: Sequence[str] | None = None,
) -> Block:
    """Return every metric of `COLUMNS` of one episode.

    Args:
        annotation: The episode, for its stages.
        frames: The sampled frames, rising.
        labels, forward, backward, parsed: See `metric_block`.
        outputs: The raw answers of the forward playback; None for a baseline, which gives numbers only (its stage
            metrics and parse rate are then undefined).
    """
    labelled = np.isfinite(labels)
    finished = success.finished(labels[labelled])
    stages: tuple[float | None, float | None] = (None, None)
    if outputs is not None:
        labelled_at, answered_at = labelled_stages(annotation, frames), answered_stages(annotation, outputs)
        stages = stage_accuracy(labelled_at, answered_at), boundary_f1(frames, labelled_at, answered_at)
    block = metric_block(labels, forward, backward, parsed)
    if outputs is None:
        block["parse_rate"] = None
    return block | {
        "kendall_tau": progress.kendall_tau(labels, forward),
        "ccc": progress.ccc(labels, forward),
        "rmse": progress.rmse(labels, forward),
        "stage_accuracy": stages[0],
        "boundary_f1": stages[1],
        "success_auroc": success.auroc(finished, forward[labelled]),
        "success_accuracy": success.accuracy(finished, forward[labelled]),
        "success_mcc": success.mcc(finished, forward[labelled]),
        "effective_resolution": progress.effective_resolution(forward),
        "reference_tau_a": reference.reference_tau_a(labels, forward),
        "reference_voc": reference.reference_voc(labels, forward),
        "reference_ccc": reference.reference_ccc(labels, forward),
        "reference_ubr": reference.reference_ubr(labels, forward),
        "reference_epr50": reference.reference_epr50(forward),
        "reference_mcc95": reference.reference_mcc95(labels, forward),
    }


def mean_block(blocks: Sequence[Block]) -> Block:
    """Return every metric averaged over the episodes where it is defined, rounded to four decimals."""
    return rounded({name: progress.mean_of_defined([block[name] for block in blocks]) for name in COLUMNS})


def rounded(block: Block) -> Block:
    """Return a block rounded to four decimals."""
    return {name: None if value is None else round(value, 4) for name, value in block.items()}


def format_figure(value: float | None, name: str) -> str:
    """Return a figure as text; "-" where it is undefined."""
    return "-" if value is None else f"{value:.{COLUMNS[name].decimals}f}"
