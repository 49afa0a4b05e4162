"""The labelling page in a real browser: the picture shown is the frame named, stepping, playing, from any camera."""

import pytest
from annotate_page import READ_NUMBER, serving, write_timed_video
from material import REAL_DEMOS, TASK, write_video

from dataset import VideoReader, read_annotation

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


def test_the_frame_shown_is_the_number_shown(viewer, open_editor, videos):
    editor = open_editor(viewer)
    for path in sorted(videos.iterdir()):
        if editor.text("episode"):
            editor.page.select_option("#episode", label=f"○ {path.stem} · new")
        editor.wait("ready", editor.value("episode"))
        last = len(VideoReader(path)) - 1
        seen = []
        for key in (
            "Home",
            "ArrowRight",
            ".",
            ",",
            "Shift+ArrowRight",
            "ArrowLeft",
            "End",
            "ArrowLeft",
            "Shift+ArrowLeft",
        ):
            before = editor.shown()
            editor.press(key)
            step = {"Home": -9999, "End": 9999, ".": 1, ",": -1}.get(key) or (10 if "Shift" in key else 1) * (
                -1 if "Left" in key else 1
            )
            expected = min(max(before + step, 0), last)
            editor.wait("shown", expected)
            seen.append((expected, editor.number()))
        assert all(claimed == painted for claimed, painted in seen), (path.name, seen)
        editor.page.wait_for_function(
            "(text) => document.getElementById('where').textContent.startsWith(text)",
            arg=f"frame {editor.shown()} of 0–{last}",
        )


def test_playing_shows_every_frame_it_names(viewer, open_editor):
    editor = open_editor(viewer)
    editor.press("Home")
    editor.page.evaluate(
        """(readNumber) => {
          window.seen = [];
          const root = document.querySelector('#stage-timeline'), read = eval(readNumber);
          new MutationObserver(() => window.seen.push([Number(root.dataset.shown), read(0)]))
            .observe(root, {attributes: true, attributeFilter: ['data-shown']});
        }""",
        READ_NUMBER,
    )
    editor.press("Space")
    editor.wait("shown", 59)
    editor.press("j", "j")
    editor.wait("shown", 0)
    seen = editor.page.evaluate("window.seen")
    assert len(seen) > 15  # a slow machine leaves out frames, and names none of them
    assert all(claimed == painted for claimed, painted in seen)
    forward = [claimed for claimed, _ in seen[: seen.index([59, 59]) + 1]]
    assert forward == sorted(forward)


def test_cameras_share_one_frame_number(tmp_path, open_editor):
    wrist, front = tmp_path / "wrist", tmp_path / "front"
    for folder in (wrist, front):
        folder.mkdir()
        write_video(folder / "ep1.mp4", 40, g="12", bf="2" if folder == wrist else "0")
    with serving("--video", wrist, "--task", TASK, "--camera", f"front={front}") as server:
        editor = open_editor(server)
        for key in ("End", "ArrowLeft", "Shift+ArrowLeft"):
            before = editor.shown()
            editor.press(key)
            editor.wait("shown", lambda value, before=before: value != str(before))
            assert editor.number(0) == editor.number(1) == editor.shown()
        assert editor.page.locator("figcaption").all_inner_texts() == ["main", "front"]
        editor.mark(19, "reach")
        editor.press("d")
        editor.wait("finished", "true")
        annotation = read_annotation(wrist / "ep1.json")
        assert [(camera.name, camera.video) for camera in annotation.cameras] == [("front", "../front/ep1.mp4")]


def test_real_videos(tmp_path, open_editor):
    if not REAL_DEMOS.is_dir():
        pytest.skip(f"the real videos are not at {REAL_DEMOS}")
    names = ("ball_in_bowl__ep1_success.mp4", "misc__berkeley_rpt_stack_cup.mp4", "tuck_box__ep1_success.mp4")
    files = [REAL_DEMOS / name for name in names]
    with serving("--video", REAL_DEMOS, "--output", tmp_path, "--task", TASK) as server:
        editor = open_editor(server)
        for path in files:
            editor.page.select_option("#episode", label=f"○ {path.stem} · new")
            editor.wait("ready", editor.value("episode"))
            reader = VideoReader(path)
            for frame in (len(reader) // 2, len(reader) - 1):
                editor.go(frame)
                shown = editor.page.evaluate(
                    """() => {
                      const c = document.querySelector('#pictures canvas');
                      const all = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
                      let sum = 0;
                      for (let i = 0; i < all.length; i += 4) sum += all[i + 1];
                      return sum / (all.length / 4);
                    }"""
                )
                assert shown == pytest.approx(reader.frame(frame)[..., 1].mean(), abs=2.0), (path.name, frame)
