"""The labelling page when things go wrong: killed servers, other tabs, full disks, replaced videos. Nothing is lost."""

import json
import os
import resource
import shutil

import pytest
from annotate_page import Editor, serving
from material import TASK, write_video

from dataset import read_annotation

pytestmark = pytest.mark.slow


@pytest.fixture
def server(video, tmp_path):
    """A server with one video of 40 numbered frames, in its own folder."""
    shutil.copy(video, tmp_path / "demo.mp4")
    with serving("--video", tmp_path / "demo.mp4", "--task", TASK, "--output", tmp_path / "labels") as running:
        running.labels = tmp_path / "labels"
        running.video = tmp_path / "demo.mp4"
        yield running


def marking_of(server):
    return json.loads((server.labels / "demo.json.draft").read_text())


def test_a_killed_server_loses_nothing_and_needs_no_reload(server, open_editor):
    editor = open_editor(server)
    editor.mark(9, "reach")
    server.stop()
    editor.page.fill("#task", "Changed while the server was dead")
    editor.page.locator("#task").blur()
    editor.wait("save", "failed")
    assert "NOT SAVED" in editor.text("save")
    assert "is `python -m annotate` still running?" in editor.text("message")
    editor.press("ArrowRight")  # prefetched: looking goes on
    editor.wait("shown", 10)
    editor.press("Enter")
    editor.type("lift")
    editor.press("Enter")  # an edit waits for the server
    editor.page.wait_for_timeout(500)
    assert editor.stages() == [(9, "reach")]
    server.start()
    editor.wait("save", "saved")
    editor.settled()
    assert editor.stages() == [(9, "reach"), (10, "lift")]
    marking = marking_of(server)
    assert marking["task"] == "Changed while the server was dead"
    assert [stage["subtask"] for stage in marking["stages"]] == ["reach", "lift"]
    editor.go(30)
    assert editor.number() == 30
    editor.press("d")
    editor.wait("finished", "true")


def test_a_reload_during_the_outage_brings_the_work_back(server, open_editor):
    editor = open_editor(server)
    editor.mark(9, "reach")
    server.stop()
    editor.page.fill("#task", "Only in this browser")
    editor.page.locator("#task").blur()
    editor.wait("save", "failed")
    editor.page.goto("about:blank")
    server.start()
    editor.open()
    editor.saved()
    editor.settled()
    assert editor.value("task") == "Only in this browser"
    assert marking_of(server)["task"] == "Only in this browser"


def test_a_tab_that_is_closed_while_the_server_is_dead_keeps_every_edit(server, open_editor):
    editor = open_editor(server)
    editor.mark(9, "reach")
    server.stop()
    editor.page.evaluate("document.querySelector('#stages .text').value = 'reach out'")
    editor.page.locator("#stages .text").first.dispatch_event("input")
    editor.mark_without_waiting(19, "lift")  # both edits wait for the server
    editor.wait("save", "failed")
    asked = []
    editor.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    editor.page.goto("about:blank")
    assert asked == ["beforeunload"]
    server.start()
    editor.open()
    editor.saved()
    editor.settled()
    assert editor.stages() == [(9, "reach out"), (19, "lift")]
    assert [stage["subtask"] for stage in marking_of(server)["stages"]] == ["reach out", "lift"]
    editor.page.goto("about:blank")
    assert asked == ["beforeunload"]  # all is saved: no question


def test_two_new_tabs_on_one_video_do_not_drop_each_others_copies(server, open_editor):
    first = open_editor(server)
    second = Editor(first.page.context.new_page(), server.url).open()  # the same browser
    server.stop()
    first.page.fill("#task", "of the first tab")
    first.page.locator("#task").blur()
    first.wait("save", "failed")
    second.page.fill("#task", "of the second tab")
    second.page.locator("#task").blur()
    second.wait("save", "failed")
    kept = second.page.evaluate("Object.values(localStorage).join()")
    assert "of the first tab" in kept
    assert "of the second tab" in kept
    server.start()
    first.wait("save", lambda value: value in ("saved", "conflict"))
    second.wait("save", lambda value: value in ("saved", "conflict"))
    assert {first.data("save"), second.data("save")} == {"saved", "conflict"}  # one of them is asked what to keep


def test_starting_over_removes_the_annotation_and_undo_brings_it_back(server, open_editor):
    editor = open_editor(server)
    assert editor.text("save") == "nothing to save yet"
    editor.mark(9, "reach")
    assert editor.text("save") == "saved, unfinished"
    editor.press("d")
    editor.wait("finished", "true")
    annotation = server.labels / "demo.json"
    before = read_annotation(annotation)
    editor.press("Backspace")
    editor.settled()
    assert "demo.json still holds what was finished before" in editor.text("stages-findings")
    assert read_annotation(annotation) == before
    editor.page.click("#start-over")
    editor.page.click("#start-over-yes")
    editor.page.wait_for_function("document.querySelector('#message').textContent.includes('a copy is in')")
    assert not annotation.exists()
    assert "still holds" not in editor.text("stages-findings")
    editor.press("Control+z", "Control+z")
    editor.settled()
    assert editor.stages() == [(9, "reach")]
    assert read_annotation(annotation) == before


def state(path):
    """Return task and stage texts of a marking file."""
    document = json.loads(path.read_text())
    return document["task"], [stage["subtask"] for stage in document["stages"]]


