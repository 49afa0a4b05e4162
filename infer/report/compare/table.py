"""The table of a comparison: for the terminal, as Markdown and as JSON.

Knows comparisons; does not know reports or plots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from infer.report.compare.comparison import COMPARED, Comparison, Figure, Run


def as_document(comparison: Comparison) -> dict[str, Any]:
    """Return the JSON form."""
    return {
        "format": 1,
        "differs": list(comparison.differs),
        "notes": list(comparison.notes),
        "rows": [
            {
                "setting": row.setting,
                "runs": [
                    {"name": run.name, "report": run.path, "task": run.task, "seed": run.seed, "verdict": run.verdict}
                    for run in row.runs
                ],
                "figures": {metric: vars(figure) for metric, figure in row.figures.items()},
            }
            for row in comparison.rows
        ],
    }


def table(comparison: Comparison) -> list[list[str]]:
    """Return the cells of the table, header first: what differs, runs, figures, verdicts."""
    tasks = len({run.task for run in comparison.runs}) > 1
    header = [*(["task"] if tasks else []), *comparison.differs, "runs", "verdict", *COMPARED]
    rows = []
    for row in comparison.rows:
        runs = row.runs[0].name if len(row.runs) == 1 else f"{len(row.runs)} ({_seeds(row.runs)})"
        rows.append(
            [
                *([row.runs[0].task] if tasks else []),
                *("?" if row.setting[key] is None else str(row.setting[key]) for key in comparison.differs),
                runs,
                ", ".join(dict.fromkeys(run.verdict for run in row.runs)),
                *(figure_with_spread(row.figures[metric], metric) for metric in COMPARED),
            ]
        )
    return [header, *rows]


def figure_with_spread(figure: Figure, metric: str) -> str:
    """Return a figure as text, with its spread if that is wider than the last digit."""
    mean = _format(figure.mean, metric)
    if figure.low is None or _format(figure.low, metric) == _format(figure.high, metric) == mean:
        return mean
    return f"{mean} [{_format(figure.low, metric)}, {_format(figure.high, metric)}]"


def _format(value: float | None, figure: str) -> str:
    return "-" if value is None else f"{value:.{COMPARED[figure].decimals}f}"


def as_text(comparison: Comparison) -> str:
    """Return the terminal table with its notes."""
    cells = table(comparison)
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([*lines, "", explain(comparison), *comparison.notes])


def as_markdown(comparison: Comparison) -> str:
    """Return the table with its notes as Markdown."""
    header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in table(comparison))
    lines = [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]
    return (
        "\n".join(["# Runs compared", "", *lines, "", explain(comparison), *(f"* {note}" for note in comparison.notes)])
        + "\n"
    )


def explain(comparison: Comparison) -> str:
    """Explain the figures and their brackets."""
    kinds = {figure.spread for row in comparison.rows for figure in row.figures.values()}
    texts = {
        "runs": "smallest and largest of the runs of one setting",
        "episodes": "95 % interval over the held-out episodes, of a single run",
    }
    meanings = "; ".join(text for kind, text in texts.items() if kind in kinds)
    means = "Means over the held-out successes, except failures: mae (over the failures) and end_auroc (over both)"
    return f"{means}{f'; in brackets: {meanings}' if meanings else ''}."


def _seeds(runs: Sequence[Run]) -> str:
    seeds = [run.seed for run in runs]
    return f"seeds {', '.join(map(str, seeds))}" if None not in seeds else ", ".join(run.name for run in runs)
