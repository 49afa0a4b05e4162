import pytest
from material import make_annotation

from annotate.findings import check_notes, missing_notes
from annotate.marking import Draft
from dataset import Demonstration, Stage

STAGES = (Stage("reach", 0, 10), Stage("lift", 10, 30))


@pytest.mark.parametrize(
    ("draft", "places"),
    [
        (Draft("Lift", STAGES, True), []),
        (Draft(" ", STAGES, True), ["task"]),
        (Draft("Lift", (), True), ["stages"]),
        (Draft("Lift", (Stage("", 0, 5, excluded=True),), True), ["stages"]),
        (Draft("Lift", STAGES), ["outcome"]),
        (Draft("Lift", STAGES, False), ["outcome"]),
        (Draft("Lift", STAGES, False, "", 100.0), ["outcome"]),
        (Draft("Lift", STAGES, False, "", 99.0), []),
        (Draft(""), ["task", "stages", "outcome"]),
    ],
)
def test_what_is_missing_and_where(draft, places):
    assert [note.about for note in missing_notes(draft)] == places
    assert all(note.level == "missing" for note in missing_notes(draft))


def notes_of(video, *ends, **fields):
    return check_notes(Demonstration("demo.json", make_annotation(video, *ends, **fields), str(video)))


def test_findings_stand_at_their_stage_or_at_the_end(video):
    (short,) = [note for note in notes_of(video, 2, 30) if "frame(s)" in note.message]
    assert (short.level, short.about, short.stage) == ("warning", "stages", 0)
    (no_end,) = [note for note in notes_of(video, 20, 40) if "100 % is never taught" in note.message]
    assert no_end.stage == 1
    failure = make_annotation(video, 20, 30, success=False, final_progress=40.0)
    demonstration = Demonstration("demo.json", failure, str(video))
    assert [note.about for note in check_notes(demonstration)] == ["outcome", "outcome"]
    assert ["no demonstration succeeds" in note.message for note in check_notes(demonstration, alone=True)] == [False]


def test_a_long_unlabelled_end_is_doubted(video):
    (tail,) = [note for note in notes_of(video, 5, 10) if "30 of 40 frames lie after the last stage" in note.message]
    assert (tail.level, tail.stage) == ("warning", 1)


def test_a_failed_attempt_without_another_one_is_missing_something():
    draft = Draft("Lift", (STAGES[0], Stage("lift", 10, 30, falls_back_to=1)), True)
    (note,) = missing_notes(draft)
    assert note.stage == 1
    assert "no stage follows" in note.message
