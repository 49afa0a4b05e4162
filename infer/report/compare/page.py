"""The page of a comparison: a plot with one panel per setting that differs, and the table.

Knows comparisons and matplotlib; does not know reports.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from jinja2 import Environment, PackageLoader, StrictUndefined

from infer.metrics.progress import mean_of_defined
from infer.report.compare.comparison import COMPARED, DEMONSTRATIONS, READOUT, SEED, WINDOW, Comparison, Row, Run
from infer.report.compare.table import explain, table
from infer.report.plots import ADAPTER, BASE, INK, SOFT, STYLE, TIME, themed_svg

DRAWN = {"cycle_voc": "cycle_voc", "mae": "mean error (points)"}  # of the successes
PANELS = 4
_COLOURS = (ADAPTER, BASE, INK, TIME)


def render_comparison(comparison: Comparison) -> str:
    """Return the page: one file that needs no network, light and dark."""
    header, *rows = table(comparison)
    environment = Environment(
        loader=PackageLoader("infer.report.compare", ""), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("compare.html").render(
        comparison=comparison,
        header=header,
        rows=rows,
        numbers=len(COMPARED),
        plot=draw_comparison(comparison),
        explained=explain(comparison),
        columns={figure: compared.text for figure, compared in COMPARED.items()},
        tasks=sorted({run.task for run in comparison.runs}),
        panels=max(2, len(panels(comparison))),
    )  # fmt: skip


def panels(comparison: Comparison) -> list[str]:
    """Return the x axes of the panels: the settings that differ, demonstrations first, and seeds; else the runs."""
    first = [key for key in (DEMONSTRATIONS, WINDOW, READOUT) if key in comparison.differs]
    varied = [*first, *(key for key in comparison.differs if key not in first)]
    if any(len({run.seed for run in row.runs}) > 1 for row in comparison.rows):
        varied.insert(len(first), SEED)
    return varied[:PANELS] or ["run"]


def draw_comparison(comparison: Comparison) -> str:
    """Draw the panels: figures over one setting, with a line per combination of the other settings."""
    axes_of = panels(comparison)
    with plt.rc_context(STYLE):
        size = (max(4.5, 3.4 * len(axes_of)), 2.5 * len(DRAWN) + 0.5)
        figure, grid = plt.subplots(len(DRAWN), len(axes_of), figsize=size, squeeze=False)
        for column, varied in enumerate(axes_of):
            for line, metric in enumerate(DRAWN):
                _draw_panel(grid[line][column], comparison, varied, metric)
                grid[line][column].set_ylabel(DRAWN[metric] if column == 0 else "")
                grid[line][column].set_xlabel(varied if line == len(DRAWN) - 1 else "")
        figure.tight_layout()
        return themed_svg(figure, "comparison")


def _draw_panel(axis: Any, comparison: Comparison, varied: str, metric: str) -> None:
    """Draw one metric over one setting: numbers on a scale, other values side by side."""
    lines: dict[str, list[tuple[Any, float, float, float]]] = {}
    for row in comparison.rows:
        for value, mean, low, high in _points(row, varied, metric):
            others = _others(comparison, row, varied)
            lines.setdefault(others, []).append((value, mean, low, high))
    values = list(dict.fromkeys(point[0] for points in lines.values() for point in points))
    numeric = bool(values) and all(isinstance(value, int | float) for value in values)
    if varied == DEMONSTRATIONS and numeric:
        base = mean_of_defined([run.base_figures[metric] for run in comparison.runs])
        if base is not None:
            axis.scatter([0], [base], color=SOFT, marker="x", zorder=3)
            axis.annotate("base", (0, base), (5, 4), textcoords="offset points", color=SOFT, fontsize=8)
            values.append(0)
    for number, (label, points) in enumerate(lines.items()):
        places = [point[0] if numeric else values.index(point[0]) for point in points]
        means = [point[1] for point in points]
        reach = [[p[1] - p[2] for p in points], [p[3] - p[1] for p in points]]
        colour = _COLOURS[number % len(_COLOURS)]
        axis.errorbar(
            places, means, yerr=reach, color=colour, marker="o", markersize=4, linewidth=1.5, elinewidth=1, capsize=2,
            linestyle="-" if numeric and varied != SEED else "none", label=label or None,
        )  # fmt: skip
    if numeric:
        axis.set_xticks(sorted(set(values)))
    else:
        axis.set_xticks(range(len(values)), [_short(value) for value in values], rotation=20 if len(values) > 3 else 0)
        axis.set_xlim(-0.5, max(len(values) - 0.5, 0.5))
    if metric == "mae":
        axis.set_ylim(bottom=0)
    if 1 < len(lines) <= len(_COLOURS) and metric == next(iter(DRAWN)):
        axis.legend(frameon=False, fontsize=7, loc="best")


def _points(row: Row, varied: str, metric: str) -> list[tuple[Any, float, float, float]]:
    """Return (x, mean, low, high) of a row: one point, or one per run where seeds or runs are the axis."""
    defined = [run for run in row.runs if run.figures[metric] is not None]
    if varied == "run":
        return [(run.name, *_reach(run, metric)) for run in defined]
    if varied == SEED:
        seeded = [(run.seed, run.figures[metric]) for run in defined if run.seed is not None]
        return [(seed, value, value, value) for seed, value in seeded if value is not None]
    figure = row.figures[metric]
    if figure.mean is None:
        return []
    low, high = (figure.mean, figure.mean) if figure.low is None or figure.high is None else (figure.low, figure.high)
    place = "?" if row.setting[varied] is None else row.setting[varied]
    return [(place, figure.mean, min(low, figure.mean), max(high, figure.mean))]


def _reach(run: Run, metric: str) -> tuple[float, float, float]:
    value = run.figures[metric]
    assert value is not None  # only runs with this figure are drawn
    low, high = run.intervals[metric] or (value, value)
    return value, min(low, value), max(high, value)


def _others(comparison: Comparison, row: Row, varied: str) -> str:
    """Return the other settings of a row as text: its line in the legend."""
    if varied == "run":
        return ""
    tasks = len({run.task for run in comparison.runs}) > 1
    others = [f"{key} {_short(row.setting[key])}" for key in comparison.differs if key != varied]
    return ", ".join([*([_short(row.runs[0].task)] if tasks else []), *others])


def _short(value: Any) -> str:
    text = "?" if value is None else str(value)
    return text if len(text) <= 22 else f"...{text[-19:]}"
