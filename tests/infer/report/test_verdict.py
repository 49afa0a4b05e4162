from dataclasses import replace

import numpy as np
import pytest
from report_material import good_results, make_answers, make_result

from infer.report.shortcuts import score_shortcuts
from infer.report.summary import score_all_shortcuts
from infer.report.verdict import ADOPT, MORE, REJECT, RULES, Evidence, decide, gather_evidence

FALLS = [[100.0, 50.0, 0.0]]


def measured(**changes):
    return score_shortcuts([make_answers(**changes)], [np.array(values) for values in FALLS], 50.0)


@pytest.fixture
def good() -> Evidence:
    """Evidence that no rule objects to."""
    return Evidence(
        model="adapter", parse_rate=1.0, order={"a": 0.9, "b": 0.95, "c": 0.85}, base_order=0.1, error=8.0,
        constant_error=30.0, failure_error=10.0, ends={True: {"a": 100.0, "b": 98.0, "c": 96.0}, False: {"f": 50.0}},
        shortcuts=measured(),
    )  # fmt: skip


def rules(evidence: Evidence) -> list[str]:
    return [finding.rule for finding in decide(evidence).findings]


def test_good_evidence_is_adopted_in_one_sentence(good):
    verdict = decide(good)
    assert verdict.outcome == ADOPT and not verdict.findings and not verdict.notes
    assert "3 held-out successes" in verdict.sentence and "0.90" in verdict.sentence


def rising():
    return score_shortcuts([make_answers()], [np.array([0.0, 50.0, 100.0])], 50.0)


def moving():
    return measured(changed={"half_speed": np.array([40.0, 80.0, 30.0, 60.0])})


BROKEN = {
    "parsed": {"parse_rate": 0.5},
    "order": {"order": {"a": 0.3, "b": 0.4, "c": 0.2}},
    "clock": {"shortcuts": rising()},
    "base": {"base_order": 0.95},
    "constant": {"error": 14.0, "constant_error": 13.0},
    "useless": {"error": 26.0},
    "successes": {"order": {"a": 0.9}, "ends": {True: {"a": 100.0}, False: {"f": 50.0}}},
    "failures": {"ends": {True: {"a": 100.0, "b": 98.0, "c": 96.0}, False: {}}, "failure_error": None},
    "false success": {"ends": {True: {"a": 100.0, "b": 98.0, "c": 99.0}, False: {"f": 96.0}}},
    "separation": {"ends": {True: {"a": 60.0, "b": 98.0, "c": 40.0}, False: {"f": 50.0}}},
    "weak order": {"order": {"a": 0.7, "b": 0.7, "c": 0.7}},
    "worst episode": {"order": {"a": 1.0, "b": 1.0, "c": 0.45}},
    "error": {"error": 20.0},
    "failure error": {"failure_error": 40.0},
    "scene": {"shortcuts": moving()},
    "not tested": {"shortcuts": []},
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_alone_gives_its_verdict(good, rule):
    evidence = replace(good, **BROKEN[rule])
    verdict = decide(evidence)
    assert rules(evidence) == [rule]
    assert verdict.outcome == RULES[rule][0] != ADOPT
    assert verdict.sentence == verdict.findings[0].sentence and verdict.findings[0].remedy


def test_a_rejection_outranks_missing_data(good):
    verdict = decide(replace(good, ends={True: {"a": 100.0}, False: {}}, order={"a": 0.2}))
    assert verdict.outcome == REJECT and "cycle_voc 0.20" in verdict.sentence
    assert [finding.outcome for finding in verdict.findings] == [REJECT, MORE, MORE]


def test_the_same_value_everywhere_is_rejected(good):
    verdict = decide(replace(good, order={"a": None, "b": None, "c": None}))
    assert verdict.outcome == REJECT and "same everywhere" in verdict.sentence


def test_nothing_held_out_is_said_and_not_adopted(good):
    empty = replace(
        good, parse_rate=None, order={}, base_order=None, error=None, constant_error=None, failure_error=None,
        ends={True: {}, False: {}}, trained_on=("a",),
    )  # fmt: skip
    verdict = decide(empty)
    assert verdict.outcome == MORE and rules(empty) == ["successes", "failures"]
    assert "a: not held out" in verdict.notes[0]


def test_notes_do_not_decide(good):
    tests = measured(blank=np.full(3, 90.0), changed={"other_task": np.full(4, 70.0)})
    verdict = decide(replace(good, shortcuts=tests))
    assert verdict.outcome == ADOPT
    assert "task text" in verdict.notes[0] and "90 %" in verdict.notes[1]


def test_evidence_of_episodes(video):
    results = good_results(video)
    evidence = gather_evidence(results, score_all_shortcuts(results))
    assert evidence.model == "adapter" and list(evidence.order) == ["success_1", "success_2", "success_3"]
    assert evidence.ends == {True: dict.fromkeys(evidence.order, 100.0), False: {"failure": 50.0}}
    assert decide(evidence).outcome == ADOPT


def test_an_episode_that_was_trained_on_is_no_evidence(video):
    results = [replace(result, held_out=number > 0) for number, result in enumerate(good_results(video))]
    evidence = gather_evidence(results, score_all_shortcuts(results))
    assert len(evidence.order) == 2 and evidence.trained_on == ("success_1",)
    verdict = decide(evidence)
    assert verdict.outcome == MORE and verdict.findings[0].rule == "successes"


def test_a_base_alone_is_judged_without_a_base_beside_it(video):
    results = [
        make_result(video, {"base": [0, 40, 70, 100]}, episode=f"s{n}", shortcuts=make_answers()) for n in range(3)
    ]
    evidence = gather_evidence(results, score_all_shortcuts(results))
    assert evidence.model == "base" and evidence.base_order is None
    assert [finding.rule for finding in decide(evidence).findings] == ["failures"]


def test_a_clock_is_rejected(video):
    rising_both_ways = [0.0, 33.0, 66.0, 100.0]
    results = [
        make_result(
            video, {"base": [50.0] * 4, "adapter": rising_both_ways}, episode=f"s{n}", shortcuts=make_answers(),
            backward={"adapter": rising_both_ways},
        )
        for n in range(3)
    ]  # fmt: skip
    verdict = decide(gather_evidence(results, score_all_shortcuts(results)))
    assert verdict.outcome == REJECT and [finding.rule for finding in verdict.findings[:2]] == ["order", "clock"]
