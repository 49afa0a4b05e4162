import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import DEMO, ROOT, TASK, make_annotation, numbered_frame

from dataset.__main__ import findings_table
from dataset.annotation import Stage
from dataset.annotation_file import write_annotation
from dataset.budget import TokenBudget, read_token_budget
from dataset.check import Finding, check_demonstrations, check_files
from dataset.demonstration import Demonstration, read_demonstrations
from dataset.ffmpeg import index_stream
from dataset.index_cache import IndexCache
from dataset.preview import write_preview
from dataset.samples import SamplingSpec, build_sample_set
from dataset.similarity import longest_still_run
from dataset.window import WindowSpec
from infer.model.transformers_internals import resized_shape


def findings(*annotations, **options) -> list[Finding]:
    demonstrations = [Demonstration(f"d{i}.json", annotation, "v.mp4") for i, annotation in enumerate(annotations)]
    return check_demonstrations(demonstrations, **options)


def messages(*annotations) -> str:
    return "\n".join(f"{finding.level} {finding.where}: {finding.message}" for finding in findings(*annotations))


def with_texts(annotation, *texts):
    return replace(
        annotation,
        stages=tuple(replace(stage, subtask=text) for stage, text in zip(annotation.stages, texts, strict=True)),
    )


def test_a_good_demonstration_has_no_findings(video):
    assert findings(make_annotation(video, 10, 30)) == []


def test_a_success_without_finished_frames(video):
    (finding,) = findings(make_annotation(video, 10, 40))
    assert "no sample has the label 100 %" in finding.message
    assert (finding.stage, finding.field, finding.place) == (2, "end", "stage 2, end")


def test_a_label_that_never_reaches_the_threshold(video):
    text = messages(make_annotation(video, 20, 24, 28, 40))  # the last stage ends at 75 + 25 * 11 / 12
    assert "the highest label is" not in text
    measured = tuple(float(t) for t in range(40))
    text = messages(make_annotation(video, 10, 30, measured_progress=measured))
    assert "is a success, but its labels end at 39.0 %, below 95 %" in text
    assert "the highest label is 39.0 %; a task counts as done from 95 % on" in text
    assert "the highest label is 87.5 %; a task counts as done from 95 % on" in messages(
        make_annotation(video, 37, 40)
    )  # ends at 62.5 + 37.5 * 2 / 3


@pytest.mark.parametrize(
    ("texts", "message", "stage"),
    [
        (("a", "A "), 'stages have the text "a"', 1),
        ((TASK.upper() + ".", "b"), "has the same text as the task", 1),
        (("a", TASK), "has the same text as the task", 2),
    ],
)
def test_stage_texts(video, texts, message, stage):
    (finding,) = findings(with_texts(make_annotation(video, 10, 30), *texts))
    assert message in finding.message
    assert (finding.stage, finding.field) == (stage, "subtask")


def test_short_and_single_stages(video):
    assert 'stage "step 1" has 2 frame(s)' in messages(make_annotation(video, 2, 30))
    assert "there is only one stage" in messages(make_annotation(video, 30))


def test_stages_are_counted_with_the_excluded_ones(video):
    annotation = make_annotation(video, 10, 20, 22)
    annotation = replace(annotation, stages=(replace(annotation.stages[0], excluded=True), *annotation.stages[1:]))
    assert [finding.stage for finding in findings(annotation) if "2 frame(s)" in finding.message] == [3]


def test_an_unlabelled_tail(video):
    (finding,) = findings(make_annotation(video, 8, 16))
    assert "24 of 40 frames follow the last stage and have the label 100 %" in finding.message
    failure = make_annotation(video, 10, 30, success=False, final_progress=50.0)
    assert "10 frame(s) after the last stage of this failure have the label 50.0 %" in messages(failure)


def test_demonstrations_of_one_task_should_agree(video):
    first = replace(make_annotation(video, 10, 30), fingerprint="x")
    second = replace(first, stages=(Stage("other", 0, 10), Stage("step 2", 10, 30)), fingerprint="y")
    (finding,) = findings(first, second)
    assert finding.where == "d1.json" and "its stages differ from those of d0.json" in finding.message


