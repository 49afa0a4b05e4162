"""The rules of the verdict, with their limits: when each applies, what it says and what to do.

Knows the evidence; does not know how rules make a verdict. The limits are conventions: a model that only follows time,
or that predicts one value everywhere, fails by a wide margin. Change them here.
"""

from __future__ import annotations

from typing import Literal

from dataset.labels import SUCCESS_THRESHOLD
from infer.metrics.limits import beside_limit
from infer.report.evaluate import CONSTANT
from infer.report.evidence import WORST_ORDER, Evidence
from infer.report.shortcut_scores import ShortcutResult
from infer.report.shortcuts import MOST_CHANGE, SCENE_TESTS

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

COUNTED_TESTS = ("reversed", *SCENE_TESTS)  # a shuffled adapter fails these; the others are notes
DATA_RULES = ("successes", "failures", "not tested")  # their remedies do not change the model

RULES: dict[str, tuple[Outcome, str]] = {
    "parsed": (REJECT, f"less than {100 * LEAST_PARSED:g} % of the answers hold a percentage"),
    "order": (REJECT, f"cycle_voc of the held-out successes is below {LEAST_ORDER:g}"),
    "clock": (REJECT, "the values do not fall when successes are played backwards (shortcut test)"),
    "base": (REJECT, "cycle_voc of the held-out successes is not higher than that of the base"),
    "constant": (REJECT, f"mae of the held-out successes is not lower than that of a constant {CONSTANT:g} %"),
    "useless": (REJECT, f"mae of the held-out successes is above {UNUSABLE_ERROR:g} points"),
    "undefined": (MORE, "a figure of a held-out episode is undefined; it counts as the worst value that it can have"),
    "successes": (MORE, f"there are fewer than {LEAST_SUCCESSES} held-out successes"),
    "failures": (MORE, "there is no held-out failure"),
    "false success": (MORE, f"a held-out failure ends at {SUCCESS_THRESHOLD:g} % or more"),
    "separation": (MORE, f"a success ends above a failure in less than {100 * LEAST_SEPARATION:g} % of the pairs"),
    "weak order": (MORE, f"cycle_voc of the held-out successes is below {GOOD_ORDER:g}"),
    "worst episode": (MORE, f"cycle_voc of one held-out success is below {LEAST_ORDER:g}"),
    "error": (MORE, f"mae of the held-out successes is above {MOST_ERROR:g} points"),
    "failure error": (MORE, f"mae of the held-out failures is above {MOST_ERROR_ON_FAILURES:g} points"),
    "scene": (MORE, "the value changes although the scene is the same (frozen, half or double speed, shuffled)"),
    "not tested": (MORE, "a shortcut test that counts was not run, or a shuffled adapter would pass it"),
}


def applicable_rules(evidence: Evidence) -> dict[str, tuple[str, str]]:
    """Return the rules that apply, in the order of `RULES`, each with its sentence and its remedy."""
    rules = _rules_of_answers(evidence) | _rules_of_data(evidence) | _rules_of_quality(evidence)
    rules |= _rules_of_tests(evidence)
    return {rule: rules[rule] for rule in RULES if rule in rules}


def _rules_of_answers(evidence: Evidence) -> dict[str, tuple[str, str]]:
    """Return the rules that apply to a model whose values cannot be used."""
    order, error = evidence.order, evidence.error
    rules: dict[str, tuple[str, str]] = {}
    if evidence.parse_rate is not None and evidence.parse_rate < LEAST_PARSED:
        rules["parsed"] = (
            f"Only {beside_limit(100 * evidence.parse_rate, 100 * LEAST_PARSED)} % of the answers hold a percentage.",
            "Train longer, or raise --max_new_tokens if answers are cut off.",
        )
    if order is not None and order < LEAST_ORDER:
        rules["order"] = (
            "The values are the same everywhere (or missing): they say nothing about the task."
            if all(episode.order is None for episode in evidence.successes)
            else f"The values do not follow the task: cycle_voc {beside_limit(order, LEAST_ORDER, 2)} on held-out "
            f"successes{_without_order(evidence)}; one that follows the scene scores near 1, the time baseline near 0.",
            "Check the annotation (python -m dataset ... --check, --preview), then train again or use a larger base.",
        )
    if order is not None and evidence.base_order is not None and order <= evidence.base_order:
        rules["base"] = (
            f"The adapter orders held-out successes no better than its base (cycle_voc "
            f"{beside_limit(order, evidence.base_order, 2)}, base {beside_limit(evidence.base_order, order, 2)}).",
            "Check the annotation and train again.",
        )
    if error is not None and evidence.constant_error is not None and error >= evidence.constant_error:
        rules["constant"] = (
            f"The mean error of {beside_limit(error, evidence.constant_error)} points is no better than that of a "
            f"constant {CONSTANT:g} % ({beside_limit(evidence.constant_error, error)} points).",
            "Train longer, or on a demonstration that ends with finished frames.",
        )
    if error is not None and error > UNUSABLE_ERROR:
        rules["useless"] = (
            f"The mean error on held-out successes is {beside_limit(error, UNUSABLE_ERROR)} points. A constant "
            f"{CONSTANT:g} % costs {UNUSABLE_ERROR:g} where progress rises evenly.",
            "Check the annotation (python -m dataset ... --check, --preview), then train again.",
        )
    return rules


