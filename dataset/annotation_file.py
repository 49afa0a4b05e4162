"""Annotation files: the JSON form of an `Annotation`, read strictly and written with one stage per line.

Knows JSON and the types of its fields (pydantic checks them). Does not know the invariants, which are in `annotation`.
Fields that this version does not know are kept in `extra` and written again: an older program does not lose them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from dataset.annotation import (
    Annotation,
    AnnotationError,
    Camera,
    Problem,
    Stage,
    annotation_problems,
    stage_problems,
)
from dataset.files import write_text_atomically
from dataset.fingerprint import fingerprint_problem

ANNOTATION_VERSION = 1
Built = TypeVar("Built", Annotation, Camera, Stage)
_EXPECTED = {  # by the kind of pydantic's error
    "int_type": "a whole number", "float_type": "a number", "string_type": "text in quotes",
    "bool_type": "true or false", "list_type": "a list", "model_type": "a JSON object",
}  # fmt: skip
_FRAME_FIELDS = ("start", "end", "num_frames")


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class StageRow(_Row):
    """The types of a stage in the file."""

    subtask: str
    start: int
    end: int
    excluded: bool = False
    falls_back_to: int | None = None
    weight: float | None = None


class CameraRow(_Row):
    """The types of a camera in the file."""

    name: str
    video: str
    fingerprint: str


class AnnotationDocument(_Row):
    """The types of the fields in the file; their invariants are in `annotation`."""

    version: Literal[1]
    video: str
    fingerprint: str
    num_frames: int
    fps: float
    task: str
    success: bool
    stages: list[StageRow]
    reason: str | None = None
    final_progress: float | None = None
    measured_progress: list[float] | None = None
    cameras: list[CameraRow] = []
    annotator: str | None = None


def read_annotation(path: str | Path) -> Annotation:
    """Read and validate one annotation file.

    Raises:
        ValueError: The file is missing, is no JSON, is of another version, or breaks an invariant; the message names
            the file, and every wrong value with the remedy (`AnnotationError.problems`).
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"annotation {path}: no such file; make one with `python -m annotate --video ...`") from None
    except UnicodeDecodeError:
        raise ValueError(f"annotation {path}: is no text; name an annotation (JSON), not a video") from None
    except OSError as error:
        raise ValueError(f"annotation {path}: cannot be read ({error})") from None
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"annotation {path}: no valid JSON ({error}); restore the file or annotate again") from None
    try:
        return _from_document(document)
    except AnnotationError as error:
        raise AnnotationError(list(error.problems), source=f"annotation {path}: ") from None


def write_annotation(path: str | Path, annotation: Annotation) -> None:
    """Write an annotation as indented JSON; the file is replaced in one step, never half-written."""
    document: dict[str, Any] = {"version": ANNOTATION_VERSION, "video": annotation.video}
    document["fingerprint"] = annotation.fingerprint
    if annotation.cameras:
        document["cameras"] = [
            {"name": camera.name, "video": camera.video, "fingerprint": camera.fingerprint, **camera.extra}
            for camera in annotation.cameras
        ]
    for key in ("num_frames", "fps", "task"):
        document[key] = getattr(annotation, key)
    if annotation.annotator is not None:
        document["annotator"] = annotation.annotator
    for key in ("success", "reason", "final_progress"):
        document[key] = getattr(annotation, key)
    document["stages"] = [_stage_row(stage) for stage in annotation.stages]
    if annotation.measured_progress is not None:
        document["measured_progress"] = list(annotation.measured_progress)
    write_text_atomically(path, _one_row_per_line(document | dict(annotation.extra)))


def resolve_video(annotation_path: str | Path, annotation: Annotation) -> Path:
    """Return the recorded path of the video, relative to the working directory."""
    return Path(annotation_path).parent / annotation.video


def _stage_row(stage: Stage) -> dict[str, Any]:
    row = {"subtask": stage.subtask, "start": stage.start, "end": stage.end, "excluded": stage.excluded}
    if stage.falls_back_to is not None:
        row["falls_back_to"] = stage.falls_back_to
    if stage.weight is not None:
        row["weight"] = stage.weight
    return row | dict(stage.extra)


