"""The verdict: can this model be used as a progress reward for this task? With the rules behind it.

Knows figures of held-out episodes and of shortcut tests; does not know how they were measured or where they are shown.

The rules are applied in the order below. If a "do not use" rule applies, that is the verdict; else if a "need more
demos" rule applies; else "adopt". Missing data never counts in favour: without a held-out failure, or with fewer than
`LEAST_SUCCESSES` held-out successes, the verdict is at most "need more demos". The limits are conventions: a model that
only follows time, or that predicts one value everywhere, fails by a wide margin. Change them here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dataset.labels import SUCCESS_THRESHOLD
from infer.metrics.progress import mean_of_defined
from infer.metrics.success import auroc
from infer.report.evaluate import CONSTANT, EpisodeResult
from infer.report.shortcuts import SCENE_TESTS, ShortcutResult

Outcome = Literal["adopt", "need more demos", "do not use"]
ADOPT: Outcome = "adopt"
MORE: Outcome = "need more demos"
REJECT: Outcome = "do not use"

LEAST_PARSED = 0.9  # share of answers with a percentage
LEAST_ORDER = 0.5  # cycle_voc of held-out successes: below, values do not follow the task
GOOD_ORDER = 0.8  # cycle_voc of held-out successes that is good enough
MOST_ERROR = 15.0  # mae of held-out successes, points, that is good enough
UNUSABLE_ERROR = 25.0  # mae of held-out successes, points: what a constant 50 % costs where progress rises evenly
MOST_ERROR_ON_FAILURES = 25.0  # mae of held-out failures, points
LEAST_SEPARATION = 0.9  # probability that a success ends above a failure
LEAST_SUCCESSES, LEAST_FAILURES = 3, 1  # held-out episodes that a verdict needs

RULES: dict[str, tuple[Outcome, str]] = {
    "parsed": (REJECT, f"less than {100 * LEAST_PARSED:g} % of the answers hold a percentage"),
    "order": (REJECT, f"cycle_voc of the held-out successes is undefined or below {LEAST_ORDER:g}"),
    "clock": (REJECT, "the values do not fall when successes are played backwards (shortcut test)"),
    "base": (REJECT, "cycle_voc of the held-out successes is not higher than that of the base"),
    "constant": (REJECT, f"mae of the held-out successes is not lower than that of a constant {CONSTANT:g} %"),
    "useless": (REJECT, f"mae of the held-out successes is above {UNUSABLE_ERROR:g} points"),
    "successes": (MORE, f"there are fewer than {LEAST_SUCCESSES} held-out successes"),
    "failures": (MORE, "there is no held-out failure"),
    "false success": (MORE, f"a held-out failure ends at {SUCCESS_THRESHOLD:g} % or more"),
    "separation": (MORE, f"a success ends above a failure in less than {100 * LEAST_SEPARATION:g} % of the pairs"),
    "weak order": (MORE, f"cycle_voc of the held-out successes is below {GOOD_ORDER:g}"),
    "worst episode": (MORE, f"cycle_voc of one held-out success is below {LEAST_ORDER:g}"),
    "error": (MORE, f"mae of the held-out successes is above {MOST_ERROR:g} points"),
    "failure error": (MORE, f"mae of the held-out failures is above {MOST_ERROR_ON_FAILURES:g} points"),
    "scene": (MORE, "the value changes although the scene is the same (frozen, half or double speed, shuffled)"),
    "not tested": (MORE, "the shortcut tests were not run"),
}


@dataclass(frozen=True)
class Finding:
    """A rule that applies.

    Args:
        rule: Its name in `RULES`.
        outcome: The verdict that it leads to.
        sentence: The figures.
        remedy: What to do.
    """

    rule: str
    outcome: Outcome
    sentence: str
    remedy: str


@dataclass(frozen=True)
class Verdict:
    """The verdict and its reasons.

    Args:
        outcome: "adopt", "need more demos" or "do not use".
        sentence: The first reason, or for "adopt" the evidence.
        findings: All rules that apply, in the order of `RULES`, those of the verdict first.
        notes: Warnings that did not count.
    """

    outcome: Outcome
    sentence: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """The figures that the rules use; of held-out episodes only. None where undefined.

    Args:
        model: The evaluated model, "adapter" or "base".
        parse_rate: Mean over all episodes, 0 to 1.
        order: cycle_voc of every success, by name of the episode.
        base_order: Mean cycle_voc of the base over the successes; None if the base itself is evaluated.
        error, constant_error: Mean mae of the successes, points; of the model and of the constant baseline.
        failure_error: Mean mae of the failures.
        ends: Final value of every success and every failure, by outcome and name of the episode.
        shortcuts: Results of the shortcut tests; empty where they were not run.
        trained_on: Names of episodes that were given but had been trained on.
    """

    model: str
    parse_rate: float | None
    order: dict[str, float | None]
    base_order: float | None
    error: float | None
    constant_error: float | None
    failure_error: float | None
    ends: dict[bool, dict[str, float | None]]
    shortcuts: Sequence[ShortcutResult]
    trained_on: tuple[str, ...] = ()


def gather_evidence(results: Sequence[EpisodeResult], shortcuts: Sequence[ShortcutResult]) -> Evidence:
    """Collect the figures of the held-out episodes; episodes that were trained on give none."""
    model = list(results[0].predictions)[-1]
    held_out = [result for result in results if result.held_out]
    by_outcome = {
        success: [r for r in held_out if r.demonstration.annotation.success is success] for success in (True, False)
    }

    def mean(predictor: str, metric: str, episodes: Sequence[EpisodeResult]) -> float | None:
        return mean_of_defined([episode.metrics[predictor][metric] for episode in episodes])

    successes, failures = by_outcome[True], by_outcome[False]
    return Evidence(
        model=model,
        parse_rate=mean(model, "parse_rate", held_out),
        order={result.demonstration.name: result.metrics[model]["cycle_voc"] for result in successes},
        base_order=mean("base", "cycle_voc", successes) if model != "base" else None,
        error=mean(model, "mae", successes),
        constant_error=mean("constant", "mae", successes),
        failure_error=mean(model, "mae", failures),
        ends={
            success: {r.demonstration.name: r.metrics[model]["final"] for r in episodes}
            for success, episodes in by_outcome.items()
        },
        shortcuts=shortcuts,
        trained_on=tuple(result.demonstration.name for result in results if not result.held_out),
    )


def decide(evidence: Evidence) -> Verdict:
    """Apply the rules."""
    applicable = [Finding(rule, RULES[rule][0], *texts) for rule, texts in _applicable_rules(evidence).items()]
    findings = [finding for outcome in (REJECT, MORE) for finding in applicable if finding.outcome == outcome]
    if findings:
        return Verdict(findings[0].outcome, findings[0].sentence, tuple(findings), tuple(_notes(evidence)))
    order = mean_of_defined(list(evidence.order.values()))
    sentence = (
        f"On {len(evidence.order)} held-out successes the values follow the task in both directions of playback "
        f"(cycle_voc {order:.2f}, mean error {evidence.error:.0f} points). None of {len(evidence.ends[False])} "
        f"held-out failures ends at {SUCCESS_THRESHOLD:g} % or more."
    )
    return Verdict(ADOPT, sentence, (), tuple(_notes(evidence)))


def _applicable_rules(evidence: Evidence) -> dict[str, tuple[str, str]]:
    """Return the rules that apply, in the order of `RULES`, each with its sentence and its remedy."""
    successes, failures = evidence.ends[True], evidence.ends[False]
    order = mean_of_defined(list(evidence.order.values()))
    error = evidence.error
    tests = {result.shortcut.name: result for result in evidence.shortcuts}
    rules: dict[str, tuple[str, str]] = {}
    if evidence.parse_rate is not None and evidence.parse_rate < LEAST_PARSED:
        rules["parsed"] = (
            f"Only {100 * evidence.parse_rate:.0f} % of the answers hold a percentage.",
            "Train longer, or raise --max_new_tokens if answers are cut off.",
        )
    if successes and (order is None or order < LEAST_ORDER):
        rules["order"] = (
            "The values are the same everywhere (or missing): they say nothing about the task."
            if order is None
            else f"The values do not follow the task: cycle_voc {order:.2f} on held-out successes; one that follows "
            "the scene scores near 1, the time baseline near 0.",
            "Check the annotation (python -m dataset ... --check, --preview), then train again or use a larger base.",
        )
    if "reversed" in tests and tests["reversed"].passed is False:
        rules["clock"] = (
            "The values do not fall when a success is played backwards (rank correlation with time "
            f"{tests['reversed'].measured:.2f}): the model follows time or motion, not the scene.",
            "Train with data.sampling.reversed_share=0.5.",
        )
    if order is not None and evidence.base_order is not None and order <= evidence.base_order:
        rules["base"] = (
            f"The adapter orders held-out successes no better than its base (cycle_voc {order:.2f}, base "
            f"{evidence.base_order:.2f}).",
            "Check the annotation and train again.",
        )
    if error is not None and evidence.constant_error is not None and error >= evidence.constant_error:
        rules["constant"] = (
            f"The mean error of {error:.0f} points is no better than that of a constant {CONSTANT:g} % "
            f"({evidence.constant_error:.0f} points).",
            "Train longer, or on a demonstration that ends with finished frames.",
        )
    if error is not None and error > UNUSABLE_ERROR:
        rules["useless"] = (
            f"The mean error on held-out successes is {error:.0f} points. A constant {CONSTANT:g} % costs "
            f"{UNUSABLE_ERROR:g} where progress rises evenly.",
            "Check the annotation (python -m dataset ... --check, --preview), then train again.",
        )
    if len(successes) < LEAST_SUCCESSES:
        rules["successes"] = (
            f"Held-out successes: {len(successes)}. A verdict needs {LEAST_SUCCESSES}.",
            f"Annotate more successful episodes ({LEAST_SUCCESSES - len(successes)}) and do not train on them.",
        )
    if len(failures) < LEAST_FAILURES:
        rules["failures"] = (
            "There is no held-out failure, so it is unknown whether the model separates failures from successes.",
            "Annotate at least one failed episode and do not train on it.",
        )
    done = {name: value for name, value in failures.items() if value is not None and value >= SUCCESS_THRESHOLD}
    if done:
        ends = ", ".join(f"{name}: {value:.0f} %" for name, value in done.items())
        rules["false success"] = (
            f"{len(done)} of {len(failures)} held-out failures {'end' if len(done) > 1 else 'ends'} at "
            f"{SUCCESS_THRESHOLD:g} % or more ({ends}).",
            "Add such a failure to the training demonstrations, or do not use the final value to detect success.",
        )
    separation = auroc(
        [True] * len(successes) + [False] * len(failures), _numbers([*successes.values(), *failures.values()])
    )
    if separation is not None and separation < LEAST_SEPARATION:
        rules["separation"] = (
            f"The final value does not separate successes from failures: the success is higher in "
            f"{100 * separation:.0f} % of the pairs; guessing gives 50 %.",
            "Add a failure to the training demonstrations.",
        )
    if order is not None and LEAST_ORDER <= order < GOOD_ORDER:
        rules["weak order"] = (
            f"The values follow the task only roughly: cycle_voc {order:.2f}; {GOOD_ORDER:g} is good.",
            "Annotate one more demonstration that differs from the first and train on both.",
        )
    worst = min(((value, name) for name, value in evidence.order.items() if value is not None), default=None)
    if worst and worst[0] < LEAST_ORDER <= (order or 0.0):
        rules["worst episode"] = (
            f"The values do not follow one held-out success: {worst[1]} has a cycle_voc of {worst[0]:.2f}.",
            f"Look at {worst[1]} below and train on a demonstration like it.",
        )
    if error is not None and MOST_ERROR < error <= UNUSABLE_ERROR:
        rules["error"] = (
            f"The mean error on held-out successes is {error:.0f} points, more than {MOST_ERROR:g}.",
            "Annotate one more demonstration and train on both; see the worst windows below.",
        )
    if evidence.failure_error is not None and evidence.failure_error > MOST_ERROR_ON_FAILURES:
        rules["failure error"] = (
            f"The mean error on held-out failures is {evidence.failure_error:.0f} points, more than "
            f"{MOST_ERROR_ON_FAILURES:g}: the model gives them progress that they did not make.",
            "Add a failure to the training demonstrations.",
        )
    changed = [tests[name] for name in SCENE_TESTS if name in tests and tests[name].passed is False]
    if changed:
        figures = "; ".join(f"{result.shortcut.title}: {result.measured:.0f} points" for result in changed)
        rules["scene"] = (
            f"The value changes although the scene is the same ({figures}).",
            "Train with data.sampling.held_share, speed_share and single_frame_share above 0.",
        )
    if not evidence.shortcuts:
        rules["not tested"] = ("The shortcut tests were not run.", "Leave --shortcut_windows at its default.")
    return rules


def _notes(evidence: Evidence) -> list[str]:
    """Return warnings that do not count for the verdict."""
    tests = {result.shortcut.name: result for result in evidence.shortcuts}
    notes = []
    if evidence.trained_on:
        notes.append(
            f"{', '.join(evidence.trained_on)}: not held out. The adapter was trained on this recording (same "
            "fingerprint). It is shown, but is not part of the means or the verdict."
        )
    if "other_task" in tests and tests["other_task"].passed is False:
        notes.append(
            "The model ignores the task text: for another task it still answers "
            f"{tests['other_task'].measured:.0f} % on average. Use it for its own task only."
        )
    if "blank" in tests and tests["blank"].passed is False:
        notes.append(
            f"The model is confident where there is nothing to see: {tests['blank'].measured:.0f} % for blank images. "
            "Detect a broken camera by other means."
        )
    unmeasured = [result.shortcut.title for result in evidence.shortcuts if result.passed is None]
    if unmeasured:
        notes.append(f"Not measured: {'; '.join(unmeasured)}.")
    return notes


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
