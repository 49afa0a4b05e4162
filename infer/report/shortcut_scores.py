"""Scores of the shortcut tests: what the model got, what baselines and a shuffled adapter get, and what that shows.

A shuffled adapter gives every scene the answers of another scene: its answers are those of the model, permuted among
the frames. It knows the scene of each picture and nothing of the task. A test that it passes as well shows nothing, so
passing such a test never counts for a model; failing it counts against one. Missing answers never count for a model:
a changed window without a percentage has changed by 100 points.
Knows answers to changed windows; does not know models or verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from infer.report.shortcuts import (
    FALLS,
    LEAST_UNSURE,
    RISES,
    SCENE_TESTS,
    SHORTCUTS,
    Shortcut,
    ShortcutAnswers,
)

DRAWS = 500  # shuffled adapters that are drawn
MOST_BY_CHANCE = 0.1  # share of the shuffled adapters that may pass a test that tells them apart
MISSING_CHANGE = 100.0  # points, for a changed window without a percentage


@dataclass(frozen=True)
class Score:
    """What one predictor gets in one test.

    Args:
        measured: Mean over the episodes of the mean of each; None where nothing could be measured.
        order: Of `SCENE_TESTS` the rank correlation of the changed windows' values with time, mean over the successes;
            None elsewhere, and without a success of two windows.
        spread: Of "blank" the standard deviation of the value, points.
    """

    measured: float | None
    order: float | None = None
    spread: float | None = None


@dataclass(frozen=True)
class ShortcutResult:
    """One test over all held-out episodes.

    Args:
        shortcut: The test.
        unit: "points", "%" or "" (a correlation).
        model: What the evaluated model gets.
        passed: Whether the rule holds; None where it could not be measured.
        windows: Number of answers.
        time_baseline, constant_baseline: What the baselines get.
        shuffled: What a shuffled adapter gets, mean over `DRAWS` draws.
        shuffled_passes: Share of the shuffled adapters that pass; None where it could not be measured.
        unanswered: Number of windows without a percentage.
        asked: Texts of the other tasks.
    """

    shortcut: Shortcut
    unit: str
    model: Score
    passed: bool | None
    windows: int
    time_baseline: Score
    constant_baseline: Score
    shuffled: Score
    shuffled_passes: float | None
    unanswered: int = 0
    asked: tuple[str, ...] = ()

    @property
    def tells(self) -> bool:
        """Whether a pass means something: few shuffled adapters pass."""
        return self.shuffled_passes is not None and self.shuffled_passes <= MOST_BY_CHANCE

    @property
    def counts(self) -> bool:
        """Whether the result says something about the model: it failed, or passed where a shuffled adapter fails."""
        return self.passed is False or (self.passed is True and self.tells)


def score_shortcuts(
    answers: Sequence[ShortcutAnswers], reversed_successes: Sequence[np.ndarray], constant: float
) -> list[ShortcutResult]:
    """Return the result of every test.

    Args:
        answers: One per held-out episode.
        reversed_successes: Per held-out success the percentages of its reversed playback, in that order.
        constant: Value of the constant baseline, percent.
    """
    results = []
    for shortcut in SHORTCUTS:
        if shortcut.name == "reversed":
            results.append(_score_reversed(shortcut, reversed_successes))
        elif shortcut.name in SCENE_TESTS:
            results.append(_score_scene(shortcut, answers))
        else:
            results.append(_score_nothing_visible(shortcut, answers, constant))
    return results


def _score_reversed(shortcut: Shortcut, playbacks: Sequence[np.ndarray]) -> ShortcutResult:
    rows = [values[np.isfinite(values)] for values in playbacks]
    order = _mean([1.0 if len(row) < 2 else falling(row) for row in rows])  # nothing answered: it does not fall
    draws = shuffled_orders([row for row in rows if len(row) > 1])
    windows = sum(map(len, rows))
    return ShortcutResult(
        shortcut=shortcut,
        unit="",
        model=Score(order),
        passed=None if order is None else order <= FALLS,
        windows=windows,
        time_baseline=Score(1.0 if rows else None),
        constant_baseline=Score(0.0 if rows else None),
        shuffled=Score(_mean(draws)),
        shuffled_passes=_mean(draws <= FALLS),
        unanswered=sum(map(len, playbacks)) - windows,
    )


def _score_scene(shortcut: Shortcut, answers: Sequence[ShortcutAnswers]) -> ShortcutResult:
    name, most = shortcut.name, shortcut.most
    moves = [np.abs(e.changed[name] - e.plain)[e.has_effect[name]] for e in answers]
    missing = sum(int(np.isnan(move).sum()) for move in moves)
    # Where no window is changed at all (a window of one frame), nothing can change the value.
    change = _mean([_mean(np.nan_to_num(move, nan=MISSING_CHANGE)) if len(move) else None for move in moves])
    change = 0.0 if change is None and any(len(e.frames) for e in answers) else change
    successes = [e.changed[name] for e in answers if e.success and len(e.frames) > 1]
    order = _mean([rising(values) for values in successes])
    draws = shuffled_orders([values for values in successes if np.isfinite(values).all()])
    time = [np.abs(e.time_baseline[name] - e.time_baseline["plain"]) for e in answers]
    passed = None
    if change is not None and change > most:
        passed = False
    elif change is not None and order is not None:
        passed = order >= RISES
    return ShortcutResult(
        shortcut=shortcut,
        unit="points",
        model=Score(change, order),
        passed=passed,
        windows=sum(map(len, moves)) - missing,
        time_baseline=Score(_mean([_mean(move) for move in time]), 1.0 if successes else None),
        constant_baseline=Score(0.0 if answers else None, 0.0 if successes else None),
        shuffled=Score(change, _mean(draws)),  # each scene keeps one answer, so the change is that of the model
        shuffled_passes=None
        if change is None or not len(draws)
        else (_mean(draws >= RISES) if change <= most else 0.0),
        unanswered=missing,
    )


def _score_nothing_visible(shortcut: Shortcut, answers: Sequence[ShortcutAnswers], constant: float) -> ShortcutResult:
    """Score blank images or another task: no scene is asked about, so a shuffled adapter answers as the model does."""
    name = shortcut.name
    values = [e.blank if name == "blank" else e.changed[name] for e in answers]
    missing = sum(int(np.isnan(row).sum()) for row in values)
    spread = _mean([_mean(e.blank_spread) for e in answers]) if name == "blank" else None
    score = Score(_mean([_mean(row) for row in values]), spread=spread)
    passed = None
    if score.measured is not None:
        low = score.measured <= shortcut.most or (spread or 0.0) >= LEAST_UNSURE
        passed = None if low and missing else low
    return ShortcutResult(
        shortcut=shortcut,
        unit="%",
        model=score,
        passed=passed,
        windows=sum(map(len, values)) - missing,
        time_baseline=Score(_mean([_mean(e.time_baseline[name]) for e in answers])),
        constant_baseline=Score(constant if answers else None),
        shuffled=score,
        shuffled_passes=None if passed is None else float(passed),
        unanswered=missing,
        asked=tuple(dict.fromkeys(text for e in answers for text in e.other_tasks)) if name == "other_task" else (),
    )


def falling(values: np.ndarray) -> float | None:
    """Return Spearman's rank correlation of value and playback time, -1 (falls all the way) to 1.

    0 where all values are equal, since they do not fall. None with fewer than two values.
    """
    values = values[np.isfinite(values)]
    return float(_time_correlations(values[None])[0]) if len(values) > 1 else None


def rising(values: np.ndarray) -> float | None:
    """Return the same correlation as `falling`; -1 where a value is missing."""
    return falling(values) if np.isfinite(values).all() else -1.0


def shuffled_orders(episodes: Sequence[np.ndarray], draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Return the mean rank correlation with time of shuffled adapters, shape (draws,); empty without an episode.

    Args:
        episodes: The model's values of each, two or more, all defined; permuted among all of them.
        draws: How many shuffled adapters.
        seed: Seed of the permutations.
    """
    if not episodes:
        return np.empty(0)
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(np.tile(np.concatenate(episodes), (draws, 1)), axis=1)
    ends = np.cumsum([len(values) for values in episodes])
    return np.mean([_time_correlations(part) for part in np.split(shuffled, ends[:-1], axis=1)], axis=0)


def _time_correlations(rows: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of every row with the places in it; 0 where a row is constant."""
    ranks = rankdata(rows, axis=1) - (rows.shape[1] + 1) / 2
    time = np.arange(rows.shape[1]) - (rows.shape[1] - 1) / 2
    scale = np.sqrt((ranks**2).sum(axis=1) * (time**2).sum())
    return np.divide(ranks @ time, scale, out=np.zeros(len(rows)), where=scale > 0)


def _mean(values: Sequence[float | None] | np.ndarray) -> float | None:
    """Return the mean of what is defined; None where nothing is."""
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    defined = numbers[np.isfinite(numbers)]
    return float(defined.mean()) if len(defined) else None
