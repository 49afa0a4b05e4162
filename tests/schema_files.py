"""Write docs/schemas/*.schema.json from the types of the files: python tests/schema_files.py

A test compares the files with what this program makes. Types and descriptions come from the classes and their
docstrings; the limits of values, which types cannot hold, are listed here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from material import ROOT
from pydantic import ConfigDict, TypeAdapter, with_config
from recipe_reference import described

from dataset.annotation import Annotation, Camera, Stage
from dataset.annotation_file import AnnotationDocument, CameraRow, StageRow
from dataset.sample_file import VqaSample
from dataset.window import WindowSpec
from infer.model.adapter_folder import ProgressConfig
from infer.records import Prediction

if sys.version_info < (3, 12):  # pydantic needs the newer form there
    from typing_extensions import TypedDict

FOLDER = ROOT / "docs" / "schemas"
CLOSED = ConfigDict(extra="forbid")
COUNT = {"minimum": 0}
PERCENT = {"minimum": 0, "maximum": 100}
WRITTEN = {"pattern": "\\S"}
FINGERPRINT = {"pattern": "^v2:[0-9]+:[0-9a-f]{32}$"}
WINDOW = {"minItems": 1, "items": {"type": "integer", **COUNT}}
DIRECTIONS = ["forward", "single", "reversed", "held", "rewind", "speed", "wrong_task"]


@with_config(CLOSED)
class DemonstrationRow(TypedDict):
    """A demonstration that samples were made from."""

    annotation: str
    video: str
    fingerprint: str
    task: str


@with_config(CLOSED)
class SamplesMeta(TypedDict):
    """`NAME.jsonl.meta.json` beside a file of samples: what training must know about them."""

    prompt_version: int
    window: WindowSpec
    num_samples: int
    demonstrations: list[DemonstrationRow]


Turn = TypedDict("Turn", {"from": Literal["human", "gpt"], "value": str})


class Conversation(TypedDict):
    """One line of `conversations.jsonl` (`python -m dataset --export`), the form that ProcVLM's trainer and
    `infer.batch_chat` read. Paths of pictures are relative to the folder."""

    image: list[str]
    conversations: list[Turn]


@with_config(CLOSED)
class Record(TypedDict):
    """One line of a predictions file (JSONL, `python -m infer --output_path`)."""

    video_path: str
    task: str
    sample_index: int


LIMITS: dict[type, dict[str, dict[str, Any]]] = {
    AnnotationDocument: {
        "fingerprint": FINGERPRINT,
        "num_frames": {"minimum": 1},
        "fps": {"exclusiveMinimum": 0},
        "task": WRITTEN,
        "stages": {"minItems": 1},
        "final_progress": PERCENT,
        "measured_progress": {"type": ["array", "null"], "items": {"type": "number", **PERCENT}},
    },
    StageRow: {
        "start": COUNT,
        "end": {"minimum": 1},
        "falls_back_to": {"minimum": 1},
        "weight": {"exclusiveMinimum": 0},
    },
    CameraRow: {"name": {**WRITTEN, "not": {"const": "main"}}, "fingerprint": FINGERPRINT},
    VqaSample: {
        "frame_index": COUNT, "window_frame_indices": WINDOW, "progress": PERCENT, "direction": {"enum": DIRECTIONS},
    },
    Record: {"sample_index": {**COUNT, "description": "Counts the rows of one video from 0."}},
    Prediction: {
        "frame_index": COUNT, "timestamp_sec": COUNT, "window_frame_indices": WINDOW, "progress": PERCENT,
        "parsed_progress": PERCENT, "progress_std": COUNT, "progress_mass": {"minimum": 0, "maximum": 1},
    },
    ProgressConfig: {"min_pixels": {"minimum": 1}, "max_pixels": {"minimum": 1}},
    WindowSpec: {
        "size": {"minimum": 1},
        "stride": {"type": "number", "exclusiveMinimum": 0},
        "rate_hz": {"type": "number", "exclusiveMinimum": 0},
    },
    SamplesMeta: {"num_samples": COUNT},
    DemonstrationRow: {"fingerprint": FINGERPRINT},
    Conversation: {"image": {"minItems": 1}, "conversations": {"minItems": 1}},
}  # fmt: skip
DOCUMENTED_BY = {AnnotationDocument: Annotation, StageRow: Stage, CameraRow: Camera}
SUCCESS_OR_FAILURE = {
    "if": {"properties": {"success": {"const": False}}},
    "then": {
        "required": ["final_progress"],
        "properties": {"final_progress": {"type": "number", "minimum": 0, "exclusiveMaximum": 100}},
    },
    "else": {"properties": {"final_progress": {"enum": [None, 100]}}},
}
TEXT_UNLESS_EXCLUDED = {
    "if": {"not": {"properties": {"excluded": {"const": True}}, "required": ["excluded"]}},
    "then": {"properties": {"subtask": WRITTEN}},
}


def make_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by the name of their file."""
    annotation = _schema(AnnotationDocument, "validation") | SUCCESS_OR_FAILURE
    annotation["$defs"]["StageRow"] |= TEXT_UNLESS_EXCLUDED
    annotation["description"] = (
        "The stages and the outcome of one recorded demonstration, written by `python -m annotate`. Frames count from "
        "0. Unknown fields are kept. `python -m dataset FILE --check` checks what no schema can express: stages are in "
        "order, contiguous from frame 0 and inside the video."
    )
    prediction, record = _schema(Prediction), _schema(Record)
    prediction["description"] = f"{record['description']} {prediction['description']}"
    prediction["properties"] = record["properties"] | prediction["properties"]
    prediction["required"] = record["required"] + prediction["required"]
    schemas = {
        "annotation": annotation,
        "sample": _schema(VqaSample),
        "samples_meta": _schema(SamplesMeta),
        "conversation": _schema(Conversation),
        "prediction": prediction,
        "progress_config": _schema(ProgressConfig),
    }
    for schema in schemas.values():
        for definition in (schema, *schema.get("$defs", {}).values()):
            if {"stride", "rate_hz"} <= definition["properties"].keys():  # a window: exactly one of the two is written
                definition["required"] = ["size", "padding"]
                definition["oneOf"] = [{"required": ["stride"]}, {"required": ["rate_hz"]}]
    return schemas


