"""Comparisons: reports read as runs, and runs of one setting grouped, whatever their seeds.

Knows `report.json` files; does not know models, how a report is made, or how a comparison is displayed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dataset.unique_names import shortest_ends
from infer.metrics.block import COLUMNS
from infer.metrics.progress import mean_of_defined


@dataclass(frozen=True)
class Compared:
    """A figure that is compared, and its place in a report.

    Args:
        episodes: "successes", "failures", or "success" for the figures of the final values of all episodes.
        metric: Its name there.
        text: Its meaning, for a person.
        decimals: Digits after the decimal point.
    """

    episodes: str
    metric: str
    text: str
    decimals: int


def _of(episodes: str, metric: str) -> Compared:
    column = COLUMNS[metric]
    return Compared(episodes, metric, f"{column.text} ({episodes})", column.decimals)


COMPARED = {
    "voc": _of("successes", "voc"),
    "cycle_voc": _of("successes", "cycle_voc"),
    "mae": _of("successes", "mae"),
    "failures: mae": _of("failures", "mae"),
    "end_auroc": Compared("success", "auroc", "probability that a success ends above a failure (AUROC)", 2),
    "stage_accuracy": _of("successes", "stage_accuracy"),
    "parse_rate": _of("successes", "parse_rate"),
}
DEMONSTRATIONS, WINDOW, SPACING = "demonstrations", "window size", "window spacing"
READOUT, RANK, SEED = "read-out", "LoRA rank", "seed"
# Keys of a recipe that do not change the result, or that have a name of their own above.
_IGNORED_KEYS = (
    "model", "data.annotations", "data.window", "data.sampling.seed", "features", "evaluation",
    "lora.r", "sft.output_dir", "sft.seed", "sft.data_seed", "sft.report_to", "sft.run_name", "sft.logging",
    "sft.save", "sft.eval",
)  # fmt: skip

_OTHER_FILES = {  # a key of each: what it is
    "stages": "an annotation",
    "differs": "a comparison of reports",
    "annotate_next": "the answer of a rehearsal",
    "samples": "the summary of a training run",
}


@dataclass(frozen=True)
class Run:
    """One report.

    Args:
        name: The shortest end of its path that is unique.
        path: The file.
        task: The task text.
        setting: How it was trained and evaluated, by name; a base has 0 demonstrations and no rank or recipe.
        seed: Of the training; None for a base.
        held_out: Names of the held-out episodes.
        recordings: Fingerprints of their videos.
        figures: By the names of `COMPARED`, averaged over the held-out episodes; None where undefined.
        intervals: (low, high) by name, over the held-out episodes; None where there is none.
        base_figures: The same as `figures`, of the base.
        verdict: "adopt", "need more demos" or "do not use".
        undefined: By name of a figure, on how many held-out episodes it is undefined and so not in the mean.
    """

    name: str
    path: str
    task: str
    setting: dict[str, Any]
    seed: int | None
    held_out: frozenset[str]
    recordings: frozenset[str]
    figures: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    base_figures: dict[str, float | None]
    verdict: str
    undefined: dict[str, int]


@dataclass(frozen=True)
class Figure:
    """One figure of a row.

    Args:
        mean: Over the runs; None where it is undefined in all of them.
        low, high: Its spread; None where it is unknown.
        spread: "runs": smallest and largest of several runs; "episodes": the interval of a single run's report.
    """

    mean: float | None
    low: float | None
    high: float | None
    spread: str | None


@dataclass(frozen=True)
class Row:
    """The runs of one setting; they differ only in their seed (or their demonstrations).

    Args:
        setting: As in `Run`.
        runs: At least one.
        figures: By metric.
    """

    setting: dict[str, Any]
    runs: tuple[Run, ...]
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Comparison:
    """All runs.

    Args:
        differs: The settings that differ between runs, in the order of the table's columns.
        rows: One per setting, sorted by `differs`.
        notes: Warnings, one line each.
    """

    differs: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def runs(self) -> list[Run]:
        """All runs of all rows."""
        return [run for row in self.rows for run in row.runs]


def run_names(paths: Sequence[str | Path]) -> list[str]:
    """Return the shortest ends of the folders' paths that tell the reports apart."""
    folders = [Path(path).resolve().parent.parts for path in paths]
    if len(set(folders)) < len(folders):
        raise ValueError("a report is given twice, or two reports are in one folder; give each once")
    return shortest_ends(folders)


def read_run(path: str | Path, name: str) -> Run:
    """Read one report.

    Raises:
        ValueError: The file is missing or no report; the message names it.
    """
    report = _read_document(path)
    try:
        model_name, provenance = report["judged"], report["provenance"]
        window = provenance["window"]
        held_out = [row for row in provenance["episodes"] if row["held_out"]]
        setting = {
            "base": provenance["base"],
            DEMONSTRATIONS: 0 if model_name == "base" else provenance["training_demonstrations"],
            WINDOW: window["size"],
            SPACING: f"{window['rate_hz']:g} Hz" if window.get("rate_hz") else window.get("stride"),
            READOUT: provenance["readout"],
        }
        if model_name != "base":
            setting |= {RANK: provenance["lora_rank"]} | _flat(provenance["recipe"] or {})
        return Run(
            name=name,
            path=str(path),
            task=report["task"],
            setting=setting,
            seed=provenance["seed"],
            held_out=frozenset(row["episode"] for row in held_out),
            recordings=frozenset(row["fingerprint"] for row in held_out),
            figures={figure: report[c.episodes][model_name][c.metric] for figure, c in COMPARED.items()},
            intervals={figure: _interval(report, c, model_name) for figure, c in COMPARED.items()},
            base_figures={figure: report[c.episodes]["base"][c.metric] for figure, c in COMPARED.items()},
            verdict=report["verdict"]["outcome"],
            undefined=_undefined(report, model_name),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{path} is a report of another version ({what}); make it again with `python -m infer.report`"
        ) from None


