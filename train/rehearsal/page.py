"""The result of a rehearsal: its answer, as JSON, on the terminal and as one page.

Knows figures and disagreements; does not know how they were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataset.demonstration import Demonstration
from dataset.files import write_text_atomically
from dataset.video import VideoReader
from infer.metrics.limits import beside_limit
from infer.metrics.progress import mae, parse_rate, voc
from infer.metrics.stages import boundary_f1, stage_accuracy
from train.rehearsal.disagreement import MOST_ERROR, MOST_ERROR_PERTURBED, Disagreement, Rehearsal, describe
from train.rehearsal.perturbed import AS_RECORDED

LEAST_STAGES = 0.8  # share of held-out frames whose answer names the right step
LEAST_PARSED = 0.9  # share of answers that hold a percentage
SHOWN = 3  # most segments that are named as what to annotate next
OPTIMISTIC = (
    "Optimistic, because the held-out frames are from the recording that was trained on: confirm a good result on "
    "another episode."
)


def summarise_rehearsal(
    demonstration: Demonstration, reader: VideoReader, rehearsal: Rehearsal, disagreements: Sequence[Disagreement]
) -> dict[str, Any]:
    """Return the JSON document: answer, what to annotate next, figures per recording, all segments, the curves.

    Args:
        demonstration: The demonstration.
        reader: Its video.
        rehearsal: Labels and held-out predictions.
        disagreements: All segments, the worst first.
    """
    frames, labels = rehearsal.frames, rehearsal.labels
    figures = {
        name: {"mae": mae(labels, values), "voc": voc(labels, values), "parse_rate": parse_rate(values)}
        for name, values in rehearsal.predictions.items()
    }
    stages = stage_accuracy(rehearsal.labelled, rehearsal.answered)
    reasons = _reasons(figures, stages)
    bad = [disagreement for disagreement in disagreements if disagreement.is_bad]
    return {
        "format": 1,
        "episode": demonstration.name,
        "video": Path(demonstration.video).name,
        "task": demonstration.annotation.task,
        "enough": not reasons,
        "answer": _answer(reasons, len(bad), len(disagreements)),
        "reasons": reasons,
        "optimistic": OPTIMISTIC,
        "annotate_next": [describe(disagreement) for disagreement in bad[:SHOWN]],
        "copies": {name: {key: _rounded(value) for key, value in row.items()} for name, row in figures.items()},
        "stage_accuracy": _rounded(stages),
        "boundary_f1": _rounded(boundary_f1(frames, rehearsal.labelled, rehearsal.answered)),
        "stretches": [_segment_row(disagreement) for disagreement in disagreements],
        "curves": {
            "frames": list(frames),
            "seconds": [round(float(reader.timestamps_sec[t]), 3) for t in frames],
            "label": [_rounded(value) for value in labels],
            **{name: [_rounded(value) for value in values] for name, values in rehearsal.predictions.items()},
        },
    }


def _reasons(figures: dict[str, dict[str, float | None]], stages: float | None) -> list[str]:
    """Return the reasons why one demonstration is not enough, as clauses of one sentence; empty if there is none.

    Perturbed recordings are a reason only where the recording itself is predicted well: else they say the same again.
    """
    recorded = _bad_error(figures[AS_RECORDED.name], MOST_ERROR)
    reasons = [recorded] if recorded else []
    if stages is not None and stages < LEAST_STAGES:
        share = beside_limit(100 * stages, 100 * LEAST_STAGES)
        reasons.append(f"the right step is named in {share} % of them ({100 * LEAST_STAGES:g} is good)")
    if not reasons:
        perturbed = {name: row for name, row in figures.items() if name != AS_RECORDED.name}
        bad = {name: text for name, row in perturbed.items() if (text := _bad_error(row, MOST_ERROR_PERTURBED))}
        reasons += [f"{name}: {text}" for name, text in bad.items()]
    return reasons


def _bad_error(row: dict[str, float | None], most: float) -> str | None:
    """Return what is wrong with the values of a recording, in words; None if nothing is."""
    if row["mae"] is None or row["parse_rate"] is None:
        return "no answer holds a percentage"
    if row["parse_rate"] < LEAST_PARSED:
        return f"only {beside_limit(100 * row['parse_rate'], 100 * LEAST_PARSED)} % of the answers hold a percentage"
    if row["mae"] > most:
        return f"the mean error is {beside_limit(row['mae'], most)} points ({most:g} is good)"
    return None


def _answer(reasons: Sequence[str], bad: int, segments: int) -> str:
    if reasons:
        return f"No. On the held-out frames {', and '.join(reasons)}."
    if bad:
        return f"It may be: the mean errors are good, but those of {bad} of {segments} segments are not."
    return "It may be: the errors on the held-out frames are good, as recorded and in every perturbed recording."


def _segment_row(disagreement: Disagreement) -> dict[str, Any]:
    segment = disagreement.segment
    return {
        "name": segment.name,
        "stage": segment.stage,
        "start": segment.start,
        "end": segment.end,
        "start_sec": round(segment.start_sec, 3),
        "end_sec": round(segment.end_sec, 3),
        "frames": disagreement.frames,
        "label": _rounded(disagreement.label),
        "said": _rounded(disagreement.prediction),
        "error": _rounded(disagreement.error),
        "errors": {name: _rounded(error) for name, error in disagreement.errors.items()},
        "stages_right": _rounded(disagreement.stages_right),
        "misread": disagreement.is_bad,
        "sentence": describe(disagreement),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 3)


def print_answer(document: dict[str, Any]) -> None:
    """Print the answer, the figures per recording and what to annotate next."""
    print(f"\n{document['answer']}\n{document['optimistic']}\n")
    width = max(map(len, document["copies"]))
    print(f"{'held-out frames':<{width}}  error  voc    parsed")
    for name, row in document["copies"].items():
        error, order, parsed = _format(row["mae"], 1), _format(row["voc"], 2), _format(row["parse_rate"], 2)
        print(f"{name:<{width}}  {error:>5}  {order:>5}  {parsed}")
    print(
        f"right step named: {_format(document['stage_accuracy'], 2)}; stage changes found (F1): "
        f"{_format(document['boundary_f1'], 2)}"
    )
    if document["annotate_next"]:
        print("\nwhat to annotate next, the worst first:")
        for number, sentence in enumerate(document["annotate_next"], start=1):
            print(f"  {number}. {sentence}")


def _format(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def write_page(path: str | Path, document: dict[str, Any], reader: VideoReader) -> None:
    """Write the page: answer, what to annotate next with pictures, curves, table; one file that needs no network."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from infer.report.plots import filmstrip, strip

    environment = Environment(loader=PackageLoader("train.rehearsal", ""), autoescape=True, undefined=StrictUndefined)
    environment.filters["shown"] = _format
    worst = [row for row in document["stretches"] if row["misread"]][:SHOWN]
    seconds = document["curves"]["seconds"]
    page = environment.get_template("enough.html").render(
        document=document,
        plot=draw_rehearsal(document),
        filmstrip=filmstrip(reader, seconds[0], seconds[-1]),
        worst=worst,
        limits=(MOST_ERROR, MOST_ERROR_PERTURBED),
        pictures=[
            strip(reader.frames(np.linspace(row["start"], row["end"] - 1, 3).round().astype(int)), height=96)
            for row in worst
        ],
    )
    write_text_atomically(path, page)


