"""The JSON Schema files in docs/schemas describe what the writers write, and refuse what the readers refuse."""

import json
from dataclasses import asdict, fields

import pytest
import schema_files
from jsonschema import Draft202012Validator
from material import DEMO, ROOT, TASK, make_annotation

from dataset.annotation import Annotation, Camera, Stage
from dataset.annotation_file import read_annotation, write_annotation
from dataset.demonstration import read_demonstration
from dataset.formats.conversations import write_conversations
from dataset.sample_file import VqaSample, to_dataset, write_samples
from dataset.samples import SamplingSpec, build_samples
from dataset.window import WindowSpec
from infer.model.adapter_folder import ProgressConfig
from infer.records import Prediction, make_record

SCHEMAS = ROOT / "docs" / "schemas"
WINDOWS = [WindowSpec(8, rate_hz=6.25), WindowSpec(4, stride=2, padding="short")]
EVERY_KIND = SamplingSpec(
    every=5, single_frame_share=1, reversed_share=1, held_share=1, rewind_share=1, speed_share=1, wrong_task_share=1,
    wrong_tasks=("Open the drawer",),
)  # fmt: skip


def schema(name: str) -> Draft202012Validator:
    document = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def read_lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def full(video) -> Annotation:
    """An annotation that uses every field."""
    made = make_annotation(video, 10, 30)
    return Annotation(
        video=made.video, fingerprint=made.fingerprint, num_frames=made.num_frames, fps=made.fps, task=TASK,
        stages=(
            Stage("reach", 0, 10, extra={"colour": "red"}), Stage("", 10, 12, excluded=True),
            Stage("lift", 12, 20, falls_back_to=1), Stage("reach", 20, 25), Stage("lift", 25, 30),
        ),
        success=False, reason="it slips", final_progress=40.0, measured_progress=tuple([1.5] * made.num_frames),
        cameras=(Camera("wrist", "wrist.mp4", made.fingerprint),), annotator="anna", extra={"robot": "arm 3"},
    )  # fmt: skip


def test_the_files_are_what_the_program_makes():
    schemas = schema_files.make_schemas()
    assert {f"{name}.schema.json" for name in schemas} == {path.name for path in SCHEMAS.glob("*.json")}
    for name, document in schemas.items():
        text = (SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")
        assert text == schema_files.render(document), "run python tests/schema_files.py"


def test_annotations(full, tmp_path):
    paths = [*DEMO.rglob("*.json"), tmp_path / "full.json"]
    write_annotation(tmp_path / "full.json", full)
    assert len(paths) > 5
    for path in paths:
        schema("annotation").validate(json.loads(path.read_text(encoding="utf-8")))


def test_every_field_of_an_annotation_is_described():
    described = json.loads((SCHEMAS / "annotation.schema.json").read_text(encoding="utf-8"))
    for cls, known in (
        (Annotation, described["properties"]),
        (Stage, described["$defs"]["StageRow"]["properties"]),
        (Camera, described["$defs"]["CameraRow"]["properties"]),
    ):
        assert {field.name for field in fields(cls)} - {"extra", "plan"} == set(known) - {"version"}


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"fps": 0},
        {"fps": "25"},
        {"task": " "},
        {"num_frames": 0},
        {"num_frames": 40.5},
        {"success": "yes"},
        {"success": True, "final_progress": 40.0},
        {"success": False, "final_progress": None},
        {"success": False, "final_progress": 100.0},
        {"stages": []},
        {"stages": [{"subtask": "reach", "start": 0}]},
        {"stages": [{"subtask": " ", "start": 0, "end": 3}]},
        {"stages": [{"subtask": "reach", "start": 0.5, "end": 3}]},
        {"cameras": [{"name": "wrist"}]},
        {"cameras": [{"name": "main", "video": "a.mp4", "fingerprint": "v2:1:" + "0" * 32}]},
        {"measured_progress": [101.0] * 40},
    ],
)
def test_what_the_schema_of_annotations_refuses_the_reader_refuses_too(full, tmp_path, change):
    path = tmp_path / "a.json"
    write_annotation(path, full)
    document = json.loads(path.read_text(encoding="utf-8")) | change
    assert not schema("annotation").is_valid(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ValueError):
        read_annotation(path)


@pytest.mark.parametrize("window", WINDOWS, ids=["rate", "stride"])
def test_samples_and_conversations(annotation_path, tmp_path, window):
    demonstration = read_demonstration(annotation_path)
    samples = build_samples(demonstration, window, EVERY_KIND)
    write_samples(tmp_path / "samples.jsonl", to_dataset(samples), window, [demonstration])
    rows = read_lines(tmp_path / "samples.jsonl")
    for row in rows:
        schema("sample").validate(row)
    described = schema("sample").schema["properties"]
    assert set(described) == {field.name for field in fields(VqaSample)}
    assert {row["direction"] for row in rows} == set(described["direction"]["enum"])
    schema("samples_meta").validate(json.loads((tmp_path / "samples.jsonl.meta.json").read_text(encoding="utf-8")))
    write_conversations(tmp_path / "export", samples[:6])
    for row in read_lines(tmp_path / "export" / "conversations.jsonl"):
        schema("conversation").validate(row)


def test_predictions():
    prediction = Prediction(3, 0.12, (0, 3), None, "", "no tag", None, None)
    row = make_record("v.mp4", TASK, 0, prediction)
    assert set(row) == set(schema("prediction").schema["required"])
    assert set(asdict(prediction)) <= set(schema("prediction").schema["properties"])
    schema("prediction").validate(row)
    schema("prediction").validate({**row, "progress": 41.5, "parsed_progress": 41.5, "progress_source": "model"})
    for wrong in ({"progress": 101}, {"progress_source": "guess"}, {"window_frame_indices": []}, {"extra": 1}):
        assert not schema("prediction").is_valid({**row, **wrong})


@pytest.mark.parametrize("window", WINDOWS, ids=["rate", "stride"])
def test_progress_config(tmp_path, window):
    ProgressConfig(window, None, 262144, (TASK,), 1).save(tmp_path)
    schema("progress_config").validate(json.loads((tmp_path / "progress_config.json").read_text(encoding="utf-8")))
