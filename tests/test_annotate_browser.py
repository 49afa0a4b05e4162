"""The labelling page in a real browser: what a person sees and does."""

import json
import shutil

import pytest
from annotate_page import READ_NUMBER, serving, write_timed_video
from material import DEMO, REAL_DEMOS, TASK, number_of, write_video

from annotate.results import REMEDY
from dataset import VideoReader, read_annotation, read_samples

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Barcode videos of every kind that browsers and readers get wrong."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "a_b_frames.mp4", 60, g="12", bf="3")
    write_video(folder / "b_long_gop.mp4", 300, g="1000", bf="2")
    write_video(folder / "c_mpeg4.mp4", 60, "mpeg4", bf="2")
    write_timed_video(folder / "d_variable_rate.mp4", [0, 40, 45, 50, 200, 210, 500, 520, 900, 1500, 1510, 2000])
    write_timed_video(folder / "e_late_start.mkv", list(range(0, 1600, 40)), start_ms=1400)
    write_video(folder / "f_transport_stream.ts", 60, g="10", bf="2")
    return folder


@pytest.fixture(scope="module")
def viewer(videos, tmp_path_factory):
    """A server that tests may look at but not write to."""
    with serving("--video", videos, "--task", TASK, "--output", tmp_path_factory.mktemp("labels")) as server:
        yield server


@pytest.fixture
def labeller(video, tmp_path):
    """A server with one video of 40 numbered frames, in a folder of its own."""
    shutil.copy(video, tmp_path / "demo.mp4")
    with serving("--video", tmp_path / "demo.mp4", "--task", TASK) as server:
        server.folder = tmp_path
        yield server


def test_the_frame_shown_is_the_number_shown(viewer, open_editor, videos):
    editor = open_editor(viewer)
    for path in sorted(videos.iterdir()):
        if editor.text("episode"):
            editor.page.select_option("#episode", label=f"○ {path.name} · new")
        editor.wait("ready", editor.value("episode"))
        last = len(VideoReader(path)) - 1
        seen = []
        for key in ("Home", "ArrowRight", ".", ",", "Shift+ArrowRight", "ArrowLeft", "End", "ArrowLeft", "Shift+ArrowLeft"):
            before = editor.shown()
            editor.press(key)
            step = {"Home": -9999, "End": 9999, ".": 1, ",": -1}.get(key) or (10 if "Shift" in key else 1) * (
                -1 if "Left" in key else 1
            )
            expected = min(max(before + step, 0), last)
            editor.wait("shown", expected)
            seen.append((expected, editor.number()))
        assert all(claimed == painted for claimed, painted in seen), (path.name, seen)
        assert f"frame {editor.shown()} of 0–{last}" in editor.text("where")


def test_playing_shows_every_frame_it_names(viewer, open_editor):
    editor = open_editor(viewer)
    editor.press("Home")
    editor.page.evaluate(
        """() => {
          window.seen = [];
          const root = document.querySelector('#stage-timeline');
          new MutationObserver(() => window.seen.push([Number(root.dataset.shown), (%s)(0)]))
            .observe(root, {attributes: true, attributeFilter: ['data-shown']});
        }"""
        % READ_NUMBER
    )
    editor.press("Space")
    editor.wait("shown", 59)
    editor.press("j", "j")
    editor.wait("shown", 0)
    seen = editor.page.evaluate("window.seen")
    assert len(seen) > 60
    assert all(claimed == painted for claimed, painted in seen)
    forward = [claimed for claimed, _ in seen[: seen.index([59, 59]) + 1]]
    assert forward == sorted(forward)


def test_marking_by_keyboard_writes_the_annotation(labeller, open_editor):
    editor = open_editor(labeller)
    assert editor.value("task") == TASK
    editor.mark(9, "reach the block")
    editor.mark(29, "lift the block")
    assert not (labeller.folder / "demo.json").exists()
    assert "choose Done or Not done" in editor.text("outcome-note")
    editor.press("d")
    editor.type("the block hangs in the air")
    editor.press("Enter")
    editor.wait("finished", "true")
    annotation = read_annotation(labeller.folder / "demo.json")
    assert [(s.subtask, s.start, s.end) for s in annotation.stages] == [
        ("reach the block", 0, 10),
        ("lift the block", 10, 30),
    ]
    assert (annotation.success, annotation.reason, annotation.task) == (True, "the block hangs in the air", TASK)
    assert annotation.video == "demo.mp4"
    assert not list(labeller.folder.glob("*.draft"))


def test_it_resumes_where_it_was_left(labeller, open_editor):
    editor = open_editor(labeller)
    editor.mark(9, "reach the block")
    editor.go(17)
    editor.open()
    assert editor.shown() == 17
    assert editor.stages() == [(9, "reach the block")]
    assert (labeller.folder / "demo.json.draft").exists()