def _read_document(path: str | Path) -> dict[str, Any]:
    remedy = "name the report.json that `python -m infer.report` writes"
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; `python -m infer.report` writes one") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    except ValueError:
        raise ValueError(f"{path} is no report, because it is no JSON; {remedy}") from None
    if not isinstance(document, dict) or "judged" not in document:
        keys = document if isinstance(document, dict) else ()
        kind = next((kind for key, kind in _OTHER_FILES.items() if key in keys), "another JSON file")
        raise ValueError(f"{path} is no report, but {kind}; {remedy}")
    return document


def _undefined(report: dict[str, Any], model_name: str) -> dict[str, int]:
    """Return on how many episodes figures are undefined; a report of an earlier version does not say."""
    counts = {
        figure: report[c.episodes].get("undefined", {}).get(model_name, {}).get(c.metric, 0)
        for figure, c in COMPARED.items()
    }
    return {figure: count for figure, count in counts.items() if count}


def _interval(report: dict[str, Any], compared: Compared, model_name: str) -> tuple[float, float] | None:
    if compared.episodes == "success":  # reports hold no intervals of these figures
        return None
    bounds = report[compared.episodes]["intervals"][model_name][compared.metric]
    return (bounds[0], bounds[1]) if bounds else None


def _flat(recipe: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a recipe by their full keys, without `_IGNORED_KEYS`; lists as text."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        full = f"{prefix}{key}"
        if any(full == ignored or full.startswith((f"{ignored}.", f"{ignored}_")) for ignored in _IGNORED_KEYS):
            continue
        if isinstance(value, dict):
            flat |= _flat(value, f"{full}.")
        else:
            flat[full] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def compare(runs: Sequence[Run]) -> Comparison:
    """Group the runs by setting, and find the settings that differ; a copy of a report counts once."""
    runs, copies = _without_copies(runs)
    keys = list(dict.fromkeys(key for run in runs for key in run.setting))
    differs = [key for key in keys if len({_hashable(run.setting[key]) for run in runs if key in run.setting}) > 1]
    recordings = {run.recordings for run in runs}
    shared = len({(run.task, run.held_out) for run in runs}) == 1 and len(recordings) == 1
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        place = tuple(_hashable(run.setting.get(key)) for key in differs)
        groups.setdefault(place if shared else (run.task, run.held_out, run.recordings, place), []).append(run)
    rows = [
        Row({key: group[0].setting.get(key) for key in keys}, tuple(group), _figures(group))
        for group in groups.values()
    ]
    rows.sort(key=lambda row: [_sortable(row.setting[key]) for key in differs])
    return Comparison(tuple(differs), tuple(rows), (*copies, *_notes(runs, shared)))


def _without_copies(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Return the runs without those that are equal to another in all but their place, and a note for each of these."""
    kept: list[Run] = []
    notes = []
    for run in runs:
        original = next((other for other in kept if replace(run, name=other.name, path=other.path) == other), None)
        if original is None:
            kept.append(run)
        else:
            notes.append(f"{run.name} is a copy of {original.name} (same seed, same figures): counted once.")
    return kept, notes


def _figures(group: Sequence[Run]) -> dict[str, Figure]:
    figures = {}
    for metric in COMPARED:
        values = [value for run in group if (value := run.figures[metric]) is not None]
        low: float | None = None
        high: float | None = None
        spread: str | None = None
        interval = group[0].intervals[metric]
        if len(values) > 1:
            low, high, spread = min(values), max(values), "runs"
        elif len(group) == 1 and interval:
            (low, high), spread = interval, "episodes"
        figures[metric] = Figure(mean_of_defined(values), low, high, spread)
    return figures


def _notes(runs: Sequence[Run], shared: bool) -> list[str]:
    notes = []
    if not shared:
        tasks = {run.task for run in runs}
        reason = f"of {len(tasks)} tasks" if len(tasks) > 1 else "measured on different held-out episodes"
        notes.append(f"The reports are {reason}, which may explain differences between rows.")
    notes += [
        f"{run.name}: {figure} is undefined on {count} held-out episodes, which are not in its mean."
        for run in runs
        for figure, count in run.undefined.items()
    ]
    return notes


def _hashable(value: Any) -> Any:
    return str(value) if isinstance(value, list | dict) else value


def _sortable(value: Any) -> tuple:
    return (
        value is None,
        not isinstance(value, int | float),
        value if isinstance(value, int | float) else 0,
        str(value),
    )
