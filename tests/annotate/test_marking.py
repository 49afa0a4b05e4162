import pytest
from material import make_annotation

from annotate.marking import Marking
from dataset import Stage

VIDEO = {"video": "v.mp4", "fingerprint": "v2:1:" + "0" * 32, "num_frames": 40, "fps": 25.0}


def test_a_draft_survives_its_json_form():
    marking = Marking(
        "Lift", (Stage("a", 0, 5, True), Stage("b", 5, 9, falls_back_to=2, extra={"note": 1})), False, "", 40.0
    )
    assert Marking.from_document(marking.to_document()) == marking


def test_an_annotation_becomes_a_draft_and_back(video):
    annotation = make_annotation(video, 10, 30, reason="it hangs")
    marking = Marking.from_annotation(annotation)
    video_fields = {key: getattr(annotation, key) for key in ("video", "fingerprint", "num_frames", "fps")}
    assert marking.to_annotation(**video_fields) == annotation


@pytest.mark.parametrize(
    ("marking", "message"),
    [
        (Marking("", (Stage("a", 0, 5),), True), "the task text is empty"),
        (Marking("Lift", (), True), "no stage is kept"),
        (Marking("Lift", (Stage("a", 0, 5),)), "choose Done or Not done"),
        (Marking("Lift", (Stage("a", 0, 5),), False), "how many percent"),
        (Marking("Lift", (Stage("a", 0, 41),), True), "at most 40"),
    ],
)
def test_the_message_names_what_is_missing(marking, message):
    with pytest.raises(ValueError, match=message):
        marking.to_annotation(**VIDEO)


@pytest.mark.parametrize(
    "change",
    [
        {"task": 3},
        {"success": "yes"},
        {"stages": [{"subtask": "a", "start": 0, "end": "5", "excluded": False}]},
        {"stages": [{"subtask": "a", "start": 5, "end": 5, "excluded": False}]},
        {"stages": [{"subtask": "a", "start": 0, "end": 5, "excluded": False, "falls_back_to": "1"}]},
        {"stages": None},
        {"final_progress": "much"},
    ],
)
def test_a_damaged_document_is_refused(change):
    with pytest.raises(ValueError, match=r"."):
        Marking.from_document(Marking("Lift", (), False, "", 40.0).to_document() | change)


def test_a_draft_can_be_drawn_before_it_is_finished():
    drawn = Marking("", (Stage("a", 0, 5),)).as_if_finished().to_annotation(**VIDEO)
    assert drawn.success
    failing = Marking("Lift", (Stage("a", 0, 5),), False, "", 40.0)
    assert failing.as_if_finished() == failing