def draw_rehearsal(document: dict[str, Any]) -> str:
    """Draw label and held-out prediction over time, the range over all recordings, and the bad segments."""
    import matplotlib.pyplot as plt

    from infer.report.plots import ADAPTER, AXIS_LEFT, AXIS_RIGHT, LABEL, PLOT_SIZE, SOFT, STYLE, themed_svg

    curves = document["curves"]
    seconds = curves["seconds"]
    values = np.array([[np.nan if value is None else value for value in curves[name]] for name in document["copies"]])
    answered = np.isfinite(values).any(axis=0)
    low = np.where(answered, np.nanmin(np.where(np.isfinite(values), values, np.inf), axis=0), np.nan)
    high = np.where(answered, np.nanmax(np.where(np.isfinite(values), values, -np.inf), axis=0), np.nan)
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=PLOT_SIZE)
        for number, row in enumerate(row for row in document["stretches"] if row["misread"]):
            label = None if number else "large error"
            axis.axvspan(row["start_sec"], row["end_sec"], color=SOFT, alpha=0.16, linewidth=0, label=label)
        axis.fill_between(seconds, low, high, color=ADAPTER, alpha=0.18, linewidth=0, label="range over the recordings")
        axis.plot(seconds, curves["label"], color=LABEL, linewidth=2.4, linestyle=(0, (5, 2)), label="label")
        axis.plot(seconds, values[0], color=ADAPTER, linewidth=1.8, label="held out, as recorded")
        axis.set(xlim=(seconds[0], seconds[-1]), ylim=(-4, 104), xlabel="seconds", ylabel="progress (%)")
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, borderpad=0)
        figure.subplots_adjust(left=AXIS_LEFT, right=AXIS_RIGHT, top=0.9, bottom=0.19)
        return themed_svg(figure, "rehearsal")