def test_a_fall_back_keeps_the_wording_of_the_task(video):
    annotation = make_annotation(video, 8, 16, 24, 32)
    stages = list(with_texts(annotation, "reach", "lift", "reach", "lift").stages)
    stages[1] = replace(stages[1], falls_back_to=1)
    again = replace(annotation, stages=tuple(stages), fingerprint="x")
    plain = replace(with_texts(make_annotation(video, 10, 30), "reach", "lift"), fingerprint="y")
    assert findings(plain, again) == []
    stages[2] = replace(stages[2], subtask="search")
    (finding,) = findings(replace(again, stages=tuple(stages)))
    assert 'stage "reach" is repeated as "search"' in finding.message
    assert (finding.stage, finding.field) == (1, "falls_back_to")


def test_two_annotations_of_one_video_are_compared(video):
    alice = make_annotation(video, 10, 30, annotator="alice")
    (finding,) = findings(alice, make_annotation(video, 12, 30, annotator="bob"))
    assert "d0.json annotates the same video: the labels of alice and bob differ by" in finding.message
    assert "they agree" in finding.message
    (finding,) = findings(alice, make_annotation(video, 25, 30, annotator="bob"))
    assert "they disagree: correct the boundaries first" in finding.message


def test_only_failures(video):
    failure = make_annotation(video, 10, 30, success=False, final_progress=50.0)
    assert "so no sample shows the finished task" in messages(failure)


