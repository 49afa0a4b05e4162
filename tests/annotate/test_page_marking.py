"""The labelling page in a real browser: stages by keyboard and mouse, undo, autosave."""

import json

import pytest
from material import TASK

from dataset import read_annotation

pytestmark = pytest.mark.slow


def test_marking_by_keyboard_writes_the_annotation(label):
    assert label.value("task") == TASK
    label.mark(9, "reach the block")
    label.mark(29, "lift the block")
    assert not label.annotation.exists()
    assert "choose Done or Not done" in label.text("outcome-findings")
    label.press("d", "d")
    label.type("the block hangs in the air")
    label.press("Enter")
    label.wait("finished", "true")
    annotation = read_annotation(label.annotation)
    assert [(s.subtask, s.start, s.end) for s in annotation.stages] == [
        ("reach the block", 0, 10),
        ("lift the block", 10, 30),
    ]
    assert (annotation.success, annotation.reason, annotation.task) == (True, "the block hangs in the air", TASK)
    assert annotation.video == label.annotation.with_suffix(".mp4").name
    assert not label.annotation.with_name(label.annotation.name + ".draft").exists()


def test_it_saves_by_itself_and_resumes_where_it_was_left(label):
    label.go(9)
    label.press("Enter")
    label.type("reach the block")
    label.press("Enter")
    draft = label.annotation.with_name(label.annotation.name + ".draft")
    for _ in range(50):  # within 1 s of the edit, without anybody asking
        if draft.exists():
            break
        label.page.wait_for_timeout(20)
    assert json.loads(draft.read_text())["stages"][0]["subtask"] == "reach the block"
    label.saved()
    label.go(17)
    label.page.reload()
    label.wait("shown", 17)
    assert label.stages() == [(9, "reach the block")]


def test_every_key_of_the_table(label):
    label.mark(9, "one")
    label.mark(19, "two")
    label.mark(29, "three")

    def after(*keys):
        label.press(*keys)
        label.settled()
        return label.stages()

    def frame(*keys):
        label.press(*keys)
        label.page.wait_for_timeout(120)
        return label.shown()

    assert frame("Home") == 0
    assert frame("ArrowDown") == 9
    assert frame("Control+ArrowRight") == 19
    assert frame("ArrowDown", "ArrowDown") == 39
    assert frame("ArrowUp") == 29
    assert frame("Control+ArrowLeft", "ArrowUp", "ArrowUp") == 0
    assert frame("End") == 39
    assert frame("Home", ".", ".", ",") == 1
    label.go(15)
    assert after("Alt+ArrowRight") == [(9, "one"), (20, "two"), (29, "three")]
    assert after("Alt+ArrowLeft", "Alt+ArrowLeft") == [(9, "one"), (18, "two"), (29, "three")]
    assert label.shown() == 18  # the play head follows the boundary
    assert after("Control+z", "Control+z", "Control+z") == [(9, "one"), (19, "two"), (29, "three")]
    assert after("Control+Shift+z") == [(9, "one"), (20, "two"), (29, "three")]
    assert after("Control+y") == [(9, "one"), (19, "two"), (29, "three")]
    label.go(15)
    label.press("e")
    label.type("second")
    label.press("Enter")
    label.settled()
    assert label.stages()[1] == (19, "second")
    label.press("x")
    label.settled()
    assert label.page.get_attribute("[aria-label='Leave out stage 2']", "aria-pressed") == "true"
    label.press("x")
    assert after("Backspace") == [(9, "one"), (29, "three")]
    label.go(39)
    label.press("1")
    label.settled()
    assert label.stages()[-1] == (
        39,
        label.page.locator("#labels .chip").first.inner_text().split("\n")[-1].strip()[1:].strip(),
    )
    label.press("Backspace")
    label.press("t")
    label.type("Another task")
    label.press("Escape")
    label.press("f")
    label.wait("finished", "false")
    assert label.page.evaluate("document.activeElement.id") == "reached"
    label.press("Enter")
    label.settled()
    label.press("m")
    assert label.page.evaluate("document.activeElement.id") == "subtask"
    label.press("Escape")
    label.press("Home")
    label.press("l", "l")
    assert label.text("speed") == "×2"
    label.press("k")
    assert label.text("speed") == ""
    label.go(12)
    label.press("r")
    assert label.text("speed") == "in a loop"
    label.page.wait_for_timeout(900)  # the stage lasts 0.8 s
    assert 10 <= label.shown() <= 29
    label.press("r", "b")
    label.settled()
    assert "back to 2" in label.page.locator("#stages .back").nth(1).inner_text()
    label.press("b", "b")
    label.press("?")
    assert label.page.locator("#keys").is_visible()
    label.press("Escape")
    assert not label.page.locator("#keys").is_visible()
    label.press("Control+s")
    annotation = read_annotation(label.annotation)
    assert (annotation.task, annotation.success, annotation.final_progress) == ("Another task", False, 75.0)


KEYS = """Space K J L ← → , . Shift+← Shift+→ ↑ ↓ Ctrl+← Ctrl+→ Home End Enter M 1 9 X ⌫ Alt+← Alt+→ E
Ctrl+Z Ctrl+Shift+Z Ctrl+Y Ctrl+S + - 0 G N P ? Esc A B [ ] R C T D F U Ctrl+Enter"""


def test_the_help_lists_what_the_keyboard_does(label):
    keys = label.page.evaluate("[...document.querySelectorAll('#key-tables kbd')].map(k => k.textContent)")
    for key in KEYS.split():
        assert key in keys