def test_two_tabs_conflict_and_both_versions_are_kept(video, tmp_path, open_editor):
    for name in ("mine.mp4", "theirs.mp4"):
        shutil.copy(video, tmp_path / name)
    mine, theirs = ("of the second tab", []), (TASK, ["of the first tab"])
    with serving("--video", tmp_path, "--task", TASK) as server:
        first, second = open_editor(server), open_editor(server)
        for number, name in enumerate(("mine", "theirs")):
            for editor in (first, second):
                editor.page.select_option("#episode", index=number)
                editor.wait("ready", editor.value("episode"))
            draft = tmp_path / f"{name}.json.draft"
            first.mark(9, "of the first tab")
            second.page.fill("#task", "of the second tab")
            second.page.locator("#task").blur()
            second.wait("save", "conflict")
            assert f"{name}.mp4 was changed elsewhere" in second.text("conflict-text")
            assert state(draft) == theirs  # not overwritten
            second.press("Escape")
            assert second.page.locator("#conflict").is_visible()  # a choice has to be made
            second.page.click("#keep-mine" if name == "mine" else "#take-theirs")
            second.wait("save", "saved")
            second.settled()
            won, lost = (mine, theirs) if name == "mine" else (theirs, mine)
            (kept,) = tmp_path.glob(f"{name}.json.kept-*")
            assert kept.name in second.text("message")
            assert (state(draft), state(kept)) == (won, lost)
            second.press("Control+z")
            second.settled()
            assert state(draft) == lost  # Undo brings the other one back


def test_a_conflict_is_settled_before_another_episode_opens(video, tmp_path, open_editor):
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(video, tmp_path / name)
    with serving("--video", tmp_path, "--task", TASK) as server:
        first, second = open_editor(server), open_editor(server)
        here = second.data("ready")
        first.mark(9, "of the first tab")
        second.page.fill("#task", "of the second tab")
        second.page.select_option("#episode", index=1)
        second.wait("save", "conflict")
        second.page.click("#keep-mine")
        second.wait("save", "saved")
        assert second.value("episode") == second.data("ready") == here
        assert json.loads((tmp_path / "a.json.draft").read_text())["task"] == "of the second tab"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can limit what another process writes")
def test_a_full_disk_and_a_lost_folder_are_shown_and_retried(server, open_editor):
    editor = open_editor(server)
    editor.mark(9, "reach")
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, limits[1]))  # every write fails from now on
    editor.mark_without_waiting(19, "lift")
    editor.wait("save", "failed")
    assert "NOT SAVED" in editor.text("save")
    assert "File too large" in editor.text("message")
    kept = editor.page.evaluate("Object.values(localStorage).join()")
    assert "lift" in kept  # in the browser until the disk has room again
    editor.press("Control+Enter")
    editor.page.wait_for_timeout(300)
    assert "not saved yet" in editor.text("message")
    assert [stage["subtask"] for stage in marking_of(server)["stages"]] == ["reach"]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
    editor.wait("save", "saved")
    assert "nothing was lost" in editor.text("message")
    assert [stage["subtask"] for stage in marking_of(server)["stages"]] == ["reach", "lift"]

    aside = server.labels.with_name("aside")  # a folder that is gone, with a file in its place
    server.labels.rename(aside)
    server.labels.write_text("no folder")
    editor.mark_without_waiting(29, "carry")
    editor.wait("save", "failed")
    assert str(server.labels) in editor.text("message")
    server.labels.unlink()
    aside.rename(server.labels)
    editor.wait("save", "saved")
    assert [stage["subtask"] for stage in marking_of(server)["stages"]] == ["reach", "lift", "carry"]


def test_a_video_replaced_under_the_page_is_shown(server, open_editor, tmp_path):
    editor = open_editor(server)
    editor.mark(9, "reach")
    aside = server.video.with_name("aside.mp4")
    os.rename(server.video, aside)
    write_video(tmp_path / "new.mp4", 50)
    os.rename(tmp_path / "new.mp4", server.video)
    editor.page.fill("#task", "still about the old video")
    editor.page.locator("#task").blur()
    editor.wait("save", "replaced")
    assert "demo.mp4 was replaced by another file" in editor.text("problem")
    assert marking_of(server)["task"] == TASK
    status = editor.page.evaluate(
        "() => fetch(document.querySelector('#stage-timeline').editor.frameUrl(39), {cache: 'no-store'})"
        ".then(r => r.status)"
    )
    assert status == 410  # no frame of the new video under a number of the old one
    other = open_editor_with_problem(editor)
    assert "belongs to another video" in other
    os.rename(aside, server.video)
    editor.open()
    editor.settled()
    assert marking_of(server)["task"] == "still about the old video"
    assert editor.stages() == [(9, "reach")]
    assert not editor.page.locator("#problem").is_visible()


def open_editor_with_problem(editor):
    """Load the page anew where no frame can be shown; return its message."""
    editor.page.goto(editor.url)
    editor.page.wait_for_selector("#problem:not([hidden])")
    return editor.text("problem")


def test_a_login_protects_the_page_in_the_browser(video, tmp_path, open_editor):
    shutil.copy(video, tmp_path / "demo.mp4")
    with serving("--video", tmp_path / "demo.mp4", "--task", TASK, "--auth", "anna:se:cret") as server:
        editor = open_editor(server, http_credentials={"username": "anna", "password": "se:cret"})
        editor.mark(29, "lift")
        editor.press("d")
        editor.wait("finished", "true")
        assert editor.number() == 29
        assert read_annotation(tmp_path / "demo.json").stages[0].end == 30
