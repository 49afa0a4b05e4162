from dataclasses import replace

import numpy as np
import pytest
from report_material import NAN, good_results, make_answers, make_result

from infer.metrics.limits import beside_limit
from infer.report.evidence import EpisodeFigures, Evidence, gather_evidence
from infer.report.rules import ADOPT, MORE, REJECT, RULES
from infer.report.shortcut_scores import score_shortcuts
from infer.report.summary import score_all_shortcuts
from infer.report.verdict import decide

FALLS = [np.array([100.0, 70.0, 50.0, 0.0])] * 3


def measured(**changes):
    return score_shortcuts([make_answers(**changes)] * 3, FALLS, 50.0)


def success(name: str, **figures) -> EpisodeFigures:
    return EpisodeFigures(
        **{"name": name, "success": True, "order": 0.9, "error": 8.0, "end": 99.0, "parse_rate": 1.0,
           "constant_error": 30.0, "base_order": 0.1} | figures
    )  # fmt: skip


def failure(name: str = "f", **figures) -> EpisodeFigures:
    return success(name, **{"success": False, "order": 0.9, "error": 10.0, "end": 50.0} | figures)


def evidence_of(*episodes: EpisodeFigures, **fields) -> Evidence:
    return Evidence(**{"model": "adapter", "episodes": episodes, "shortcuts": measured()} | fields)


def successes(**lists) -> list[EpisodeFigures]:
    """Return three successes, with one value each of every list."""
    return [success(name, **{key: values[n] for key, values in lists.items()}) for n, name in enumerate("abc")]


@pytest.fixture
def good() -> Evidence:
    """Evidence that no rule objects to."""
    return evidence_of(*successes(order=[0.9, 0.95, 0.85]), failure())


def rules(evidence: Evidence) -> list[str]:
    return [finding.rule for finding in decide(evidence).findings]


def test_good_evidence_is_adopted_in_one_sentence(good):
    verdict = decide(good)
    assert verdict.outcome == ADOPT and not verdict.findings and not verdict.notes
    assert "3 held-out successes" in verdict.sentence and "0.90" in verdict.sentence


def rising():
    return score_shortcuts([make_answers()] * 3, [values[::-1] for values in FALLS], 50.0)


def moving():
    return measured(changed={"half_speed": np.array([40.0, 80.0, 90.0, 99.0])})


BROKEN = {
    "parsed": [*successes(parse_rate=[0.5] * 3), failure(parse_rate=0.5)],
    "order": [*successes(order=[0.3, 0.4, 0.2]), failure()],
    "base": [*successes(base_order=[0.95] * 3), failure()],
    "constant": [*successes(error=[14.0] * 3, constant_error=[13.0] * 3), failure()],
    "useless": [*successes(error=[26.0] * 3), failure()],
    "undefined": [*successes(unanswered=[0, 0, 1]), failure()],
    "successes": [success("a"), failure()],
    "failures": successes(),
    "false success": [*successes(), failure(end=96.0)],
    "separation": [*successes(end=[60.0, 98.0, 40.0]), failure()],
    "weak order": [*successes(order=[0.7] * 3), failure()],
    "worst episode": [*successes(order=[1.0, 1.0, 0.45]), failure()],
    "error": [*successes(error=[20.0] * 3), failure()],
    "failure error": [*successes(), failure(error=40.0)],
}
BROKEN_TESTS = {"clock": rising, "scene": moving, "not tested": list}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_alone_gives_its_verdict(good, rule):
    shortcuts = BROKEN_TESTS[rule]() if rule in BROKEN_TESTS else good.shortcuts
    evidence = evidence_of(*BROKEN.get(rule, good.episodes), shortcuts=shortcuts)
    verdict = decide(evidence)
    assert rules(evidence) == [rule]
    assert verdict.outcome == RULES[rule][0] != ADOPT
    assert verdict.sentence == verdict.findings[0].sentence and verdict.findings[0].remedy


def test_a_rejection_outranks_missing_data():
    verdict = decide(evidence_of(success("a", order=0.2)))
    assert verdict.outcome == REJECT and "cycle_voc 0.20" in verdict.sentence
    assert [finding.outcome for finding in verdict.findings] == [REJECT, MORE, MORE]