def test_a_hundred_steps_are_undone_and_redone(label):
    label.mark(19, "one")
    for _ in range(8):
        label.press("Alt+ArrowRight", "Alt+ArrowLeft")
    label.press(*["Alt+ArrowLeft"] * 10, *["Alt+ArrowRight"] * 84)  # the last of them are refused at the last frame
    label.settled()
    assert label.stages() == [(39, "one")]
    label.press(*["Control+z"] * 120)
    label.settled()
    assert label.stages() == []
    label.press(*["Control+y"] * 120)
    label.settled()
    assert label.stages() == [(39, "one")]


def test_a_boundary_is_dragged_in_one_step_and_the_picture_follows(label):
    label.mark(9, "one")
    label.mark(29, "two")
    mouse = label.page.mouse
    mouse.move(*label.point(10, 60))
    mouse.down()
    for frame in (12, 16, 21):
        mouse.move(*label.point(frame, 60))
        label.wait("shown", frame - 1)
        assert label.number() == frame - 1
    mouse.move(*label.point(39, 60))  # beyond the next boundary: held before it
    label.wait("shown", 28)
    mouse.move(*label.point(21, 60))
    mouse.up()
    label.settled()
    assert label.stages() == [(20, "one"), (29, "two")]
    label.press("Control+z")
    label.settled()
    assert label.stages() == [(9, "one"), (29, "two")]
    mouse.move(*label.point(10, 60))
    mouse.down()
    mouse.move(*label.point(15, 60))
    label.press("Escape")
    mouse.up()
    label.settled()
    assert label.stages() == [(9, "one"), (29, "two")]


def test_scrubbing_zooming_and_panning(label):
    mouse = label.page.mouse
    mouse.move(*label.point(5.5, 190))
    mouse.down()
    label.wait("shown", 5)
    mouse.move(*label.point(30.5, 190))
    label.wait("shown", 30)
    mouse.up()
    place = label.point(30.5, 190)
    mouse.move(*place)
    for _ in range(4):
        mouse.wheel(0, -100)
    label.page.wait_for_timeout(150)
    mouse.click(*place)  # zoom keeps the frame under the pointer
    label.page.wait_for_timeout(150)
    assert label.shown() == 30
    label.press("0", "+", "+")
    label.page.keyboard.down("Shift")
    mouse.wheel(0, -4000)
    label.page.keyboard.up("Shift")
    label.page.wait_for_timeout(150)
    mouse.click(label.point(0, 190)[0] + 3, place[1])
    label.wait("shown", 0)
    label.press("0")
    mouse.click(*label.point(20.5, 190))
    label.wait("shown", 20)


def test_excluded_stages_split_and_outcomes(label):
    label.mark(9, "/delete")
    label.mark(29, "lift")
    label.mark(19, "reach")  # inside "lift": splits it
    assert label.stages() == [(9, ""), (19, "reach"), (29, "lift")]
    label.press("f")
    label.page.fill("#reached", "40")
    label.press("Enter")
    label.wait("finished", "true")
    annotation = read_annotation(label.annotation)
    assert [(s.subtask, s.excluded) for s in annotation.stages] == [("", True), ("reach", False), ("lift", False)]
    assert (annotation.success, annotation.final_progress) == (False, 40.0)
    label.page.fill("#reached", "100")
    label.wait("finished", "false")
    label.settled()
    assert "100 % of the task were reached" in label.text("outcome-findings")
    assert read_annotation(label.annotation) == annotation  # what is not finished never touches what was


def test_letters_after_a_refused_mark_stay_in_the_field(label):
    label.mark(9, "reach")
    label.mark_without_waiting(9, "again")  # a stage ends here already
    label.page.wait_for_function("document.activeElement.id === 'subtask'")
    assert "already ends at frame 9" in label.text("message")
    label.press("End")
    label.type(" xed")
    assert label.value("subtask") == "again xed"
    assert label.stages() == [(9, "reach")]
    label.press("Escape", "ArrowRight")
    label.press("Control+z")
    label.settled()
    assert label.text("message") == ""  # what it said is over


def test_keys_after_the_outcome_are_keys_and_a_failure_takes_percent(label):
    label.mark(9, "reach")
    label.press("d", ".")
    label.wait("shown", 10)
    label.settled()
    assert label.value("reason") == ""
    label.press("f")
    label.type("10")  # replaces what is proposed
    label.press("Enter")
    label.wait("finished", "true")
    assert read_annotation(label.annotation).final_progress == 10.0


def test_a_click_beside_a_boundary_moves_nothing(label):
    label.mark(9, "reach")
    x, y = label.point(10, 60)
    label.page.mouse.move(x, y)
    label.page.mouse.down()
    label.page.mouse.move(x + 1.5, y)
    label.page.mouse.up()
    label.settled()
    assert label.stages() == [(9, "reach")]


@pytest.mark.parametrize(("width", "height"), [(1000, 700), (1920, 1080), (3840, 2160)])
def test_picture_and_timeline_are_seen_together_in_windows_of_every_size(label, width, height):
    label.page.set_viewport_size({"width": width, "height": height})
    label.page.wait_for_timeout(300)
    picture, track = (label.page.locator(name).bounding_box() for name in ("#pictures", "#track"))
    assert picture["y"] >= 0
    assert track["y"] + track["height"] <= height
    assert track["width"] >= 0.9 * width
    assert abs(2 * track["x"] + track["width"] - width) <= 20  # in the middle
    assert picture["height"] >= 0.3 * height
