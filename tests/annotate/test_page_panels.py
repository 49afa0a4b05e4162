"""The labelling page in a real browser: task, queue, samples, predictions, hostile text, and a name for everything."""

import json
import shutil

import pytest
from annotate_page import serving
from material import TASK

from annotate.predictions_tab import REMEDY
from dataset import read_annotation, read_samples

pytestmark = pytest.mark.slow


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