@pytest.fixture(scope="module")
def still_video(tmp_path_factory) -> Path:
    """Five seconds at 10 fps: the picture changes, stands still from frame 20 to 44, and changes again."""
    path = tmp_path_factory.mktemp("still") / "still.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        picture = numbered_frame(0)
        for index in range(60):
            if not 20 < index < 45:
                picture = rng.integers(0, 255, (4, 6, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_frames_that_look_alike(still_video, tmp_path):
    annotation = make_annotation(still_video, 10, 50)
    write_annotation(tmp_path / "a.json", replace(annotation, video=str(still_video)))
    _, (finding,) = check_files([tmp_path / "a.json"])
    assert (
        "frames 20 to 44 look alike (2.5 s), but their labels rise by 37.5 points" in finding.message
    )  # 62.5 * 24 / 40
    assert finding.stage == 2
    failed = replace(annotation, video=str(still_video), success=False, final_progress=0.0)
    write_annotation(tmp_path / "a.json", failed)
    assert not any("look alike" in finding.message for finding in check_files([tmp_path / "a.json"])[1])


def test_a_video_is_demuxed_once_for_all_that_is_checked_and_made(annotation_path, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("dataset.index_cache.SETTLED_SEC", 0.0)
    cache = IndexCache(lambda path: read.append(path.name) or index_stream(path), frames=lambda index: len(index.pts))
    monkeypatch.setattr("dataset.video._indexes", cache)
    window = WindowSpec(4, stride=2)
    demonstrations, _ = check_files([annotation_path], labels="visual", window=window, budget=TokenBudget())
    read_demonstrations([annotation_path])
    build_sample_set(demonstrations, window, SamplingSpec(), "visual")
    write_preview(tmp_path / "p.html", demonstrations, [], "visual")
    assert read == ["demo.mp4"]


def test_the_longest_still_run():
    hashes = np.zeros((9, 64), dtype=bool)
    hashes[3:7] = True
    assert longest_still_run(hashes) == (3, 4)
    drifting = np.tril(np.ones((30, 64), dtype=bool))  # one bit more in each frame: slow, but not still
    assert longest_still_run(drifting)[1] == 2
    turned = np.zeros((6, 8), dtype=bool)
    turned[1:, 0] = turned[2:, 1] = True  # the run of frame 0 ends at frame 1, that of frame 1 at the last one
    assert longest_still_run(turned) == (1, 5)


@given(bits=st.lists(st.integers(0, 15), min_size=1, max_size=30))
def test_no_still_run_is_longer(bits):
    hashes = np.array([[bit >> place & 1 for place in range(4)] for bit in bits], dtype=bool)
    runs = []
    for first in range(len(hashes)):
        alike = [np.count_nonzero(later != hashes[first]) <= 1 for later in hashes[first:]]
        runs.append(alike.index(False) if False in alike else len(alike))
    assert longest_still_run(hashes) == (runs.index(max(runs)), max(runs))


def test_image_tokens_are_counted_as_the_image_processor_does():
    budget = TokenBudget(min_pixels=1024, max_pixels=262144, factor=32)
    assert budget.image_tokens(512, 512) == 256 + 2
    assert budget.image_tokens(640, 480) == 18 * 13 + 2  # shrunk by sqrt(307200 / 262144) to 576 x 416
    assert budget.image_tokens(10, 10) == 1 + 2
    assert read_token_budget({}) == TokenBudget()
    assert read_token_budget({"image": {"max_pixels": 4096}}).max_pixels == 4096


@pytest.mark.slow
def test_image_tokens_agree_with_the_real_processor():
    rng = np.random.default_rng(0)
    budget = TokenBudget(min_pixels=4096, max_pixels=100_000, factor=32)
    size = {"shortest_edge": budget.min_pixels, "longest_edge": budget.max_pixels}
    processor = SimpleNamespace(patch_size=16, merge_size=2, size=size)
    for width, height in rng.integers(32, 900, (200, 2)).tolist():
        if max(width, height) / min(width, height) < 200:
            sides = resized_shape(processor, height, width)
            assert budget.image_tokens(width, height) == sides[0] * sides[1] // 1024 + 2


def test_a_window_that_the_model_cannot_read(annotation_path):
    window = WindowSpec(8, stride=3)
    budget = TokenBudget(context=4096, min_pixels=262144)
    assert check_files([annotation_path], window=window, budget=budget)[1] == []
    _, (finding,) = check_files([annotation_path], window=WindowSpec(16, stride=3), budget=budget)
    assert finding.level == "error"
    assert "a window of 16 frames of 96x64 costs about" in finding.message and "the limit is 4096" in finding.message


def test_files_that_cannot_be_used_are_errors_with_their_place(annotation_path, tmp_path):
    document = json.loads(annotation_path.read_text())
    document["stages"][1]["end"] = 99
    (tmp_path / "long.json").write_text(json.dumps(document | {"fps": 0}))
    demonstrations, found = check_files([annotation_path, tmp_path / "long.json", tmp_path / "none.json"])
    assert [d.path for d in demonstrations] == [str(annotation_path)]
    assert [(f.level, Path(f.where).name, f.stage, f.field) for f in found] == [
        ("error", "long.json", None, "fps"),
        ("error", "long.json", 2, "end"),
        ("error", "none.json", None, None),
    ]


def test_a_video_that_changed_since_is_an_error(annotation_path):
    video = annotation_path.with_suffix(".mp4")
    video.write_bytes(video.read_bytes() + b"x")
    _, (finding,) = check_files([annotation_path])
    assert (finding.level, finding.field) == ("error", "video")
    assert "is another file than was annotated (40 frames now, 40 annotated)" in finding.message


def test_a_video_that_moved_is_a_warning(annotation_path, tmp_path):
    annotation_path.with_suffix(".mp4").rename(tmp_path / "x.mp4")
    _, (finding,) = check_files([annotation_path])
    assert finding.level == "warning" and "a file with the same content is at" in finding.message


def test_the_bundled_demo_is_clean():
    for recipe in ("nano.yaml", "oneshot.yaml"):
        result = run("--check", DEMO / "demo.json", "--config", f"recipes/{recipe}")
        assert result.stdout == "checked 1 demonstration(s): 0 error(s), 0 warning(s)\n", result.stderr


def test_the_table_wraps_and_names_the_place():
    table = findings_table(
        [
            Finding("warning", "a.json", "word " * 20, 2, "end"),
            Finding("error", "longer.json", "short"),
        ],
        width=80,
    )
    lines = table.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("warning  a.json       stage 2, end  word word")
    assert lines[1].startswith(" " * 36 + "word")
    assert lines[-1].split() == ["error", "longer.json", "-", "short"]


def run(*words) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "dataset", *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_the_command_stops_at_errors_and_speaks_json(annotation_path, tmp_path):
    result = run("--check", "--json", annotation_path, tmp_path / "none.json")
    assert result.returncode == 2
    (row,) = json.loads(result.stdout)
    assert row["level"] == "error" and row["where"].endswith("none.json")
    output = tmp_path / "s.jsonl"
    assert run(tmp_path / "none.json", "--output", output).returncode == 2
    assert not output.exists()
    assert json.loads(run("--check", "--json", annotation_path).stdout) == []