def test_the_same_value_everywhere_is_rejected():
    verdict = decide(evidence_of(*successes(order=[None] * 3), failure()))
    assert verdict.outcome == REJECT and "same everywhere" in verdict.sentence


def test_one_success_without_an_order_is_a_finding_of_its_own():
    evidence = evidence_of(*(success(f"s{n}", order=0.95) for n in range(4)), success("flat", order=None), failure())
    verdict = decide(evidence)
    assert verdict.outcome == MORE and verdict.findings[0].rule == "undefined"
    assert verdict.sentence == "Undefined on 1 of 6 held-out episodes (flat: the order (cycle_voc))."
    assert evidence.order == pytest.approx((4 * 0.95 - 1) / 5)  # never better than any order
    two_flat = decide(evidence_of(success("a"), success("b", order=None), success("c", order=None), failure()))
    assert two_flat.outcome == REJECT and "(2 of 3 have none, which counts as -1)" in two_flat.sentence


def test_a_failure_whose_last_answer_has_no_percentage_may_have_been_read_as_done(good):
    verdict = decide(evidence_of(*good.successes, failure(), failure("cut", end=None)))
    assert [finding.rule for finding in verdict.findings] == ["undefined", "false success", "separation"]
    assert "1 of 2 held-out failures ends at 95 % or more (cut: no percentage)" in verdict.findings[1].sentence


def test_figures_without_an_answer_count_as_the_worst():
    evidence = evidence_of(
        success("a", order=None, error=None, end=None, parse_rate=None), failure(error=None, end=None, parse_rate=None)
    )
    assert (evidence.order, evidence.error, evidence.failure_error, evidence.parse_rate) == (-1.0, 100.0, 100.0, 0.0)
    assert evidence.separation == 0.0


def test_a_base_without_an_order_is_no_better_than_time_and_is_noted(good):
    verdict = decide(evidence_of(*successes(base_order=[None] * 3), failure()))
    assert verdict.outcome == ADOPT and "its order counts as 0 there" in verdict.notes[0]


def test_nothing_held_out_is_said_and_not_adopted():
    empty = evidence_of(trained_on=("a",), shortcuts=[])
    verdict = decide(empty)
    assert verdict.outcome == MORE and rules(empty) == ["successes", "failures", "not tested"]
    assert "a: not held out" in verdict.notes[0]


def test_notes_do_not_decide(good):
    tests = measured(blank=np.full(3, 90.0), changed={"other_task": np.full(4, 70.0)})
    verdict = decide(replace(good, shortcuts=tests))
    assert verdict.outcome == ADOPT
    assert "task text" in verdict.notes[0] and "90 %" in verdict.notes[1]


def test_tests_that_a_shuffled_adapter_would_pass_do_not_speak_for_the_model(good):
    one_success = score_shortcuts([make_answers()], FALLS[:1], 50.0)
    verdict = decide(replace(good, shortcuts=one_success))
    assert verdict.outcome == MORE and verdict.findings[0].rule == "not tested"
    assert "5 of 5 shortcut tests show nothing" in verdict.sentence


TASK_OF_TRAINING, ANOTHER_TASK = "Tuck the box into the bag", "Close the drawer"


def test_figures_about_another_task_do_not_lead_to_more_training():
    bad = evidence_of(
        *successes(order=[0.1] * 3, error=[40.0] * 3), tasks=(ANOTHER_TASK,), trained_tasks=(TASK_OF_TRAINING,)
    )
    verdict = decide(bad)
    assert verdict.outcome == REJECT
    assert verdict.sentence.startswith(
        f'These episodes ask for "{ANOTHER_TASK}"; the adapter was trained on "{TASK_OF_TRAINING}". The values do not'
    )
    remedies = [finding.remedy for finding in verdict.findings]
    assert remedies[0].startswith(f'Write the task in the annotations as in training, "{TASK_OF_TRAINING}"')
    assert not any(word in remedy for remedy in remedies for word in ("rain longer", "train again", "Add a failure"))
    assert any("Annotate at least one failed episode" in remedy for remedy in remedies)  # data stays missing


