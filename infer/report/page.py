"""The report for people: one HTML file that needs no network, the same in Markdown, and a table for the terminal.

Knows `report.json` and the results behind it; computes no figure.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dataset.video import VideoReader
from infer.metrics.block import COLUMNS, DETAIL, MAIN, REFERENCE, format_figure
from infer.report.evaluate import BASELINES, EpisodeResult
from infer.report.plots import AXIS_LEFT, AXIS_RIGHT, draw_episode, draw_reliability, filmstrip, strip
from infer.report.rules import RULES
from infer.report.summary import Report
from infer.report.worst import WorstWindow, worst_windows

GROUPS = (("successes", "held-out successes"), ("failures", "held-out failures"))
WINDOW_HEIGHT = 84  # pixels of a picture of a worst window
NONE_HELD_OUT = "no episode was held out, so there is nothing to compare"


def display_name(predictor: str) -> str:
    """Return the name of a predictor for people; baselines have a shorter one in `report.json`."""
    return BASELINES.get(predictor, predictor)


def format_table(document: dict[str, Any]) -> str:
    """Return the terminal table: a column per predictor; successes first, then failures."""
    predictors = document["readers"]
    rows: list[tuple[str, ...]] = []
    for key, title in GROUPS:
        block = document[key]
        if block["episodes"]:
            rows.append((f"{title} ({block['episodes']})", *map(display_name, predictors)))
            rows += [(f"  {name}", *(_figure(block, predictor, name) for predictor in predictors)) for name in MAIN]
    if not rows:
        return NONE_HELD_OUT
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def format_verdict(document: dict[str, Any]) -> str:
    """Return verdict, findings with remedies, notes and notices, one per line; the first finding is the verdict's."""
    verdict = document["verdict"]
    lines = [f"verdict: {verdict['outcome']}. {verdict['sentence']}"]
    for number, finding in enumerate(verdict["findings"]):
        words = [finding["sentence"] if number else "", finding["remedy"]]
        lines += [f"  {' '.join(filter(None, words))}"] if any(words) else []
    lines += [f"  note: {note}" for note in dict.fromkeys([*verdict["notes"], *document["notices"]])]
    return "\n".join(lines)


def render_html(report: Report) -> str:
    """Return the page: verdict, tables, plots over filmstrips, worst windows; one file that needs no network."""
    worst = worst_windows(report.results)
    return _environment(autoescape=True).get_template("report.html").render(
        **_shared(report),
        predictors=report.document["readers"],
        episodes=[
            _episode(result, number, worst, row)
            for number, (result, row) in enumerate(zip(report.results, report.document["episodes"], strict=True))
        ],
        worst=[_worst(window) for window in worst],
        reliability=draw_reliability(report.calibration.bins),
        axis=(AXIS_LEFT, AXIS_RIGHT),
    )  # fmt: skip


def render_markdown(report: Report) -> str:
    """Return the report's text and tables as Markdown."""
    return _environment(autoescape=False).get_template("report.md").render(**_shared(report))


def _environment(autoescape: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("infer.report", ""),
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        shown=format_figure,
        figure=_figure,
        bounds=_bounds,
        score=_score,
        result=_result,
        cell=_cell,
        display_name=display_name,
    )
    return environment


def _shared(report: Report) -> dict[str, Any]:
    return {
        "report": report.document,
        "groups": [(key, title) for key, title in GROUPS if report.document[key]["episodes"]],
        "tables": (("", MAIN), ("More metrics", DETAIL), ("ProcVLM's variants", REFERENCE)),
        "columns": COLUMNS,
        "rules": RULES,
        "none_held_out": NONE_HELD_OUT,
    }


def _episode(result: EpisodeResult, number: int, worst: list[WorstWindow], row: dict[str, Any]) -> dict[str, Any]:
    evaluated = list(result.predictions)[-1]
    seconds = [prediction.timestamp_sec for prediction in result.predictions[evaluated]]
    curves = {"label": result.labels, display_name("clock"): result.values["clock"]}
    curves |= {name: result.values[name] for name in result.predictions}
    marked = [window.prediction.timestamp_sec for window in worst if window.result is result]
    end = max(seconds[-1], seconds[0] + 1e-3)
    return {
        "row": row,
        "plot": draw_episode(seconds, curves, marked, f"episode{number}"),
        "filmstrip": filmstrip(VideoReader(result.demonstration.video), seconds[0], end),
    }


def _worst(window: WorstWindow) -> dict[str, Any]:
    indices = window.prediction.window_frame_indices
    reader = VideoReader(window.result.demonstration.video)
    by_number = dict(zip(sorted(set(indices)), reader.frames(sorted(set(indices))), strict=True))
    return {
        "episode": window.result.demonstration.name,
        "seconds": window.prediction.timestamp_sec,
        "frame": window.prediction.frame_index,
        "label": window.label,
        "error": window.error,
        "answers": window.answers,
        "frames": len(indices),
        "picture": strip([by_number[index] for index in indices], WINDOW_HEIGHT),
    }


def _bounds(interval: list[float] | None, name: str) -> str:
    """Return an interval as text, "" where there is none."""
    return "" if interval is None else f"{format_figure(interval[0], name)} to {format_figure(interval[1], name)}"


def _figure(block: dict[str, Any], predictor: str, name: str) -> str:
    """Return a mean as text, and in how many episodes it is undefined."""
    figure, undefined = format_figure(block[predictor][name], name), block["undefined"][predictor].get(name, 0)
    return f"{figure} ({undefined} undefined)" if undefined and undefined < block["episodes"] else figure


def _score(score: dict[str, Any], unit: str) -> str:
    """Return what a predictor gets in a shortcut test, with its unit."""
    if score["measured"] is None:
        return "not measured"
    text = f"{score['measured']:.1f} {unit}" if unit else f"{round(score['measured'], 2) + 0.0:.2f}"
    if score["order"] is not None:
        text += f", correlation {round(score['order'], 2) + 0.0:.2f}"  # + 0.0: no "-0.00"
    return text if score["spread"] is None else f"{text}, spread {score['spread']:.0f} points"


def _result(test: dict[str, Any]) -> str:
    """Return the result of a shortcut test; a pass that a shuffled adapter gets as well shows nothing."""
    if test["passed"] is None:
        return "not measured"
    if not test["passed"]:
        return "failed"
    return "passed" if test["counts"] else "passed, as by a shuffled adapter: shows nothing"


def _cell(text: str) -> str:
    """Return text for a cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|")
