"""The verdict: may this model be used as a progress reward for this task? With the rules that say so.

Knows figures of held-out episodes and shortcut tests; does not know how they were measured or where they are shown.

The rules below are looked at in order. Any "do not use" that holds decides; else any "need more demos"; else "adopt".
What the data cannot say is never in favour: without held-out failures, or with fewer than `LEAST_SUCCESSES` held-out
successes, the verdict is "need more demos", and says what is missing. The limits are conventions, set so that a model
that only learnt the clock, or one that says the same everywhere, fails by a wide margin; change them here.
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
LEAST_ORDER = 0.5  # cycle_voc of held-out successes, below which values do not follow the task
GOOD_ORDER = 0.8  # cycle_voc of held-out successes that is good enough
MOST_ERROR = 15.0  # mae of held-out successes, points, that is good enough
UNUSABLE_ERROR = (
    25.0  # the same, above which nothing is left: always saying 50 % costs so much where progress rises evenly
)
MOST_ERROR_ON_FAILURES = 25.0  # mae of held-out failures, points
LEAST_SEPARATION = 0.9  # chance that a success ends above a failure
LEAST_SUCCESSES, LEAST_FAILURES = 3, 1  # held-out episodes that a verdict needs

RULES: dict[str, tuple[Outcome, str]] = {
    "parsed": (REJECT, f"less than {100 * LEAST_PARSED:g} % of the answers hold a percentage"),
    "order": (REJECT, f"cycle_voc of the held-out successes is undefined or below {LEAST_ORDER:g}"),
    "clock": (REJECT, "the values do not fall when successes are played backwards (shortcut test)"),
    "base": (REJECT, "cycle_voc of the held-out successes is no better than that of the base"),
    "constant": (REJECT, f"mae of the held-out successes is no better than always saying {CONSTANT:g} %"),
    "useless": (REJECT, f"mae of the held-out successes is above {UNUSABLE_ERROR:g} points"),
    "successes": (MORE, f"fewer than {LEAST_SUCCESSES} held-out successes"),
    "failures": (MORE, "no held-out failure"),
    "false success": (MORE, f"a held-out failure ends at {SUCCESS_THRESHOLD:g} % or more"),
    "separation": (MORE, f"a success ends above a failure in less than {100 * LEAST_SEPARATION:g} % of the pairs"),
    "weak order": (MORE, f"cycle_voc of the held-out successes is below {GOOD_ORDER:g}"),
    "worst episode": (MORE, f"cycle_voc of one held-out success is below {LEAST_ORDER:g}"),
    "error": (MORE, f"mae of the held-out successes is above {MOST_ERROR:g} points"),
    "failure error": (MORE, f"mae of the held-out failures is above {MOST_ERROR_ON_FAILURES:g} points"),
    "scene": (MORE, "the value moves where the scene stays the same (frozen, half or double speed, shuffled)"),
    "not tested": (MORE, "the shortcut tests were left out"),
}


@dataclass(frozen=True)
class Finding:
    """A rule that holds.

    Args:
        rule: Its name in `RULES`.
        outcome: What it asks for.
        sentence: What was found, with figures.
        remedy: What to do about it.
    """

    rule: str
    outcome: Outcome
    sentence: str
    remedy: str


@dataclass(frozen=True)
class Verdict:
    """The answer, and why.

    Args:
        outcome: "adopt", "need more demos" or "do not use".
        sentence: The deciding reason, or for "adopt" what was shown.
        findings: All rules that hold, in the order of `RULES`, those of the deciding outcome first.
        notes: What a user must know in any case; no part of the decision.
    """

    outcome: Outcome
    sentence: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """The figures that the rules look at; of held-out episodes only. None where undefined.

    Args:
        judged: "adapter" or "base".
        parse_rate: Mean over all episodes, 0 to 1.
        order: Per success its cycle_voc, by name of the episode.
        base_order: Mean cycle_voc of the base over the successes; None as well where the base itself is judged.
        error, constant_error: Mean mae of the successes, points; of the model and of a constant.
        failure_error: Mean mae of the failures.
        ends: Last value of every success and every failure, by outcome and name of the episode.
        shortcuts: Results of the tests; empty where they were left out.
        trained_on: Names of episodes that were given but had been trained on.
    """

    judged: str
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
    """Take the rules' figures out of the episodes; those that were trained on give none."""
    judged = list(results[0].predictions)[-1]
    held_out = [result for result in results if result.held_out]
    by_outcome = {
        success: [r for r in held_out if r.demonstration.annotation.success is success] for success in (True, False)
    }

    def mean(reader: str, metric: str, episodes: Sequence[EpisodeResult]) -> float | None:
        return mean_of_defined([episode.metrics[reader][metric] for episode in episodes])

    successes, failures = by_outcome[True], by_outcome[False]
    return Evidence(
        judged=judged,
        parse_rate=mean(judged, "parse_rate", held_out),
        order={result.demonstration.episode: result.metrics[judged]["cycle_voc"] for result in successes},
        base_order=mean("base", "cycle_voc", successes) if judged != "base" else None,
        error=mean(judged, "mae", successes),
        constant_error=mean("constant", "mae", successes),
        failure_error=mean(judged, "mae", failures),
        ends={
            success: {r.demonstration.episode: r.metrics[judged]["final"] for r in episodes}
            for success, episodes in by_outcome.items()
        },
        shortcuts=shortcuts,
        trained_on=tuple(result.demonstration.episode for result in results if not result.held_out),
    )


