"""The labelling page in a real browser: what a person sees and does."""

import json
import shutil

import pytest
from annotate_page import READ_NUMBER, serving, write_timed_video
from material import REAL_DEMOS, TASK, write_video

from annotate.episodes import find_episodes
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


@pytest.fixture(scope="module")
def desk(video, tmp_path_factory):
    """A server with many copies of a video of 40 numbered frames: every test labels one of its own."""
    folder = tmp_path_factory.mktemp("desk")
    for number in range(24):
        shutil.copy(video, folder / f"ep{number:02}.mp4")
    with serving("--video", folder, "--task", TASK) as server:
        server.folder = folder
        yield server


@pytest.fixture
def label(desk, open_editor, request):
    """Open a fresh episode; returns the editor and the path of its annotation."""
    used = request.getfixturevalue("used_episodes")
    key, episode = list(find_episodes([desk.folder]).items())[len(used)]
    used.append(key)
    editor = open_editor(desk, f"?episode={key}")
    editor.annotation = episode.annotation
    return editor


@pytest.fixture(scope="module")
def used_episodes():
    """Episodes of the desk that tests have taken."""
    return []


def test_the_frame_shown_is_the_number_shown(viewer, open_editor, videos):
    editor = open_editor(viewer)
    for path in sorted(videos.iterdir()):
        if editor.text("episode"):
            editor.page.select_option("#episode", label=f"○ {path.name} · new")
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
    assert len(seen) > 60
    assert all(claimed == painted for claimed, painted in seen)
    forward = [claimed for claimed, _ in seen[: seen.index([59, 59]) + 1]]
    assert forward == sorted(forward)


def test_marking_by_keyboard_writes_the_annotation(label):
    assert label.value("task") == TASK
    label.mark(9, "reach the block")
    label.mark(29, "lift the block")
    assert not label.annotation.exists()
    assert "choose Done or Not done" in label.text("outcome-note")
    label.press("d")
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
    assert label.page.evaluate("document.activeElement.id") == "cutoff"
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
    mouse.click(*place)  # zoom keeps what lies under the pointer
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
    label.page.fill("#cutoff", "0.4")
    label.press("Enter")
    label.wait("finished", "true")
    annotation = read_annotation(label.annotation)
    assert [(s.subtask, s.excluded) for s in annotation.stages] == [("", True), ("reach", False), ("lift", False)]
    assert (annotation.success, annotation.final_progress) == (False, 40.0)
    label.page.fill("#cutoff", "1")
    label.wait("finished", "false")
    label.settled()
    assert "the cutoff is 1" in label.text("outcome-note")
    assert read_annotation(label.annotation) == annotation  # what is not finished never touches what was


def test_the_task_differs_per_episode(desk, open_editor, label):
    label.page.fill("#task", "")
    label.settled()
    assert "say what the robot shall do" in label.text("task-note")
    label.page.fill("#task", "Wipe the table")
    label.settled()
    assert label.text("task-note") == ""
    label.page.locator("#task").blur()
    label.press("n")
    label.wait("ready", lambda key: key not in ("", None))
    label.page.wait_for_timeout(300)
    assert label.value("task") == TASK
    label.press("p")
    label.page.wait_for_timeout(500)
    assert label.value("task") == "Wipe the table"


def test_generate_shows_findings_samples_and_the_command(label):
    label.mark(1, "reach")  # two frames only
    label.mark(39, "lift")  # to the last frame: nothing shows the finished task
    label.press("Control+Enter")
    label.wait("generated", "stopped")
    assert "1 thing to mend first" in label.text("samples-says")
    label.press("d")
    label.press("Enter")
    label.press("Control+Enter")
    label.wait("generated", "done")
    notes = label.page.evaluate(
        "[...document.querySelectorAll('#stages li')].map(r => r.querySelector('.note').textContent)"
    )
    assert "has 2 frame" in notes[0]
    assert "100 % is never taught" in notes[1]
    command = label.page.locator("#commands code").first.inner_text()
    assert command == f"make lora ANNOTATIONS={label.annotation} RECIPE=recipes/oneshot.yaml"
    samples, window, tasks = read_samples(label.annotation.parent / "samples" / f"{label.annotation.stem}.jsonl")
    assert (len(samples), tasks) == (40, (TASK,))
    cards = label.page.locator("#samples-preview .card")
    assert cards.count() == 6
    assert cards.first.locator("img").count() == window.size
    assert samples[0].completion.strip() in cards.first.locator("pre").inner_text().replace("\xa0", " ")
    cards.nth(3).locator(".thumb").last.click()
    label.wait("shown", samples[round(3 * 39 / 5)].frame_index)
    label.press("Home")  # the page goes on
    label.wait("shown", 0)


