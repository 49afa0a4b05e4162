import json
from dataclasses import replace

import pytest
from material import make_annotation

from dataset.annotation import Annotation, Stage, read_annotation, write_annotation


def test_written_and_read_back_is_the_same(video, tmp_path):
    annotation = make_annotation(video, 10, 30, reason='the "block" lies in the bin')
    write_annotation(tmp_path / "a.json", annotation)
    assert read_annotation(tmp_path / "a.json") == annotation


def test_measured_progress_survives(video, tmp_path):
    annotation = make_annotation(video, 10, 30, measured_progress=tuple(float(i) for i in range(40)))
    write_annotation(tmp_path / "a.json", annotation)
    assert read_annotation(tmp_path / "a.json").measured_progress == annotation.measured_progress


def test_one_stage_is_one_line(video, tmp_path):
    write_annotation(tmp_path / "a.json", make_annotation(video, 10, 30))
    lines = (tmp_path / "a.json").read_text().splitlines()
    assert sum('"subtask"' in line for line in lines) == 2


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([("a", 0, 20), ("b", 10, 30)], 'stage 2 "b" starts at frame 10, before stage 1 "a" ends at frame 20'),
        ([("a", 0, 10), ("b", 12, 30)], "frames 10 to 11 belong to no stage"),
        ([("a", 5, 10)], "frames 0 to 4 belong to no stage"),
        ([("a", 0, 41)], "ends at frame 41, but the video has 40 frames"),
        ([], "no stage is kept"),
    ],
)
def test_impossible_stages_are_refused(video, stages, message):
    annotation = make_annotation(video, 40)
    with pytest.raises(ValueError, match=message):
        replace(annotation, stages=tuple(Stage(*stage) for stage in stages))


def test_empty_stage_is_refused():
    with pytest.raises(ValueError, match='stage "a" is empty: it starts at frame 5 and ends at frame 5'):
        Stage("a", 5, 5)


def test_stage_without_text_is_refused_unless_excluded():
    with pytest.raises(ValueError, match="has no text"):
        Stage("  ", 0, 5)
    assert Stage("", 0, 5, excluded=True).excluded


def test_all_problems_are_told_at_once(video):
    with pytest.raises(ValueError) as caught:
        replace(make_annotation(video, 40), task=" ", success=False, fps=0.0)
    for part in ("fps is 0.0", "task text is empty", "a failure ends below 100 %"):
        assert part in str(caught.value)


def test_measured_progress_is_one_percentage_per_frame(video):
    with pytest.raises(ValueError, match="2 values for 40 frames"):
        make_annotation(video, 40, measured_progress=(0.0, 50.0))
    with pytest.raises(ValueError, match=r"holds 101\.0"):
        make_annotation(video, 40, measured_progress=(101.0,) * 40)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no valid JSON"),
        ("[]", "holds no JSON object"),
        ('{"version": 7}', "version is 7; this program reads version 1"),
        ('{"version": 1, "stages": []}', "the key 'success' is missing"),
    ],
)
def test_broken_files_are_named(tmp_path, text, message):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"broken\.json") as caught:
        read_annotation(path)
    assert message in str(caught.value)


def test_missing_file_names_the_remedy(tmp_path):
    with pytest.raises(ValueError, match="python -m annotate"):
        read_annotation(tmp_path / "nothing.json")


def test_frames_must_be_whole_numbers(video, tmp_path):
    path = tmp_path / "a.json"
    write_annotation(path, make_annotation(video, 10, 30))
    document = json.loads(path.read_text())
    document["stages"][0]["end"] = 10.5
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"end is 10\.5; it must be a whole number"):
        read_annotation(path)


def test_kept_stages_leave_the_excluded_out():
    annotation = Annotation(
        video="v.mp4", fingerprint="x", num_frames=30, fps=25.0, task="t", success=True,
        stages=(Stage("a", 0, 10), Stage("", 10, 20, excluded=True), Stage("b", 20, 30)),
    )  # fmt: skip
    assert [stage.subtask for stage in annotation.kept_stages] == ["a", "b"]
    assert annotation.last_stage_end == 30