def _rules_of_data(evidence: Evidence) -> dict[str, tuple[str, str]]:
    """Return the rules that apply to figures and episodes that are missing."""
    successes, failures = evidence.successes, evidence.failures
    rules: dict[str, tuple[str, str]] = {}
    if evidence.undefined:
        what = "; ".join(f"{name}: {' and '.join(words)}" for name, words in evidence.undefined.items())
        rules["undefined"] = (
            f"Undefined on {len(evidence.undefined)} of {len(evidence.episodes)} held-out episodes ({what}).",
            "Look at these episodes below: the model gives one value everywhere, or answers without a percentage. "
            "Train longer, or on a demonstration like them.",
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
    return rules


def _rules_of_quality(evidence: Evidence) -> dict[str, tuple[str, str]]:
    """Return the rules that apply to a model that is not good enough yet."""
    order, error, separation = evidence.order, evidence.error, evidence.separation
    rules: dict[str, tuple[str, str]] = {}
    done = [e for e in evidence.failures if e.counted_end >= SUCCESS_THRESHOLD]
    if done:
        ends = ", ".join(f"{e.name}: {'no percentage' if e.end is None else f'{e.end:.0f} %'}" for e in done)
        rules["false success"] = (
            f"{len(done)} of {len(evidence.failures)} held-out failures {'end' if len(done) > 1 else 'ends'} at "
            f"{SUCCESS_THRESHOLD:g} % or more ({ends}).",
            "Add such a failure to the training demonstrations, or do not use the final value to detect success.",
        )
    if separation is not None and separation < LEAST_SEPARATION:
        rules["separation"] = (
            f"The final value does not separate successes from failures: the success is higher in "
            f"{beside_limit(100 * separation, 100 * LEAST_SEPARATION)} % of the pairs; guessing gives 50 %.",
            "Add a failure to the training demonstrations.",
        )
    if order is not None and LEAST_ORDER <= order < GOOD_ORDER:
        rules["weak order"] = (
            f"The values follow the task only roughly: cycle_voc {beside_limit(order, GOOD_ORDER, 2)}"
            f"{_without_order(evidence)}; {GOOD_ORDER:g} is good.",
            "Annotate one more demonstration that differs from the first and train on both.",
        )
    orders = [(episode.order, episode.name) for episode in evidence.successes if episode.order is not None]
    worst = min(orders, default=None)
    if worst and worst[0] < LEAST_ORDER <= (order or 0.0):
        rules["worst episode"] = (
            f"The values do not follow one held-out success: {worst[1]} has a cycle_voc of "
            f"{beside_limit(worst[0], LEAST_ORDER, 2)}.",
            f"Look at {worst[1]} below and train on a demonstration like it.",
        )
    if error is not None and MOST_ERROR < error <= UNUSABLE_ERROR:
        rules["error"] = (
            f"The mean error on held-out successes is {beside_limit(error, MOST_ERROR)} points, more than "
            f"{MOST_ERROR:g}.",
            "Annotate one more demonstration and train on both; see the worst windows below.",
        )
    if evidence.failure_error is not None and evidence.failure_error > MOST_ERROR_ON_FAILURES:
        rules["failure error"] = (
            f"The mean error on held-out failures is {beside_limit(evidence.failure_error, MOST_ERROR_ON_FAILURES)} "
            f"points, more than {MOST_ERROR_ON_FAILURES:g}: the model gives them progress that they did not make.",
            "Add a failure to the training demonstrations.",
        )
    return rules


def _rules_of_tests(evidence: Evidence) -> dict[str, tuple[str, str]]:
    """Return the rules that apply to the shortcut tests."""
    tests = {result.shortcut.name: result for result in evidence.shortcuts}
    rules: dict[str, tuple[str, str]] = {}
    if "reversed" in tests and tests["reversed"].passed is False:
        rules["clock"] = (
            "The values do not fall when a success is played backwards (rank correlation with time "
            f"{tests['reversed'].model.measured:.2f}): the model follows time or motion, not the scene.",
            "Train with data.sampling.reversed_share=0.5.",
        )
    changed = [tests[name] for name in SCENE_TESTS if name in tests and tests[name].passed is False]
    if changed:
        rules["scene"] = (
            f"The value changes although the scene is the same ({'; '.join(map(_scene_figure, changed))}).",
            "Train with data.sampling.held_share, speed_share and single_frame_share above 0.",
        )
    if not evidence.shortcuts:
        rules["not tested"] = ("The shortcut tests were not run.", "Leave --shortcut_windows at its default.")
    empty = [result for name, result in tests.items() if name in COUNTED_TESTS and not result.counts]
    if empty and evidence.successes:
        rules["not tested"] = (
            f"{len(empty)} of {len(COUNTED_TESTS)} shortcut tests show nothing: they could not be measured, or a "
            f"shuffled adapter would pass them too ({'; '.join(result.shortcut.title for result in empty)}).",
            "Evaluate on more held-out successes, and leave --shortcut_windows at its default.",
        )
    return rules


def _without_order(evidence: Evidence) -> str:
    count = sum(episode.order is None for episode in evidence.successes)
    return f" ({count} of {len(evidence.successes)} have none, which counts as {WORST_ORDER:g})" if count else ""


def _scene_figure(result: ShortcutResult) -> str:
    change, order = result.model.measured, result.model.order
    if change is not None and change > MOST_CHANGE:
        return f"{result.shortcut.title}: {beside_limit(change, MOST_CHANGE)} points"
    return f"{result.shortcut.title}: rank correlation with time {order:.2f}"