def test_another_wording_that_works_is_a_note(good):
    verdict = decide(replace(good, tasks=(ANOTHER_TASK,), trained_tasks=(TASK_OF_TRAINING,)))
    assert verdict.outcome == ADOPT and ANOTHER_TASK in verdict.notes[0]
    same = replace(good, tasks=(f"{TASK_OF_TRAINING}.",), trained_tasks=(TASK_OF_TRAINING,))
    assert decide(same).notes == ()
    assert decide(replace(good, tasks=(ANOTHER_TASK,))).notes == ()  # a base was trained on no task


@pytest.mark.parametrize(("value", "limit", "decimals", "text"), [
    (15.2, 15.0, 0, "15.2"), (15.004, 15.0, 0, "15.004"), (20.4, 15.0, 0, "20"), (0.797, 0.8, 2, "0.797"),
    (0.7, 0.8, 2, "0.70"), (15.0, 15.0, 0, "15"), (14.9999999, 15.0, 0, "15.0000"),
])  # fmt: skip
def test_a_figure_beside_its_limit_is_never_rounded_to_it(value, limit, decimals, text):
    assert beside_limit(value, limit, decimals) == text


def test_a_sentence_does_not_contradict_itself(good):
    verdict = decide(evidence_of(*successes(error=[15.2] * 3), failure()))
    assert verdict.sentence == "The mean error on held-out successes is 15.2 points, more than 15."


def test_evidence_of_episodes(video):
    results = good_results(video)
    evidence = gather_evidence(results, score_all_shortcuts(results))
    assert evidence.model == "adapter"
    assert [episode.name for episode in evidence.successes] == ["success_1", "success_2", "success_3"]
    assert [(episode.name, episode.end) for episode in evidence.failures] == [("failure", 50.0)]
    assert decide(evidence).outcome == ADOPT


def test_two_failures_of_one_file_name_are_both_seen(video):
    results = good_results(video)
    worse = make_result(
        video, {"base": [50.0] * 4, "adapter": [0.0, 40.0, 70.0, 100.0]}, False, "failure",
        shortcuts=make_answers(success=False),
    )  # fmt: skip
    for order in ([*results, worse], [*results[:3], worse, results[3]]):
        findings = decide(gather_evidence(order, score_all_shortcuts(order))).findings
        assert "1 of 2 held-out failures ends" in next(f.sentence for f in findings if f.rule == "false success")


def test_an_episode_that_was_trained_on_is_no_evidence(video):
    results = [replace(result, held_out=number > 0) for number, result in enumerate(good_results(video))]
    evidence = gather_evidence(results, score_all_shortcuts(results))
    assert len(evidence.successes) == 2 and evidence.trained_on == ("success_1",)
    verdict = decide(evidence)
    assert verdict.outcome == MORE and verdict.findings[0].rule == "successes"


def test_shortcut_tests_of_an_episode_that_was_trained_on_do_not_count(video):
    results = good_results(video)
    trained_on = make_result(
        video, {"base": [50.0] * 4, "adapter": [0.0, 40.0, 70.0, 100.0]}, episode="trained_on", held_out=False,
        shortcuts=make_answers(changed={"frozen": np.full(4, 100.0)}), backward={"adapter": [0.0, 40.0, 70.0, 100.0]},
    )  # fmt: skip
    assert score_all_shortcuts([trained_on, *results]) == score_all_shortcuts(results)
    assert score_all_shortcuts([trained_on]) == []


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


def test_a_success_that_is_read_as_one_value_is_not_adopted(video):
    results = good_results(video)
    flat = make_result(video, {"base": [50.0] * 4, "adapter": [95.0] * 4}, episode="flat", shortcuts=make_answers())
    cut = make_result(video, {"base": [50.0] * 4, "adapter": [0, 40, 70, NAN]}, episode="cut", shortcuts=make_answers())
    for extra in (flat, cut):
        more = [*results, extra]
        verdict = decide(gather_evidence(more, score_all_shortcuts(more)))
        assert verdict.outcome != ADOPT and "undefined" in [finding.rule for finding in verdict.findings]
