"""The labelling page in a real browser: task, queue, samples, predictions, hostile text, and a name for everything."""

import json
import shutil
from collections import Counter

import pytest
from annotate_page import serving
from material import TASK

from annotate.predictions_tab import REMEDY
from dataset import read_annotation
from dataset.demonstration import read_demonstration
from dataset.preview import choose_samples
from dataset.recipe import read_data_section
from dataset.samples import build_sample_set

pytestmark = pytest.mark.slow


def test_the_task_differs_per_episode(desk, open_editor, label):
    label.page.fill("#task", "")
    label.settled()
    assert "write the task: the instruction that the robot follows" in label.text("task-findings")
    label.page.fill("#task", "Wipe the table")
    label.settled()
    assert label.text("task-findings") == ""
    label.page.locator("#task").blur()
    label.press("n")
    label.wait("ready", lambda key: key not in ("", None))
    label.page.wait_for_timeout(300)
    assert label.value("task") == TASK
    label.press("p")
    label.page.wait_for_timeout(500)
    assert label.value("task") == "Wipe the table"


def test_stage_texts_come_from_another_episode_of_the_task(video, tmp_path, open_editor):
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        shutil.copy(video, tmp_path / name)
    (tmp_path / "d.mp4").write_bytes(b"no video at all")
    with serving("--video", tmp_path) as server:
        editor = open_editor(server)
        assert "write the task: the instruction that the robot follows" in editor.text("task-findings")
        editor.press("t")
        editor.type(TASK)
        editor.press("Enter")
        editor.mark(9, "reach")
        editor.mark(29, "lift")
        editor.press("d")
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
        assert editor.text("copy") == "Copy from a"  # an unfinished episode is nearer, a finished one is better
        editor.press("c")
        editor.settled()
        assert editor.stages() == [(9, "reach"), (29, "lift")]
        assert "copied the stages of a," in editor.text("message")
        editor.press("n")
        editor.page.wait_for_timeout(600)
        assert "d: video" in editor.text("problem")  # shown, and never replaced by invented frames
        assert editor.page.locator("#pictures canvas").count() == 0
        editor.press("p")
        editor.wait("shown", lambda value: value != "")
        assert not editor.page.locator("#problem").is_visible()


def test_the_samples_of_a_recipe_are_shown_with_findings_and_the_command(label):
    label.mark(1, "reach")  # two frames only
    label.mark(39, "lift")  # to the last frame: nothing shows the finished task
    label.press("Control+Enter")
    label.wait("samples", "stopped")
    assert "1 thing to correct first" in label.text("samples-summary")
    label.press("d")
    label.press("Control+Enter")
    label.wait("samples", "done")
    findings = label.page.evaluate(
        "[...document.querySelectorAll('#stages li')].map(r => r.querySelector('.stage-findings').textContent)"
    )
    assert "has 2 frame" in findings[0]
    assert "no sample has the label 100 %" in findings[1]
    command = label.page.locator("#command code").inner_text()
    assert command == f"make lora ANNOTATIONS={label.annotation} RECIPE=recipes/oneshot.yaml"
    samples = samples_of("recipes/oneshot.yaml", label.annotation)
    assert not (label.annotation.parent / "samples").exists()  # nothing is written
    counts = Counter(sample.direction for sample in samples)
    assert (counts["forward"], set(counts)) == (40, {"forward", "reversed"})
    assert f"trains on {len(samples)} samples of 1 episode. 2 warnings." in label.text("samples-summary")
    kinds = label.page.locator("#sample-kinds li").all_inner_texts()
    assert kinds == [f"{counts['forward']} as recorded", f"{counts['reversed']} played backwards"]
    chosen = choose_samples(samples)
    cards = label.page.locator("#sample-cards .card")
    assert cards.count() == len(chosen) == 12
    for number, sample in enumerate(chosen):
        card = cards.nth(number)
        assert f"frame {sample.frame_index} · {sample.progress:.2f} %" in card.inner_text()
        assert ("played backwards" in card.inner_text()) == (sample.direction == "reversed")
        assert card.locator("img").count() == len(sample.window_frame_indices) == 8
        assert card.locator(".prompt").inner_text() == sample.prompt.strip()
        assert sample.completion.strip() in card.locator("pre").inner_text().replace("\xa0", " ")
    cards.nth(3).locator(".thumb").last.click()
    label.wait("shown", chosen[3].window_frame_indices[-1])
    label.page.select_option("#recipe", "recipes/nano.yaml")
    label.page.click("#show-samples")
    label.wait("samples", "done")
    label.page.wait_for_function("document.querySelector('#command code')?.textContent.endsWith('recipes/nano.yaml')")
    nano = samples_of("recipes/nano.yaml", label.annotation)
    assert f"trains on {len(nano)} samples" in label.text("samples-summary")
    assert "asked about another task" in label.text("sample-cards")
    label.press("Home")  # the page goes on
    label.wait("shown", 0)


def samples_of(recipe, annotation):
    """Make the samples as training does."""
    data = read_data_section(recipe)
    return build_sample_set([read_demonstration(annotation)], data.window, data.sampling, data.labels)


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
    label.settled()
    base = write_predictions(tmp_path / "base.jsonl", video, [(frame, 50.0) for frame in range(0, 40, 4)])
    adapter = write_predictions(
        tmp_path / "adapter.jsonl", video, [(f, None if f == 8 else f * 2.5) for f in range(0, 40, 4)]
    )
    label.page.click("#predictions-tab")
    label.page.set_input_files("#prediction-files", [base, adapter])
    label.wait("predictions", 2)
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
    bad.write_text('{"video_path": "v.mp4", "frame_index": 3}\n')
    label.page.set_input_files("#prediction-files", [bad])
    label.page.wait_for_timeout(300)
    assert f"bad.jsonl, line 1: the key 'progress' is missing; {REMEDY}" in label.text("message")
    assert label.data("predictions") == "2"


HOSTILE = '<img src=x onerror="document.title=1">${alert(1)}{{constructor}}\\ "\u202e'


def test_hostile_text_is_shown_literally(video, tmp_path, open_editor):
    shutil.copy(video, tmp_path / "<img src=x onerror=alert(1)> ${1+1} {{2+2}}.mp4")
    shutil.copy(video, tmp_path / "b.mp4")
    with serving("--video", tmp_path, "--task", HOSTILE) as server:
        editor = open_editor(server)
        assert editor.value("task") == HOSTILE
        editor.mark(9, HOSTILE)
        editor.press("d", "d")
        editor.type(HOSTILE)
        editor.press("Enter")
        editor.wait("finished", "true")
        editor.press("Control+Enter")
        editor.wait("samples", "done")
        assert editor.stages() == [(9, HOSTILE)]
        assert HOSTILE.replace("\u202e", "") in editor.page.locator("#sample-cards pre").first.inner_text().replace(
            "\u202e", ""
        )
        assert "${1+1} {{2+2}}" in editor.text("episode")
        assert editor.page.locator("#stage-timeline img[src='x']").count() == 0
        assert editor.page.title().startswith("Onetake")
        assert "python -m train" in editor.page.locator("#command code").inner_text()
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
        "show-samples",
        "recipe",
    ):
        assert name in reached, name
