"""The report as one JSON document: figures per reader with intervals, verdict, shortcuts, calibration, cost.

Knows the results of an evaluation and the names of the keys; does not know files or pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset.labels import SUCCESS_THRESHOLD
from infer.metrics import success
from infer.metrics.block import COLUMNS, mean_block, rounded
from infer.metrics.calibration import IsotonicCalibration, ReliabilityBin, ece, fit_isotonic, reliability_bins
from infer.metrics.intervals import bootstrap_interval
from infer.report.evaluate import CONSTANT, RIVALS, EpisodeResult, TrainingReading
from infer.report.shortcuts import ShortcutResult, judge_shortcuts
from infer.report.verdict import Verdict, gather_evidence, judge

FORMAT = 2


@dataclass(frozen=True)
class Calibration:
    """How far the expected values of held-out episodes are from their labels, before and after the map.

    Args:
        ece, ece_calibrated: Points; None where undefined.
        bins, bins_calibrated: The reliability plot.
        calibration: The map, fitted on the training demonstrations; None where they were not read, or say one value.
        windows: Windows that took part.
    """

    ece: float | None
    ece_calibrated: float | None
    bins: list[ReliabilityBin]
    bins_calibrated: list[ReliabilityBin]
    calibration: IsotonicCalibration | None
    windows: int


@dataclass(frozen=True)
class Report:
    """Everything that the pages show.

    Args:
        results: The episodes, successes first.
        shortcuts: The tests' results; empty where they were left out.
        verdict: The verdict.
        calibration: See `Calibration`.
        document: `report.json`.
    """

    results: Sequence[EpisodeResult]
    shortcuts: Sequence[ShortcutResult]
    verdict: Verdict
    calibration: Calibration
    document: dict[str, Any]


def summarise(
    results: Sequence[EpisodeResult],
    training: TrainingReading | None,
    notices: Sequence[str],
    train: dict[str, Any],
    provenance: dict[str, Any],
    cost: dict[str, Any],
    seconds_total: float,
) -> Report:
    """Put the report together; episodes that were trained on are shown, but are in no mean.

    Args:
        results: The episodes.
        training: The training demonstrations as the judged model reads them; None where they were not found.
        notices: What a reader of the report must know first.
        train: `train_summary.json`; empty for a base.
        provenance, cost: As they shall appear.
        seconds_total: Training and evaluation.
    """
    shortcuts = judge_all_shortcuts(results)
    verdict = judge(gather_evidence(results, shortcuts))
    calibration = calibrate(results, training)
    readers = (*results[0].predictions, *RIVALS)
    held_out = [result for result in results if result.held_out]
    outcomes = {"successes": True, "failures": False}
    document = {
        "format": FORMAT,
        "task": results[0].demonstration.annotation.task,
        "readers": list(readers),
        "judged": list(results[0].predictions)[-1],
        "verdict": {
            "outcome": verdict.outcome,
            "sentence": verdict.sentence,
            "findings": [asdict(finding) for finding in verdict.findings],
            "notes": list(verdict.notes),
        },
        "notices": list(notices),
        **_means(held_out, readers),
        **{
            key: {
                "episodes": sum(r.demonstration.annotation.success is outcome for r in held_out),
                **_means([r for r in held_out if r.demonstration.annotation.success is outcome], readers),
            }
            for key, outcome in outcomes.items()
        },
        "success": summarise_success(held_out, readers, training),
        "shortcuts": [
            {
                **{key: getattr(one.shortcut, key) for key in ("name", "title", "good", "rule")},
                "measured": _round(one.measured),
                "unit": one.unit,
                "passed": one.passed,
                "spread": _round(one.spread),
                "windows": one.windows,
                "clock": _round(one.clock),
                "constant": _round(one.constant),
            }
            for one in shortcuts
        ],
        "calibration": _calibration_document(calibration, training),
        "cost": cost,
        "provenance": provenance,
        "episodes": [
            {
                "episode": result.demonstration.episode,
                "video": Path(result.demonstration.video).name,
                "success": result.demonstration.annotation.success,
                "held_out": result.held_out,
                "frames": len(result.frames),
                "final_label": None if np.isnan(result.labels[-1]) else round(float(result.labels[-1]), 2),
                **{name: rounded(result.metrics[name]) for name in readers},
            }
            for result in results
        ],
        "train": train,
        "seconds_total": round(seconds_total, 1),
    }
    return Report(results, shortcuts, verdict, calibration, document)


def judge_all_shortcuts(results: Sequence[EpisodeResult]) -> list[ShortcutResult]:
    """Return the shortcut tests' results over all episodes; empty where they were left out."""
    readings = [result.shortcuts for result in results if result.shortcuts is not None]
    if not readings:
        return []
    judged = list(results[0].predictions)[-1]
    backward = [result.backward[judged] for result in results if result.demonstration.annotation.success]
    return judge_shortcuts(readings, backward, CONSTANT)