def write_predictions(path, video, values):
    rows = [
        {
            "video_path": str(video),
            "frame_index": frame,
            "timestamp_sec": frame / 25,
            "window_frame_indices": [max(frame - 4, 0), frame],
            "progress": value,
            "reasoning": f"so far {value}",
            "model_output": f"<progress>{value}</progress> at {frame}",
        }
        for frame, value in values
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_predictions_of_base_and_adapter_beside_the_timeline(label, tmp_path):
    video = label.annotation.with_suffix(".mp4")
    label.mark(29, "lift")
    label.press("d")
    label.press("Enter")
    label.settled()
    base = write_predictions(tmp_path / "base.jsonl", video, [(frame, 50.0) for frame in range(0, 40, 4)])
    adapter = write_predictions(
        tmp_path / "adapter.jsonl", video, [(f, None if f == 8 else f * 2.5) for f in range(0, 40, 4)]
    )
    label.page.click("#predictions-tab")
    label.page.set_input_files("#result-files", [base, adapter])
    label.wait("results", 2)
    assert [item.split("\n")[0] for item in label.page.locator(".legend-item").all_inner_texts()] == [
        "label",
        "base.jsonl",
        "adapter.jsonl",
    ]
    colour = (
        "([x, y]) => [...document.querySelector('#track').getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3)"
    )
    box = label.page.locator("#track").bounding_box()
    x = round(22.5 / 40 * box["width"])
    column = [label.page.evaluate(colour, [x, y]) for y in range(120, 195)]
    assert [217, 119, 6] in column  # the base's line
    assert any(abs(r - 37) + abs(g - 99) + abs(b - 235) < 30 for r, g, b in column)  # the adapter's
    label.page.mouse.click(*label.point(22.5, 170))
    label.wait("shown", 22)
    label.page.wait_for_timeout(200)
    cards = label.page.locator("#answers .card").all_inner_texts()
    assert "base.jsonl · frame 20: 50.00 %" in cards[0]
    assert "<progress>50.0</progress> at 20" in cards[0]
    assert "adapter.jsonl · frame 20: 50.00 %" in cards[1]
    label.go(9)
    label.page.wait_for_timeout(200)
    assert "frame 8: no percentage" in label.page.locator("#answers .card").nth(1).inner_text()
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"frame_index": 3}\n')
    label.page.set_input_files("#result-files", [bad])
    label.page.wait_for_timeout(300)
    assert f"bad.jsonl, line 1: the key 'progress' is missing; {REMEDY}" in label.text("message")
    assert label.data("results") == "2"