def judge(evidence: Evidence) -> Verdict:
    """Apply the rules."""
    found = [Finding(name, RULES[name][0], *said) for name, said in _broken(evidence).items()]
    findings = [one for outcome in (REJECT, MORE) for one in found if one.outcome == outcome]
    if findings:
        return Verdict(findings[0].outcome, findings[0].sentence, tuple(findings), tuple(_notes(evidence)))
    order = mean_of_defined(list(evidence.order.values()))
    sentence = (
        f"On {len(evidence.order)} held-out successes the values follow the task in both directions of playback "
        f"(cycle_voc {order:.2f}, mean error {evidence.error:.0f} points), and no held-out "
        f"failure of {len(evidence.ends[False])} is read as done."
    )
    return Verdict(ADOPT, sentence, (), tuple(_notes(evidence)))


def _broken(e: Evidence) -> dict[str, tuple[str, str]]:
    """Return the rules that hold, in the order of `RULES`, each with its sentence and its remedy."""
    successes, failures = e.ends[True], e.ends[False]
    order = mean_of_defined(list(e.order.values()))
    tests = {result.shortcut.name: result for result in e.shortcuts}
    said: dict[str, tuple[str, str]] = {}
    if e.parse_rate is not None and e.parse_rate < LEAST_PARSED:
        said["parsed"] = (
            f"Only {100 * e.parse_rate:.0f} % of its answers hold a percentage.",
            "Train longer, or raise --max_new_tokens if answers are cut off.",
        )
    if successes and (order is None or order < LEAST_ORDER):
        said["order"] = (
            "Its values are the same everywhere (or missing): they say nothing about the task."
            if order is None
            else f"Its values do not follow the task: cycle_voc {order:.2f} on held-out successes, where a reader of "
            "the scene scores near 1 and a clock near 0.",
            "Check the annotation (python -m dataset ... --check, --preview), then train again or take a larger base.",
        )
    if "reversed" in tests and tests["reversed"].passed is False:
        said["clock"] = (
            "It does not go down when a success is played backwards (rank correlation with time "
            f"{tests['reversed'].measured:.2f}): it follows the clock or the motion, not the scene.",
            "Train with data.sampling.reversed_share=0.5.",
        )
    if order is not None and e.base_order is not None and order <= e.base_order:
        said["base"] = (
            f"The adapter orders held-out successes no better than its base (cycle_voc {order:.2f} against "
            f"{e.base_order:.2f}).",
            "Check the annotation and train again; the adapter adds nothing.",
        )
    if e.error is not None and e.constant_error is not None and e.error >= e.constant_error:
        said["constant"] = (
            f"Its mean error of {e.error:.0f} points is no better than always saying {CONSTANT:g} % "
            f"({e.constant_error:.0f} points).",
            "Train longer, or on a demonstration that ends with finished frames.",
        )
    if e.error is not None and e.error > UNUSABLE_ERROR:
        said["useless"] = (
            f"Its mean error on held-out successes is {e.error:.0f} points; always saying {CONSTANT:g} % costs "
            f"{UNUSABLE_ERROR:g} where progress rises evenly.",
            "Check the annotation (python -m dataset ... --check, --preview), then train again.",
        )
    if len(successes) < LEAST_SUCCESSES:
        said["successes"] = (
            f"The data cannot say: held-out successes: {len(successes)}, needed: {LEAST_SUCCESSES}.",
            f"Annotate more successful episodes ({LEAST_SUCCESSES - len(successes)}) and do not train on them.",
        )
    if len(failures) < LEAST_FAILURES:
        said["failures"] = (
            "The data cannot say: no held-out failure shows whether failures are told from successes.",
            "Annotate at least one failed episode and do not train on it.",
        )
    done = {name: value for name, value in failures.items() if value is not None and value >= SUCCESS_THRESHOLD}
    if done:
        named = ", ".join(f"{name} ends at {value:.0f} %" for name, value in done.items())
        said["false success"] = (
            f"{len(done)} of {len(failures)} held-out failures are read as done ({named}).",
            "Add such a failure to the training demonstrations, or do not take its end as the sign of success.",
        )
    separation = auroc(
        [True] * len(successes) + [False] * len(failures), _numbers([*successes.values(), *failures.values()])
    )
    if separation is not None and separation < LEAST_SEPARATION:
        said["separation"] = (
            f"The last value does not tell successes from failures: the success is above in "
            f"{100 * separation:.0f} % of the pairs, 50 % is guessing.",
            "Add a failure to the training demonstrations.",
        )
    if order is not None and LEAST_ORDER <= order < GOOD_ORDER:
        said["weak order"] = (
            f"Its values follow the task only roughly: cycle_voc {order:.2f}, {GOOD_ORDER:g} is good.",
            "Annotate one more demonstration that differs from the first and train on both.",
        )
    worst = min(((value, name) for name, value in e.order.items() if value is not None), default=None)
    if worst and worst[0] < LEAST_ORDER <= (order or 0.0):
        said["worst episode"] = (
            f"It loses track of one held-out success: {worst[1]} has a cycle_voc of {worst[0]:.2f}.",
            f"Look at {worst[1]} below and train on a demonstration like it.",
        )
    if e.error is not None and MOST_ERROR < e.error <= UNUSABLE_ERROR:
        said["error"] = (
            f"Its mean error on held-out successes is {e.error:.0f} points, more than {MOST_ERROR:g}.",
            "Annotate one more demonstration and train on both; see the worst windows below.",
        )
    if e.failure_error is not None and e.failure_error > MOST_ERROR_ON_FAILURES:
        said["failure error"] = (
            f"On held-out failures its mean error is {e.failure_error:.0f} points, more than "
            f"{MOST_ERROR_ON_FAILURES:g}: they are given progress that they did not make.",
            "Add a failure to the training demonstrations.",
        )
    moved = [tests[name] for name in SCENE_TESTS if name in tests and tests[name].passed is False]
    if moved:
        named = "; ".join(f"{result.shortcut.title}: {result.measured:.0f} points" for result in moved)
        said["scene"] = (
            f"Its value moves where the scene stays the same ({named}).",
            "Train with data.sampling.held_share, speed_share and single_frame_share above 0.",
        )
    if not e.shortcuts:
        said["not tested"] = ("The shortcut tests were left out.", "Leave --shortcut_windows at its default.")
    return said


def _notes(e: Evidence) -> list[str]:
    """Return what a user must know beside the verdict."""
    tests = {result.shortcut.name: result for result in e.shortcuts}
    notes = []
    if e.trained_on:
        notes.append(
            f"{', '.join(e.trained_on)}: not held out. The adapter was trained on this recording (same fingerprint); "
            "it is shown, but counts for nothing in the means and the verdict."
        )
    if "other_task" in tests and tests["other_task"].passed is False:
        notes.append(
            "It does not read the task text: asked about another task it still says "
            f"{tests['other_task'].measured:.0f} % on average. Use it for its own task only."
        )
    if "blank" in tests and tests["blank"].passed is False:
        notes.append(
            f"It is sure of itself where there is nothing to see: {tests['blank'].measured:.0f} % for blank images. A "
            "broken camera must be found by other means."
        )
    unmeasured = [result.shortcut.title for result in e.shortcuts if result.passed is None]
    if unmeasured:
        notes.append(f"Not measured: {'; '.join(unmeasured)}.")
    return notes


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
