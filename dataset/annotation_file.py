"""Annotation files: the JSON form of an `Annotation`, read strictly and written so that it diffs well.

Knows JSON; the types and their invariants are in `annotation`. Fields that this version does not know are kept in
`extra` and written again, so that a file survives a program that is older than it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
_REQUIRED = object()
_WHOLE, _NUMBER, _TEXT, _BOOL, _LIST = "a whole number", "a number", "text in quotes", "true or false", "a list"
_STAGE_FIELDS = {
    "subtask": (_TEXT, _REQUIRED),
    "start": (_WHOLE, _REQUIRED),
    "end": (_WHOLE, _REQUIRED),
    "excluded": (_BOOL, False),
    "falls_back_to": (_WHOLE, None),
}
_CAMERA_FIELDS = {"name": (_TEXT, _REQUIRED), "video": (_TEXT, _REQUIRED), "fingerprint": (_TEXT, _REQUIRED)}
_FIELDS = {
    "video": (_TEXT, _REQUIRED),
    "fingerprint": (_TEXT, _REQUIRED),
    "num_frames": (_WHOLE, _REQUIRED),
    "fps": (_NUMBER, _REQUIRED),
    "task": (_TEXT, _REQUIRED),
    "stages": (_LIST, _REQUIRED),
    "success": (_BOOL, _REQUIRED),
    "reason": (_TEXT, None),
    "final_progress": (_NUMBER, None),
    "measured_progress": (_LIST, None),
    "cameras": (_LIST, ()),
    "annotator": (_TEXT, None),
}


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
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"annotation {path}: cannot be read ({error})") from None
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"annotation {path}: no valid JSON ({error}); was the file cut off?") from None
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
    """Return the recorded path of the video, seen from the working directory."""
    return Path(annotation_path).parent / annotation.video


def _stage_row(stage: Stage) -> dict[str, Any]:
    row = {"subtask": stage.subtask, "start": stage.start, "end": stage.end, "excluded": stage.excluded}
    if stage.falls_back_to is not None:
        row["falls_back_to"] = stage.falls_back_to
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
    """Build an annotation from JSON, or raise all of its problems at once."""
    if not isinstance(document, dict):
        raise AnnotationError([Problem("", "the file holds no JSON object")])
    version = document.get("version")
    if version != ANNOTATION_VERSION:
        message = f"version is {version!r}; this program reads version {ANNOTATION_VERSION}"
        raise AnnotationError([Problem("version", message)])
    problems: list[Problem] = []
    values = _typed_fields(document, _FIELDS, "", problems)
    values["extra"] = {key: value for key, value in document.items() if key not in _FIELDS and key != "version"}
    for key, build in (("stages", _stages), ("cameras", _cameras)):
        if key in values:
            rows = build(values.pop(key), problems)
            if rows is not None:
                values[key] = rows
    if values.get("final_progress") is None and "success" in values:
        if values["success"]:
            values["final_progress"] = 100.0
        else:
            message = "the key 'final_progress' is missing; a failure states what it reached, 0 to 99.99"
            problems.append(Problem("final_progress", message))
    measured = values.get("measured_progress")
    if measured is not None:
        wrong = next((value for value in measured if not _is(value, _NUMBER)), None)
        if wrong is not None:
            problems.append(Problem("measured_progress", f"measured_progress holds {wrong!r}; values are numbers"))
            del values["measured_progress"]
        else:
            values["measured_progress"] = tuple(float(value) for value in measured)
    problems += annotation_problems(values) + _fingerprint_problems(values)
    if problems:
        raise AnnotationError(problems)
    return Annotation(**values)


def _fingerprint_problems(values: Mapping[str, Any]) -> list[Problem]:
    stored = {"fingerprint": values.get("fingerprint", "")}
    stored |= {f"cameras[{i}].fingerprint": camera.fingerprint for i, camera in enumerate(values.get("cameras", ()))}
    return [Problem(place, message) for place, text in stored.items() if (message := fingerprint_problem(text))]


def _stages(rows: list[Any], problems: list[Problem]) -> tuple[Stage, ...] | None:
    """Build the stages; None, with the reasons in `problems`, when one of them cannot be built."""
    before, typed = len(problems), []
    for place, row in enumerate(rows):
        values = _typed_fields(row, _STAGE_FIELDS, f"stages[{place}]", problems)
        problems += stage_problems(f"stages[{place}]", values)
        typed.append(values | {"extra": _unknown(row, _STAGE_FIELDS)})
    return tuple(Stage(**values) for values in typed) if len(problems) == before else None


def _cameras(rows: list[Any], problems: list[Problem]) -> tuple[Camera, ...] | None:
    before, typed = len(problems), []
    for place, row in enumerate(rows):
        values = _typed_fields(row, _CAMERA_FIELDS, f"cameras[{place}]", problems)
        typed.append(values | {"extra": _unknown(row, _CAMERA_FIELDS)})
    return tuple(Camera(**values) for values in typed) if len(problems) == before else None


def _typed_fields(
    row: Any, fields: Mapping[str, tuple[str, Any]], place: str, problems: list[Problem]
) -> dict[str, Any]:
    """Return the fields that have the right type, defaults filled in; the others go to `problems`."""
    if not isinstance(row, dict):
        problems.append(Problem(place, f"{place} is {row!r}; it must be a JSON object"))
        return {}
    values = {}
    for key, (kind, default) in fields.items():
        full = f"{place}.{key}" if place else key
        if key not in row or (row[key] is None and default is None):
            if default is _REQUIRED:
                where = f"the key '{key}' is missing" + (f" in {place}" if place else "")
                problems.append(Problem(full, where))
            else:
                values[key] = default
        elif not _is(row[key], kind):
            unit = " of frames" if key in ("start", "end", "num_frames") else ""
            problems.append(Problem(full, f"{full} is {row[key]!r}; it must be {kind}{unit}"))
        else:
            values[key] = float(row[key]) if kind == _NUMBER else row[key]
    return values


def _unknown(row: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in fields} if isinstance(row, dict) else {}


def _is(value: Any, kind: str) -> bool:
    if kind == _WHOLE:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == _NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    return isinstance(value, {_TEXT: str, _BOOL: bool, _LIST: list}[kind])
