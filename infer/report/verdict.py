"""The verdict: can this model be used as a progress reward for this task?

Knows the rules that apply to held-out episodes and shortcut tests; does not know how figures were measured or where the
verdict is shown.

If a "do not use" rule applies, that is the verdict; else if a "need more demos" rule applies; else "adopt". Missing
data never counts in favour: a figure that is undefined counts as the worst (`evidence`), a shortcut test that shows
nothing is not passed, and without a held-out failure, or with too few held-out successes, the verdict is at most "need
more demos". All rules and limits are in `rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dataset.labels import SUCCESS_THRESHOLD
from infer.report.evidence import Evidence
from infer.report.rules import ADOPT, COUNTED_TESTS, DATA_RULES, MORE, REJECT, RULES, Outcome, applicable_rules


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


def decide(evidence: Evidence) -> Verdict:
    """Apply the rules."""
    applicable = [Finding(rule, RULES[rule][0], *texts) for rule, texts in applicable_rules(evidence).items()]
    findings = [finding for outcome in (REJECT, MORE) for finding in applicable if finding.outcome == outcome]
    notes = tuple(_notes(evidence))
    if not findings:
        sentence = (
            f"On {len(evidence.successes)} held-out successes the values follow the task in both directions of "
            f"playback (cycle_voc {evidence.order:.2f}, mean error {evidence.error:.0f} points). None of "
            f"{len(evidence.failures)} held-out failures ends at {SUCCESS_THRESHOLD:g} % or more."
        )
        return Verdict(ADOPT, sentence, (), notes)
    if evidence.untrained_tasks:
        findings = [finding if finding.rule in DATA_RULES else replace(finding, remedy="") for finding in findings]
        remedy = (
            f"Write the task in the annotations as in training, {_quoted(evidence.trained_tasks)}, and evaluate again. "
            "If these episodes show another task, they say nothing about the adapter's own."
        )
        findings[0] = replace(findings[0], remedy=remedy)
        sentence = f"{_asked_for_another_task(evidence)} {findings[0].sentence}"
        return Verdict(findings[0].outcome, sentence, tuple(findings), notes[1:])
    return Verdict(findings[0].outcome, findings[0].sentence, tuple(findings), notes)


def _notes(evidence: Evidence) -> list[str]:
    """Return warnings that do not count for the verdict; that about another task is the first."""
    tests = {result.shortcut.name: result for result in evidence.shortcuts}
    notes = []
    if evidence.untrained_tasks:
        notes.append(_asked_for_another_task(evidence))
    if evidence.trained_on:
        notes.append(
            f"{', '.join(evidence.trained_on)}: not held out. The adapter was trained on this recording (same "
            "fingerprint). It is shown, but is not part of the means, the tests or the verdict."
        )
    if evidence.model != "base" and any(episode.base_order is None for episode in evidence.successes):
        notes.append(
            "The base gives one value everywhere, or none, on a held-out success: its order counts as 0 there."
        )
    if "other_task" in tests and tests["other_task"].passed is False:
        notes.append(
            "The model ignores the task text: for another task it still answers "
            f"{tests['other_task'].model.measured:.0f} % on average. Use it for its own task only."
        )
    if "blank" in tests and tests["blank"].passed is False:
        notes.append(
            f"The model is confident where there is nothing to see: {tests['blank'].model.measured:.0f} % for blank "
            "images. Detect a broken camera by other means."
        )
    others = [result for name, result in tests.items() if name not in COUNTED_TESTS]
    unmeasured = [result.shortcut.title for result in others if result.passed is None]
    if unmeasured:
        notes.append(f"Not measured: {'; '.join(unmeasured)}.")
    return notes


def _asked_for_another_task(evidence: Evidence) -> str:
    return (
        f"These episodes ask for {_quoted(evidence.untrained_tasks)}; the adapter was trained on "
        f"{_quoted(evidence.trained_tasks)}."
    )


def _quoted(texts: Sequence[str]) -> str:
    return " and ".join(f'"{text}"' for text in texts)
