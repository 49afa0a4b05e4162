import pytest
from material import make_annotation

from annotate.draft import Draft
from annotate.notes import check_notes, missing_notes
from dataset import Stage

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


def test_findings_stand_at_their_stage(video):
    annotation = make_annotation(video, 2, 30)
    notes = check_notes("demo.json", annotation, str(video))
    assert [(note.level, note.stage) for note in notes if "frame(s)" in note.message or "2 frame" in note.message] == [
        ("warning", 0)
    ]


def test_a_missing_and_a_long_end_are_said(video):
    whole = check_notes("demo.json", make_annotation(video, 20, 40), str(video))
    assert any("100 % is never taught" in note.message for note in whole)
    short = check_notes("demo.json", make_annotation(video, 5, 10), str(video))
    assert not any("are taught as finished" in note.message for note in short)  # 30 frames are 1.2 s only


def test_a_tail_of_many_seconds_is_doubted(tmp_path):
    from material import write_video

    annotation = make_annotation(write_video(tmp_path / "long.mp4", 120), 20, 40)
    (note,) = [n for n in check_notes("long.json", annotation, "long.mp4") if "taught as finished" in n.message]
    assert "the last stage ends at frame 39; the 80 frames after it (3.2 s)" in note.message
