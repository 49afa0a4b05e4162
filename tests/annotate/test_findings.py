import pytest
from material import make_annotation

from annotate.findings import check_demonstration, find_missing
from annotate.marking import Marking
from dataset import Demonstration, Stage

STAGES = (Stage("reach", 0, 10), Stage("lift", 10, 30))


@pytest.mark.parametrize(
    ("marking", "places"),
    [
        (Marking("Lift", STAGES, True), []),
        (Marking(" ", STAGES, True), ["task"]),
        (Marking("Lift", (), True), ["stages"]),
        (Marking("Lift", (Stage("", 0, 5, excluded=True),), True), ["stages"]),
        (Marking("Lift", STAGES), ["outcome"]),
        (Marking("Lift", STAGES, False), ["outcome"]),
        (Marking("Lift", STAGES, False, "", 100.0), ["outcome"]),
        (Marking("Lift", STAGES, False, "", 99.0), []),
        (Marking(""), ["task", "stages", "outcome"]),
    ],
)
def test_what_is_missing_and_where(marking, places):
    assert [finding.about for finding in find_missing(marking)] == places
    assert all(finding.level == "missing" for finding in find_missing(marking))


def findings_of(video, *ends, **fields):
    return check_demonstration(Demonstration("demo.json", make_annotation(video, *ends, **fields), str(video)))


def test_findings_are_beside_their_stage_or_at_the_end(video):
    (short,) = [finding for finding in findings_of(video, 2, 30) if "frame(s)" in finding.message]
    assert (short.level, short.about, short.stage) == ("warning", "stages", 0)
    (no_end,) = [
        finding for finding in findings_of(video, 20, 40) if "no sample has the label 100 %" in finding.message
    ]
    assert no_end.stage == 1
    failure = make_annotation(video, 20, 30, success=False, final_progress=40.0)
    demonstration = Demonstration("demo.json", failure, str(video))
    assert [finding.about for finding in check_demonstration(demonstration)] == ["outcome"] * 3
    alone = check_demonstration(demonstration, alone=True)
    assert ["no demonstration succeeds" in finding.message for finding in alone] == [False]


def test_a_long_unlabelled_end_is_a_warning(video):
    message = "30 of 40 frames follow the last stage"
    (tail,) = [finding for finding in findings_of(video, 5, 10) if message in finding.message]
    assert (tail.level, tail.stage) == ("warning", 1)


def test_a_failed_attempt_without_another_one_is_missing_something():
    marking = Marking("Lift", (STAGES[0], Stage("lift", 10, 30, falls_back_to=1)), True)
    (finding,) = find_missing(marking)
    assert finding.stage == 1
    assert "no stage follows" in finding.message
