"""What a rehearsal with one demonstration showed: its answer, as JSON, on the terminal and as one page.

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
from infer.metrics.progress import mae, parse_rate, voc
from infer.metrics.stages import boundary_f1, stage_accuracy
from train.rehearsal.disagreement import MOST_ERROR, MOST_ERROR_ON_COPIES, Disagreement, describe
from train.rehearsal.perturbed import RECORDED

LEAST_STAGES = 0.8  # share of held-out frames whose answer names the right step
SHOWN = 5  # stretches named as what to annotate next, at most
OPTIMISTIC = (
    "This is optimistic: what was held out lies in the same recording as what was learnt. A bad figure here is a bad "
    "figure; a good one must be confirmed on an episode of its own."
)


def summarise_rehearsal(
    demonstration: Demonstration,
    reader: VideoReader,
    frames: Sequence[int],
    labels: np.ndarray,
    readings: dict[str, np.ndarray],
    labelled: Sequence[int | None],
    answered: Sequence[int | None],
    found: Sequence[Disagreement],
) -> dict[str, Any]:
    """Return the JSON document: answer, what to annotate next, figures per copy, all stretches, the curves.

    Args:
        demonstration: The one demonstration.
        reader: Its video.
        frames: Judged source frames, rising, each read by the run that did not learn it.
        labels: Percent at each.
        readings: Per copy the percentages at the same frames; nan for none.
        labelled, answered: The step at each frame, of the recording.
        found: The stretches, the worst first.
    """
    copies = {
        name: {"mae": mae(labels, values), "voc": voc(labels, values), "parse_rate": parse_rate(values)}
        for name, values in readings.items()
    }
    stages = stage_accuracy(labelled, answered)
    reasons = _reasons(copies, stages)
    misread = [one for one in found if one.misread]
    return {
        "format": 1,
        "episode": demonstration.episode,
        "video": Path(demonstration.video).name,
        "task": demonstration.annotation.task,
        "enough": not reasons,
        "answer": _answer(reasons, len(misread), len(found)),
        "reasons": reasons,
        "optimistic": OPTIMISTIC,
        "annotate_next": [describe(one) for one in misread[:SHOWN]],
        "copies": {name: {key: _rounded(value) for key, value in row.items()} for name, row in copies.items()},
        "stage_accuracy": _rounded(stages),
        "boundary_f1": _rounded(boundary_f1(frames, labelled, answered)),
        "stretches": [_stretch_row(one) for one in found],
        "curves": {
            "frames": list(frames),
            "seconds": [round(float(reader.timestamps_sec[t]), 3) for t in frames],
            "label": [_rounded(value) for value in labels],
            **{name: [_rounded(value) for value in values] for name, values in readings.items()},
        },
    }


def _reasons(copies: dict[str, dict[str, float | None]], stages: float | None) -> list[str]:
    """Return why one demonstration is not enough; empty when nothing speaks against it."""
    reasons = []
    recorded = copies[RECORDED.name]["mae"]
    if recorded is None or recorded > MOST_ERROR:
        off = "no answer holds a percentage" if recorded is None else f"the mean error is {recorded:.0f} points"
        reasons.append(f"as recorded, {off} on the parts that were held out (at most {MOST_ERROR:g} is good)")
    if stages is not None and stages < LEAST_STAGES:
        reasons.append(f"the right step is named in {stages:.0%} of the held-out frames ({LEAST_STAGES:.0%} is good)")
    for name, row in copies.items():
        if name != RECORDED.name and (row["mae"] is None or row["mae"] > MOST_ERROR_ON_COPIES):
            off = "no answer holds a percentage" if row["mae"] is None else f"the mean error is {row['mae']:.0f} points"
            reasons.append(f"{name}: {off} (at most {MOST_ERROR_ON_COPIES:g} is good)")
    return reasons


def _answer(reasons: Sequence[str], misread: int, stretches: int) -> str:
    if reasons:
        return f"No, one demonstration is not enough: {'; '.join(reasons)}."
    said = "It may be: on the whole the held-out parts are read well, as recorded and in every perturbed copy"
    return f"{said}, but {misread} of {stretches} stretches are not." if misread else f"{said}."


def _stretch_row(one: Disagreement) -> dict[str, Any]:
    stretch = one.stretch
    return {
        "name": stretch.name,
        "stage": stretch.stage,
        "start": stretch.start,
        "end": stretch.end,
        "start_sec": round(stretch.start_sec, 3),
        "end_sec": round(stretch.end_sec, 3),
        "frames": one.frames,
        "label": _rounded(one.label),
        "said": _rounded(one.said),
        "error": _rounded(one.error),
        "errors": {name: _rounded(error) for name, error in one.errors.items()},
        "stages_right": _rounded(one.stages_right),
        "misread": one.misread,
        "sentence": describe(one),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 3)


def print_answer(document: dict[str, Any]) -> None:
    """Print the answer, the figures per copy and what to annotate next."""
    print(f"\n{document['answer']}\n{document['optimistic']}\n")
    width = max(map(len, document["copies"]))
    print(f"{'held-out parts':<{width}}  error  voc    parsed")
    for name, row in document["copies"].items():
        print(
            f"{name:<{width}}  {_shown(row['mae'], 1):>5}  {_shown(row['voc'], 2):>5}  {_shown(row['parse_rate'], 2)}"
        )
    print(
        f"right step named: {_shown(document['stage_accuracy'], 2)}; stage changes found (F1): "
        f"{_shown(document['boundary_f1'], 2)}"
    )
    if document["annotate_next"]:
        print("\nwhat to annotate next, the worst first:")
        for number, sentence in enumerate(document["annotate_next"], start=1):
            print(f"  {number}. {sentence}")


def _shown(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def write_page(path: str | Path, document: dict[str, Any], reader: VideoReader) -> None:
    """Write one self-contained page: answer, what to annotate next with pictures, curves, table; opens offline."""
    from jinja2 import Environment, PackageLoader

    from infer.report.plots import filmstrip, strip

    environment = Environment(loader=PackageLoader("train.rehearsal", ""), autoescape=True)
    environment.filters["shown"] = _shown
    worst = [row for row in document["stretches"] if row["misread"]][:SHOWN]
    seconds = document["curves"]["seconds"]
    page = environment.get_template("enough.html").render(
        document=document,
        plot=draw_rehearsal(document),
        filmstrip=filmstrip(reader, seconds[0], seconds[-1]),
        worst=worst,
        limits=(MOST_ERROR, MOST_ERROR_ON_COPIES),
        pictures=[
            strip(reader.frames(np.linspace(row["start"], row["end"] - 1, 3).round().astype(int)), height=96)
            for row in worst
        ],
    )
    write_text_atomically(path, page)


def draw_rehearsal(document: dict[str, Any]) -> str:
    """Draw label and held-out reading over time, the range over all copies behind them, misread stretches marked."""
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
            label = None if number else "misread"
            axis.axvspan(row["start_sec"], row["end_sec"], color=SOFT, alpha=0.16, linewidth=0, label=label)
        axis.fill_between(seconds, low, high, color=ADAPTER, alpha=0.18, linewidth=0, label="range over the copies")
        axis.plot(seconds, curves["label"], color=LABEL, linewidth=2.4, linestyle=(0, (5, 2)), label="label")
        axis.plot(seconds, values[0], color=ADAPTER, linewidth=1.8, label="held out, as recorded")
        axis.set(xlim=(seconds[0], seconds[-1]), ylim=(-4, 104), xlabel="seconds", ylabel="progress (%)")
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, borderpad=0)
        figure.subplots_adjust(left=AXIS_LEFT, right=AXIS_RIGHT, top=0.9, bottom=0.19)
        return themed_svg(figure, "rehearsal")
