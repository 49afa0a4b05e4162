import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import DEMO, make_annotation

from dataset.annotation import Annotation, AnnotationError, Camera, Stage
from dataset.annotation_file import read_annotation, write_annotation
from dataset.task_plan import with_plan


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


def test_all_problems_are_reported_at_once(video):
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


def test_cameras_annotator_and_fall_backs_survive(video, tmp_path):
    annotation = replace(
        make_annotation(video, 10, 20, 30),
        cameras=(Camera("wrist", "wrist.mp4", "v2:1:ab"), Camera("side", "../side.mp4", "v2:2:cd")),
        annotator="alice",
    )
    stages = (annotation.stages[0], replace(annotation.stages[1], falls_back_to=1), annotation.stages[2])
    annotation = replace(annotation, stages=stages)
    write_annotation(tmp_path / "a.json", annotation)
    assert read_annotation(tmp_path / "a.json") == annotation


def test_weights_survive_and_nothing_of_a_plan_is_written(video, tmp_path):
    path, success = tmp_path / "a.json", make_annotation(video, 10, 30)
    stages = (replace(success.stages[0], weight=2.5), success.stages[1])
    failure = with_plan(replace(success, stages=stages, success=False, final_progress=50.0), [success])
    assert failure.plan is not None
    write_annotation(path, failure)
    assert read_annotation(path) == failure
    assert read_annotation(path).plan is None
    document = json.loads(path.read_text())
    assert "plan" not in document and [stage.get("weight") for stage in document["stages"]] == [2.5, None]
    document["stages"][1]["weight"] = -1
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"has the weight -1; it must be a positive number") as caught:
        read_annotation(path)
    assert caught.value.problems[0].place == "stages[1].weight"


def test_fields_of_a_later_version_are_kept_when_it_is_written_again(video, tmp_path):
    path, again = tmp_path / "a.json", tmp_path / "b.json"
    write_annotation(path, replace(make_annotation(video, 10, 30), cameras=(Camera("wrist", "w.mp4", "x"),)))
    document = json.loads(path.read_text())
    document |= {"robot": {"arm": "left"}, "rating": 4}
    document["stages"][1]["colour"] = "red"
    document["cameras"][0]["lens_mm"] = 4.5
    path.write_text(json.dumps(document))
    annotation = read_annotation(path)
    write_annotation(again, replace(annotation, task="another"))
    assert json.loads(again.read_text()) == document | {"task": "another"}


def test_rewriting_changes_no_byte(tmp_path):
    for path in (DEMO / "demo.json", *sorted((DEMO / "held_out").glob("*.json"))):
        write_annotation(tmp_path / "again.json", read_annotation(path))
        assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_a_moved_boundary_is_a_diff_of_two_lines(video, tmp_path):
    annotation = make_annotation(video, 10, 20, 30)
    write_annotation(tmp_path / "a.json", annotation)
    moved = (replace(annotation.stages[0], end=12), replace(annotation.stages[1], start=12), annotation.stages[2])
    write_annotation(tmp_path / "b.json", replace(annotation, stages=moved))
    before, after = ((tmp_path / name).read_text().splitlines() for name in ("a.json", "b.json"))
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 2


def test_every_problem_of_a_file_is_reported_with_its_place(video, tmp_path):
    path = tmp_path / "a.json"
    write_annotation(path, make_annotation(video, 10, 20, 30))
    document = json.loads(path.read_text())
    document |= {"fps": "fast", "task": "", "success": "yes", "num_frames": 40.0, "cameras": [{"name": "wrist"}]}
    document["stages"][0]["end"] = None
    document["stages"][1] |= {"start": 30, "subtask": "lift"}
    document["stages"][2] = 7
    del document["fingerprint"]
    path.write_text(json.dumps(document))
    with pytest.raises(AnnotationError, match=r"annotation .*a\.json: ") as caught:
        read_annotation(path)
    problems = {problem.place: problem.message for problem in caught.value.problems}
    assert problems == {
        "fingerprint": "the key 'fingerprint' is missing",
        "num_frames": "num_frames is 40.0; it must be a whole number of frames",
        "fps": "fps is 'fast'; it must be a number",
        "task": "the task text is empty; write what the robot does",
        "success": "success is 'yes'; it must be true or false",
        "stages[0].end": "stages[0].end is None; it must be a whole number of frames",
        "stages[1].end": 'stage "lift" is empty: it starts at frame 30 and ends at frame 20 (the end is the frame '
        "after its last one); give it at least one frame",
        "stages[2]": "stages[2] is 7; it must be a JSON object",
        "cameras[0].video": "the key 'video' is missing in cameras[0]",
        "cameras[0].fingerprint": "the key 'fingerprint' is missing in cameras[0]",
    }


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ({2: 3}, 'stage 2 "step 2" falls back to stage 3; name a stage from 1 to 2'),
        ({2: 0}, "falls back to stage 0; name a stage from 1 to 2"),
        ({3: 2}, 'stage 3 "step 3" fails .* and no stage follows, but the demonstration is a success'),
    ],
)
def test_impossible_fall_backs_are_refused(video, marks, message):
    annotation = make_annotation(video, 10, 20, 30)
    stages = [replace(stage, falls_back_to=marks.get(place)) for place, stage in enumerate(annotation.stages, start=1)]
    with pytest.raises(AnnotationError, match=message):
        replace(annotation, stages=tuple(stages))


def test_fall_backs_name_kept_stages(video):
    annotation = make_annotation(video, 10, 20, 30)
    first, second, third = annotation.stages
    with pytest.raises(AnnotationError, match="stage 1, which is excluded"):
        replace(annotation, stages=(replace(first, excluded=True), replace(second, falls_back_to=1), third))
    with pytest.raises(AnnotationError, match="is excluded and falls back"):
        replace(annotation, stages=(first, replace(second, excluded=True, falls_back_to=1), third))


def test_camera_names_are_distinct(video):
    for names in (("main",), ("wrist", "wrist"), (" ",)):
        with pytest.raises(AnnotationError, match="is empty or used twice"):
            make_annotation(video, 40, cameras=tuple(Camera(name, "w.mp4", "x") for name in names))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 50) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(
    key=st.sampled_from(["num_frames", "fps", "task", "stages", "success", "reason", "final_progress", "cameras"]),
    inside=st.sampled_from([None, "subtask", "start", "end", "excluded", "falls_back_to"]),
    value=JSON,
)
def test_any_content_is_read_or_refused_with_problems(tmp_path_factory, key, inside, value):
    document = json.loads((DEMO / "demo.json").read_text())
    if inside is None:
        document[key] = value
    else:
        document["stages"][1][inside] = value
    path = tmp_path_factory.mktemp("fuzz") / "a.json"
    path.write_text(json.dumps(document))
    try:
        annotation = read_annotation(path)
    except AnnotationError as error:
        assert error.problems
    else:
        write_annotation(path, annotation)
        assert read_annotation(path) == annotation