def render(schema: Mapping[str, Any]) -> str:
    """Return the text of a schema file."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _schema(kind: type, mode: Literal["validation", "serialization"] = "serialization") -> dict[str, Any]:
    """Return the schema of a type, with the limits, and the descriptions of its docstring."""
    schema = TypeAdapter(kind).json_schema(mode=mode)
    definitions = {kind.__name__: schema, **schema.get("$defs", {})}
    for cls, limits in LIMITS.items():
        if cls.__name__ not in definitions:
            continue
        definition = definitions[cls.__name__]
        definition["description"] = " ".join((cls.__doc__ or "").split("\n\n")[0].split())
        if cls not in DOCUMENTED_BY:
            definition["additionalProperties"] = cls is Conversation
            definition["required"] = list(definition["properties"])  # the writers write defaults, too
        source = DOCUMENTED_BY.get(cls, cls)
        texts = described(source) if "Args:" in (source.__doc__ or "") else {}
        for name, field in definition["properties"].items():
            field.pop("title", None)
            field.pop("default", None)
            if "type" in limits.get(name, {}):
                field.pop("anyOf", None)
            if name in texts:
                field["description"] = texts[name]
            field |= limits.get(name, {})
    return schema


if __name__ == "__main__":
    for name, schema in make_schemas().items():
        (FOLDER / f"{name}.schema.json").write_text(render(schema), encoding="utf-8")
        print(f"wrote docs/schemas/{name}.schema.json")