def _one_row_per_line(document: dict[str, Any]) -> str:
    """Render JSON with one stage or camera per line: a moved boundary is one line in a diff."""
    lines = []
    for key, value in document.items():
        if key in ("stages", "cameras"):
            rows = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in value)
            lines.append(f'  "{key}": [\n{rows}\n  ]')
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _from_document(document: Any) -> Annotation:
    """Build an annotation from JSON, or raise all of its problems at once: wrong types, then broken invariants."""
    if not isinstance(document, dict):
        raise AnnotationError([Problem("", "the file holds no JSON object")])
    version = document.get("version")
    if version != ANNOTATION_VERSION:
        message = f"version is {version!r}; this program reads version {ANNOTATION_VERSION}"
        raise AnnotationError([Problem("version", message)])
    problems, wrong = _type_problems(document)
    values = {key: value for key, value in document.items() if key != "version" and (key,) not in wrong}
    rows = [_without(wrong, ("stages", place), row) for place, row in enumerate(values.pop("stages", ()))]
    cameras = [_without(wrong, ("cameras", place), row) for place, row in enumerate(values.pop("cameras", ()))]
    for place, row in enumerate(rows):
        problems += stage_problems(f"stages[{place}]", row)
    places = [problem.place for problem in problems]
    if "stages" in document and not any(place.startswith("stages") for place in places):
        values["stages"] = tuple(_build(Stage, row) for row in rows)
    if not any(place.startswith("cameras") for place in places):
        values["cameras"] = tuple(_build(Camera, row) for row in cameras)
    for key in ("fps", "final_progress"):
        if values.get(key) is not None:
            values[key] = float(values[key])
    if values.get("final_progress") is None and "final_progress" not in places and "success" in values:
        if values["success"]:
            values["final_progress"] = 100.0
        else:
            message = "the key 'final_progress' is missing; give the percent that the failure reached, 0 to 99.99"
            problems.append(Problem("final_progress", message))
    if values.get("measured_progress") is not None:
        values["measured_progress"] = tuple(float(value) for value in values["measured_progress"])
    problems += annotation_problems(values) + _fingerprint_problems(values)
    if problems:
        raise AnnotationError(problems)
    return _build(Annotation, values)


def _type_problems(document: dict[str, Any]) -> tuple[list[Problem], set[tuple[int | str, ...]]]:
    """Return what has the wrong type or is missing, and the locations of these fields in the document."""
    try:
        AnnotationDocument.model_validate(document)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_context=False)
    else:
        return [], set()
    problems: dict[str, Problem] = {}
    wrong: set[tuple[int | str, ...]] = set()
    for error in errors:
        location, value = error["loc"], error["input"]
        if location[0] == "measured_progress":
            location = location[:1]
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).removeprefix(".")
        if error["type"] == "missing":
            inside = "".join(f" in {place.rpartition('.')[0]}" for _ in location[1:2])
            message = f"the key '{location[-1]}' is missing{inside}"
        elif len(error["loc"]) > len(location):
            message = f"{place} holds {value!r}; values are numbers"
        else:
            unit = " of frames" if location[-1] in _FRAME_FIELDS else ""
            message = f"{place} is {value!r}; it must be {_EXPECTED.get(error['type'], error['msg'])}{unit}"
        problems.setdefault(place, Problem(place, message))
        wrong.add(location)
    return list(problems.values()), wrong


def _without(wrong: set[tuple[int | str, ...]], location: tuple[int | str, ...], row: Any) -> dict[str, Any]:
    """Return the fields of a row that have the right type."""
    return {} if location in wrong else {key: value for key, value in row.items() if (*location, key) not in wrong}


def _build(kind: type[Built], row: Mapping[str, Any]) -> Built:
    """Build a stage, a camera or an annotation; fields that it does not know go to `extra`."""
    names = {field.name for field in fields(kind)} - {"extra", "plan"}
    values = {key: value for key, value in row.items() if key in names}
    return kind(**values, extra={key: value for key, value in row.items() if key not in names})


def _fingerprint_problems(values: Mapping[str, Any]) -> list[Problem]:
    stored = {"fingerprint": values.get("fingerprint", "")}
    stored |= {f"cameras[{i}].fingerprint": camera.fingerprint for i, camera in enumerate(values.get("cameras", ()))}
    return [Problem(place, message) for place, text in stored.items() if (message := fingerprint_problem(text))]
