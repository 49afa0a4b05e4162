"""The evidence for a verdict: the figures of every held-out episode, and how a set of them is summed up.

Knows figures and names of episodes; does not know the rules of the verdict. A figure that is undefined counts as the
worst value that it can have, so it never speaks for a model: values that are the same everywhere have no order, and an
answer without a percentage may have been any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dataset.wording import plain_text
from infer.metrics.progress import mae
from infer.metrics.success import auroc
from infer.report.evaluate import EpisodeResult
from infer.report.shortcut_scores import ShortcutResult

WORST_ORDER, WORST_ERROR, NOT_DONE, DONE = -1.0, 100.0, 0.0, 100.0
NO_ORDER = 0.0  # a base without an order is as good as the time baseline


@dataclass(frozen=True)
class EpisodeFigures:
    """The figures of one held-out episode that the rules use; None where undefined.

    Args:
        name: Name of the episode.
        success: Its outcome.
        order: cycle_voc.
        error: mae, points; a frame without a percentage counts as the worst value for its label.
        end: Final value, percent.
        parse_rate: Share of the answers that hold a percentage, 0 to 1.
        constant_error: mae of the constant baseline.
        base_order: cycle_voc of the base; of no use if the base itself is evaluated.
        unanswered: Windows of both playbacks without a percentage.
    """

    name: str
    success: bool
    order: float | None
    error: float | None
    end: float | None
    parse_rate: float | None
    constant_error: float | None
    base_order: float | None = None
    unanswered: int = 0

    @property
    def counted_end(self) -> float:
        """The final value, percent; see `counted_end`."""
        return counted_end(self.success, self.end)

    @property
    def undefined(self) -> list[str]:
        """What is undefined, in words. The order within a failure is not used."""
        missing = [
            ("the order (cycle_voc)", self.success and self.order is None),
            ("the error (mae)", self.error is None),
            ("the final value", self.end is None),
        ]
        words = [word for word, is_missing in missing if is_missing]
        return words or ([f"{self.unanswered} of the values"] if self.unanswered else [])


@dataclass(frozen=True)
class Evidence:
    """What the rules use; of held-out episodes only.

    Args:
        model: The evaluated model, "adapter" or "base".
        episodes: The held-out episodes.
        shortcuts: Results of the shortcut tests; empty where they were not run.
        trained_on: Names of episodes that were given but had been trained on.
        tasks: Task texts of the held-out episodes.
        trained_tasks: Task texts that the adapter was trained on; empty for a base.
    """

    model: str
    episodes: tuple[EpisodeFigures, ...]
    shortcuts: Sequence[ShortcutResult]
    trained_on: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    trained_tasks: tuple[str, ...] = ()

    @property
    def successes(self) -> list[EpisodeFigures]:
        """The held-out successes."""
        return [episode for episode in self.episodes if episode.success]

    @property
    def failures(self) -> list[EpisodeFigures]:
        """The held-out failures."""
        return [episode for episode in self.episodes if not episode.success]

    @property
    def undefined(self) -> dict[str, list[str]]:
        """What is undefined, by name of the episode."""
        return {episode.name: episode.undefined for episode in self.episodes if episode.undefined}

    @property
    def parse_rate(self) -> float | None:
        """Mean over all episodes; None without one."""
        return _mean(0.0 if episode.parse_rate is None else episode.parse_rate for episode in self.episodes)

    @property
    def order(self) -> float | None:
        """Mean over the successes; None without one."""
        return _mean(WORST_ORDER if episode.order is None else episode.order for episode in self.successes)

    @property
    def base_order(self) -> float | None:
        """The same of the base; None if the base itself is evaluated. No order counts as that of the time baseline."""
        if self.model == "base":
            return None
        return _mean(NO_ORDER if episode.base_order is None else episode.base_order for episode in self.successes)

    @property
    def error(self) -> float | None:
        """Mean over the successes, points; None without one."""
        return _mean(WORST_ERROR if episode.error is None else episode.error for episode in self.successes)

    @property
    def constant_error(self) -> float | None:
        """The same of the constant baseline, where it is defined."""
        return _mean(e.constant_error for e in self.successes if e.constant_error is not None)

    @property
    def failure_error(self) -> float | None:
        """Mean over the failures, points; None without one."""
        return _mean(WORST_ERROR if episode.error is None else episode.error for episode in self.failures)

    @property
    def separation(self) -> float | None:
        """Probability that a success ends above a failure; None unless there are both."""
        return auroc([episode.success for episode in self.episodes], [e.counted_end for e in self.episodes])

    @property
    def untrained_tasks(self) -> list[str]:
        """Tasks of the episodes that the adapter was not trained on; empty for a base."""
        trained = {plain_text(text) for text in self.trained_tasks}
        return [text for text in self.tasks if trained and plain_text(text) not in trained]


def counted_end(success: bool, end: float | None) -> float:
    """Return a final value, percent; without one, what is wrong for the outcome: 0 for a success, 100 for a failure."""
    if end is not None:
        return end
    return NOT_DONE if success else DONE


def gather_evidence(
    results: Sequence[EpisodeResult], shortcuts: Sequence[ShortcutResult], trained_tasks: Sequence[str] = ()
) -> Evidence:
    """Collect the figures of the held-out episodes; episodes that were trained on give none."""
    model = list(results[0].predictions)[-1]
    held_out = [result for result in results if result.held_out]
    return Evidence(
        model=model,
        episodes=tuple(_figures(result, model) for result in held_out),
        shortcuts=shortcuts,
        trained_on=tuple(result.demonstration.name for result in results if not result.held_out),
        tasks=tuple(dict.fromkeys(result.demonstration.annotation.task for result in held_out)),
        trained_tasks=tuple(trained_tasks),
    )


def _figures(result: EpisodeResult, model: str) -> EpisodeFigures:
    block = result.metrics[model]
    return EpisodeFigures(
        name=result.demonstration.name,
        success=result.demonstration.annotation.success,
        order=block["cycle_voc"],
        error=_error(result.labels, result.values[model]),
        end=block["final"],
        parse_rate=block["parse_rate"],
        constant_error=result.metrics["constant"]["mae"],
        base_order=result.metrics["base"]["cycle_voc"] if model != "base" else None,
        unanswered=int(np.isnan(result.values[model]).sum() + np.isnan(result.backward[model]).sum()),
    )


def _error(labels: np.ndarray, values: np.ndarray) -> float | None:
    """Return the mae with the worst value, 0 or 100, where there is none; None where there is no value at all."""
    worst = np.where(labels < 50.0, 100.0, 0.0)
    return mae(labels, np.where(np.isfinite(values), values, worst)) if np.isfinite(values).any() else None


def _mean(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else None