def test_stage_texts_come_from_the_episode_before(video, tmp_path, open_editor):
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        shutil.copy(video, tmp_path / name)
    (tmp_path / "d.mp4").write_bytes(b"no video at all")
    with serving("--video", tmp_path) as server:
        editor = open_editor(server)
        assert "say what the robot shall do" in editor.text("task-note")
        editor.press("t")
        editor.type(TASK)
        editor.press("Enter")
        editor.mark(9, "reach")
        editor.mark(29, "lift")
        editor.press("d", "Enter")
        editor.wait("finished", "true")
        assert editor.text("queue-count") == "1 of 4 labelled"
        editor.press("u")
        editor.wait("ready", lambda key: key == editor.value("episode") != "")
        editor.wait("shown", 0)
        assert editor.value("task") == TASK  # the episode before gives its task where the command line gives none
        editor.go(14)
        editor.press("1")
        editor.settled()
        editor.go(34)
        editor.press("2")
        editor.settled()
        assert editor.stages() == [(14, "reach"), (34, "lift")]
        editor.press("n")
        editor.page.wait_for_timeout(600)
        editor.press("c")
        editor.settled()
        assert editor.stages() == [(14, "reach"), (34, "lift")]
        editor.press("n")
        editor.page.wait_for_timeout(600)
        assert "d.mp4: video" in editor.text("problem")  # said, and never replaced by invented frames
        assert editor.page.locator("#pictures canvas").count() == 0
        editor.press("p")
        editor.wait("shown", lambda value: value != "")
        assert not editor.page.locator("#problem").is_visible()


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
        editor.press("d", "Enter")
        editor.wait("finished", "true")
        annotation = read_annotation(wrist / "ep1.json")
        assert [(camera.name, camera.video) for camera in annotation.cameras] == [("front", "../front/ep1.mp4")]


HOSTILE = '<img src=x onerror="document.title=1">${alert(1)}{{constructor}}\\ "\u202e'


def test_hostile_text_is_shown_literally(video, tmp_path, open_editor):
    shutil.copy(video, tmp_path / "<img src=x onerror=alert(1)> ${1+1} {{2+2}}.mp4")
    shutil.copy(video, tmp_path / "b.mp4")
    with serving("--video", tmp_path, "--task", HOSTILE) as server:
        editor = open_editor(server)
        assert editor.value("task") == HOSTILE
        editor.mark(9, HOSTILE)
        editor.press("d")
        editor.type(HOSTILE)
        editor.press("Enter")
        editor.wait("finished", "true")
        editor.press("Control+Enter")
        editor.wait("generated", "done")
        assert editor.stages() == [(9, HOSTILE)]
        assert HOSTILE.replace("\u202e", "") in editor.page.locator("#samples-preview pre").first.inner_text().replace(
            "\u202e", ""
        )
        assert "${1+1} {{2+2}}.mp4" in editor.text("episode")
        assert editor.page.locator("#stage-timeline img[src='x']").count() == 0
        assert editor.page.title().startswith("Onetake")
        assert "python -m train" in editor.page.locator("#commands code").first.inner_text()
        (annotation,) = tmp_path.glob("*.json")
        assert read_annotation(annotation).stages[0].subtask == HOSTILE


def test_everything_has_a_name_and_can_be_reached_by_tab(label):
    label.mark(9, "reach")
    unnamed = label.page.evaluate(
        """[...document.querySelectorAll('#stage-timeline :is(button, input, select, canvas, [role])')]
          .filter(e => e.offsetParent !== null)
          .filter(e => !['status', 'alert'].includes(e.getAttribute('role')))
          .filter(e => !['aria-label', 'aria-labelledby', 'title'].some(name => e.getAttribute(name)))
          .filter(e => !(e.labels?.length || e.innerText?.trim()))
          .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    reached = set()
    label.page.evaluate("document.querySelector('#help').focus()")
    for _ in range(40):
        label.page.keyboard.press("Tab")
        reached.add(
            label.page.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label')")
        )
    for name in (
        "task",
        "play",
        "goto",
        "undo",
        "Text of stage 1",
        "Last frame of stage 1",
        "done",
        "track",
        "subtask",
        "generate",
    ):
        assert name in reached, name


def test_real_videos(tmp_path, open_editor):
    if not REAL_DEMOS.is_dir():
        pytest.skip(f"the real videos are not at {REAL_DEMOS}")
    names = ("ball_in_bowl__ep1_success.mp4", "misc__berkeley_rpt_stack_cup.mp4", "tuck_box__ep1_success.mp4")
    files = [REAL_DEMOS / name for name in names]
    with serving("--video", REAL_DEMOS, "--output", tmp_path, "--task", TASK) as server:
        editor = open_editor(server)
        for path in files:
            editor.page.select_option("#episode", label=f"○ {path.name} · new")
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
