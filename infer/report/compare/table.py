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
                *(show_figure(row.figures[metric], metric) for metric in COMPARED),
            ]
        )
    return [header, *rows]


def show_figure(figure: Figure, metric: str) -> str:
    """Return a figure as it is printed, with its spread where that is wider than a digit."""
    mean = _shown(figure.mean, metric)
    if figure.low is None or _shown(figure.low, metric) == _shown(figure.high, metric) == mean:
        return mean
    return f"{mean} [{_shown(figure.low, metric)}, {_shown(figure.high, metric)}]"


def _shown(value: float | None, figure: str) -> str:
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
    """Say what the brackets mean."""
    kinds = {figure.spread for row in comparison.rows for figure in row.figures.values()}
    said = {
        "runs": "smallest and largest of the runs of one setting",
        "episodes": "95 % interval over the held-out episodes, of a single run",
    }
    meanings = "; ".join(text for kind, text in said.items() if kind in kinds)
    means = "Means over the held-out successes; of failures where that is said, and end_auroc over both"
    return f"{means}{f'; in brackets: {meanings}' if meanings else ''}."


def _seeds(runs: Sequence[Run]) -> str:
    seeds = [run.seed for run in runs]
    return f"seeds {', '.join(map(str, seeds))}" if None not in seeds else ", ".join(run.name for run in runs)