def calibrate(results: Sequence[EpisodeResult], training: TrainingReading | None) -> Calibration:
    """Compare expected values with labels on held-out episodes, as read and through the map of the training frames."""
    labels, expected = [np.empty(0)], [np.empty(0)]
    for result in results:
        if result.held_out:
            frames, values = result.expected
            by_frame = dict(zip(result.frames, result.labels, strict=True))
            labels.append(np.array([by_frame[frame] for frame in frames]))
            expected.append(values)
    joined, said = np.concatenate(labels), np.concatenate(expected)
    fitted = fit_isotonic(training.labels, training.expected) if training is not None else None
    mended = fitted(said) if fitted is not None else None
    return Calibration(
        ece(joined, said),
        None if mended is None else ece(joined, mended),
        reliability_bins(joined, said),
        [] if mended is None else reliability_bins(joined, mended),
        fitted,
        int((np.isfinite(joined) & np.isfinite(said)).sum()),
    )


def summarise_success(
    held_out: Sequence[EpisodeResult], readers: Sequence[str], training: TrainingReading | None
) -> dict[str, Any]:
    """Return how well the last value of an episode tells its outcome, at the usual threshold and at the best one.

    The best threshold is that of the training demonstrations' frames; null where they were not read.
    """
    best = None
    if training is not None:
        best = success.best_threshold(success.finished(training.labels), training.values)
    outcomes = [result.demonstration.annotation.success for result in held_out]
    document: dict[str, Any] = {"threshold": SUCCESS_THRESHOLD, "best_on_training": _round(best)}
    for name in readers:
        ends = [np.nan if end is None else end for end in (result.metrics[name]["final"] for result in held_out)]
        document[name] = {
            "auroc": _round(success.auroc(outcomes, ends)),
            "accuracy": _round(success.accuracy(outcomes, ends)),
            "mcc": _round(success.mcc(outcomes, ends)),
            "accuracy_at_best": None if best is None else _round(success.accuracy(outcomes, ends, best)),
            "mcc_at_best": None if best is None else _round(success.mcc(outcomes, ends, best)),
        }
    return document


def _means(results: Sequence[EpisodeResult], readers: Sequence[str]) -> dict[str, Any]:
    """Return the mean block of every reader, and under "intervals" the bounds of each mean."""
    blocks = {name: [result.metrics[name] for result in results] for name in readers}
    intervals = {
        name: {
            metric: None if bounds is None else [round(bound, 4) for bound in bounds]
            for metric in COLUMNS
            for bounds in [bootstrap_interval([block[metric] for block in rows])]
        }
        for name, rows in blocks.items()
    }
    return {**{name: mean_block(rows) for name, rows in blocks.items()}, "intervals": intervals}


def _calibration_document(calibration: Calibration, training: TrainingReading | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "windows": calibration.windows,
        "ece": _round(calibration.ece),
        "ece_calibrated": _round(calibration.ece_calibrated),
        "bins": [asdict(one) for one in calibration.bins],
        "bins_calibrated": [asdict(one) for one in calibration.bins_calibrated],
        "map": [] if calibration.calibration is None else [list(point) for point in calibration.calibration.corners],
    }
    if calibration.calibration is None:
        document["missing"] = (
            "no training demonstration was read, so no calibration is fitted"
            if training is None
            else "the training demonstration is read as one and the same value, so there is nothing to map"
        )
    return document


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
