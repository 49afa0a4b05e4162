"""The report as one JSON document: figures per predictor with intervals, verdict, shortcut tests, calibration, cost.

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
from infer.metrics.calibration import ReliabilityBin, ece, reliability_bins
from infer.metrics.intervals import bootstrap_interval
from infer.report.evaluate import BASELINES, CONSTANT, EpisodeResult, TrainingPredictions
from infer.report.evidence import counted_end, gather_evidence
from infer.report.shortcut_scores import Score, ShortcutResult, score_shortcuts
from infer.report.verdict import Verdict, decide

FORMAT = 2


@dataclass(frozen=True)
class Calibration:
    """How far the expected values of held-out episodes are from their labels.

    Args:
        ece: Expected calibration error, points; None where undefined.
        bins: The reliability plot.
        windows: Number of windows.
    """

    ece: float | None
    bins: list[ReliabilityBin]
    windows: int


@dataclass(frozen=True)
class Report:
    """The content of the pages.

    Args:
        results: The episodes, successes first.
        shortcuts: Results of the shortcut tests; empty where they were left out.
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
    training: TrainingPredictions | None,
    notices: Sequence[str],
    train: dict[str, Any],
    provenance: dict[str, Any],
    cost: dict[str, Any],
    seconds_total: float,
) -> Report:
    """Build the report; episodes that were trained on are shown, but are in no mean.

    Args:
        results: The episodes.
        training: Predictions on the training demonstrations; None where these were not found.
        notices: Warnings at the top of the report.
        train: `train_summary.json`; empty for a base.
        provenance, cost: Sections of the document.
        seconds_total: Of training and evaluation.
    """
    shortcuts = score_all_shortcuts(results)
    verdict = decide(gather_evidence(results, shortcuts, provenance.get("trained_tasks", ())))
    calibration = measure_calibration(results)
    predictors = (*results[0].predictions, *BASELINES)
    held_out = [result for result in results if result.held_out]
    outcomes = {"successes": True, "failures": False}
    document = {
        "format": FORMAT,
        "task": results[0].demonstration.annotation.task,
        "readers": list(predictors),
        "judged": list(results[0].predictions)[-1],
        "verdict": {
            "outcome": verdict.outcome,
            "sentence": verdict.sentence,
            "findings": [asdict(finding) for finding in verdict.findings],
            "notes": list(verdict.notes),
        },
        "notices": list(notices),
        **_means(held_out, predictors),
        **{
            key: {
                "episodes": sum(r.demonstration.annotation.success is outcome for r in held_out),
                **_means([r for r in held_out if r.demonstration.annotation.success is outcome], predictors),
            }
            for key, outcome in outcomes.items()
        },
        "success": summarise_success(held_out, predictors, training),
        "shortcuts": [_shortcut_row(result) for result in shortcuts],
        "calibration": {**asdict(calibration), "ece": _round(calibration.ece)},
        "cost": cost,
        "provenance": provenance,
        "episodes": [
            {
                "episode": result.demonstration.name,
                "video": Path(result.demonstration.video).name,
                "success": result.demonstration.annotation.success,
                "held_out": result.held_out,
                "frames": len(result.frames),
                "final_label": None if np.isnan(result.labels[-1]) else round(float(result.labels[-1]), 2),
                **{name: rounded(result.metrics[name]) for name in predictors},
            }
            for result in results
        ],
        "train": train,
        "seconds_total": round(seconds_total, 1),
    }
    return Report(results, shortcuts, verdict, calibration, document)


def score_all_shortcuts(results: Sequence[EpisodeResult]) -> list[ShortcutResult]:
    """Return the results of the shortcut tests over the held-out episodes; empty where they were left out."""
    held_out = [result for result in results if result.held_out]
    answers = [result.shortcuts for result in held_out if result.shortcuts is not None]
    if not answers:
        return []
    evaluated = list(results[0].predictions)[-1]
    backward = [result.backward[evaluated] for result in held_out if result.demonstration.annotation.success]
    return score_shortcuts(answers, backward, CONSTANT)


def _shortcut_row(result: ShortcutResult) -> dict[str, Any]:
    return {
        **{key: getattr(result.shortcut, key) for key in ("name", "title", "good", "rule")},
        "unit": result.unit,
        **_score_row(result.model),
        "passed": result.passed,
        "counts": result.counts,
        "windows": result.windows,
        "unanswered": result.unanswered,
        "asked": list(result.asked),
        "clock": _score_row(result.time_baseline),
        "constant": _score_row(result.constant_baseline),
        "shuffled": {**_score_row(result.shuffled), "passes": _round(result.shuffled_passes)},
    }


def _score_row(score: Score) -> dict[str, float | None]:
    return {name: _round(getattr(score, name)) for name in ("measured", "order", "spread")}


def measure_calibration(results: Sequence[EpisodeResult]) -> Calibration:
    """Compare expected values with labels on the held-out episodes."""
    labels, expected = [np.empty(0)], [np.empty(0)]
    for result in results:
        if result.held_out:
            frames, values = result.expected
            by_frame = dict(zip(result.frames, result.labels, strict=True))
            labels.append(np.array([by_frame[frame] for frame in frames]))
            expected.append(values)
    all_labels, all_expected = np.concatenate(labels), np.concatenate(expected)
    return Calibration(
        ece(all_labels, all_expected),
        reliability_bins(all_labels, all_expected),
        int((np.isfinite(all_labels) & np.isfinite(all_expected)).sum()),
    )


def summarise_success(
    held_out: Sequence[EpisodeResult], predictors: Sequence[str], training: TrainingPredictions | None
) -> dict[str, Any]:
    """Return how well the final value of an episode predicts its outcome, at two thresholds.

    An episode without a final value counts as predicted wrongly.
    The second threshold is the best one on the frames of the training demonstrations; null where these were not found.
    """
    best = None
    if training is not None:
        best = success.best_threshold(success.finished(training.labels), training.values)
    outcomes = [result.demonstration.annotation.success for result in held_out]
    document: dict[str, Any] = {"threshold": SUCCESS_THRESHOLD, "best_on_training": _round(best)}
    for name in predictors:
        finals = [result.metrics[name]["final"] for result in held_out]
        ends = [counted_end(outcome, final) for outcome, final in zip(outcomes, finals, strict=True)]
        document[name] = {
            "auroc": _round(success.auroc(outcomes, ends)),
            "accuracy": _round(success.accuracy(outcomes, ends)),
            "mcc": _round(success.mcc(outcomes, ends)),
            "accuracy_at_best": None if best is None else _round(success.accuracy(outcomes, ends, best)),
            "mcc_at_best": None if best is None else _round(success.mcc(outcomes, ends, best)),
        }
    return document


def _means(results: Sequence[EpisodeResult], predictors: Sequence[str]) -> dict[str, Any]:
    """Return the mean block of every predictor, the bounds of each mean, and in how many episodes it is undefined."""
    blocks = {name: [result.metrics[name] for result in results] for name in predictors}
    intervals = {
        name: {
            metric: None if bounds is None else [round(bound, 4) for bound in bounds]
            for metric in COLUMNS
            for bounds in [bootstrap_interval([block[metric] for block in rows])]
        }
        for name, rows in blocks.items()
    }
    undefined = {
        name: {metric: count for metric in COLUMNS if (count := sum(block[metric] is None for block in rows))}
        for name, rows in blocks.items()
    }
    means = {name: mean_block(rows) for name, rows in blocks.items()}
    return {**means, "intervals": intervals, "undefined": undefined}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
