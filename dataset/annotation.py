"""Annotations: the one artefact a person makes, as frozen types, with their validation and their JSON form.

Knows frame numbers, stage texts and the outcome of one demonstration. Does not know pixels (see `video`), label
curves (see `progress`) or the wording of prompts (see `prompts`).
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANNOTATION_VERSION = 1


@dataclass(frozen=True)
class Stage:
    """One contiguous sub-task of a demonstration.

    Args:
        subtask: What is done, as it shall appear in the model's list of remaining actions; not blank.
        start: First frame, 0-based.
        end: Frame after the last one (half-open); `end > start`.
        excluded: The segment is left out: no samples, no weight, and no window may span it.
    """

    subtask: str
    start: int
    end: int
    excluded: bool = False

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(
                f'stage "{self.subtask}" is empty: it starts at frame {self.start} and ends at frame {self.end} '
                "(the end is the frame after its last one); give it at least one frame"
            )
        if not self.excluded and not self.subtask.strip():
            raise ValueError(f"the stage of frames {self.start} to {self.end - 1} has no text; describe the sub-task")


@dataclass(frozen=True)
class Annotation:
    """The stages and the outcome of one recorded demonstration.

    Invariants: stages are ordered, contiguous from frame 0 and inside the video; at least one is not excluded; frames
    after the last stage show the final state ("done" when `success`, else "not done").

    Args:
        video: Path of the video; relative paths are relative to the annotation file.
        fingerprint: `dataset.video.fingerprint` of that file, so that another file of the same name is noticed.
        num_frames: Frames of the video.
        fps: Mean frames per second, > 0.
        task: The instruction the robot follows.
        stages: See `Stage`.
        success: Whether the demonstration reaches its goal.
        reason: Why it counts as done, shown to the model in its answer; optional.
        final_progress: Percent reached at the end of the last stage: 100 for a success, less for a failure.
        measured_progress: Percent per frame, shape (num_frames,), where a simulator or a sensor measured it; it
            then takes the place of a curve interpolated between stage ends.
    """

    video: str
    fingerprint: str
    num_frames: int
    fps: float
    task: str
    stages: tuple[Stage, ...]
    success: bool
    reason: str | None = None
    final_progress: float = 100.0
    measured_progress: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        problems = _problems(self)
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def kept_stages(self) -> tuple[Stage, ...]:
        """The stages that are not excluded, in order."""
        return tuple(stage for stage in self.stages if not stage.excluded)

    @property
    def last_stage_end(self) -> int:
        """First frame after the last stage: where the final state begins."""
        return self.stages[-1].end


def _problems(annotation: Annotation) -> list[str]:
    """Return everything that is wrong, one sentence each with the value and the remedy; empty when all is well."""
    problems = []
    if annotation.num_frames < 1:
        problems.append(f"num_frames is {annotation.num_frames}; a video has at least one frame")
    if not (annotation.fps > 0 and math.isfinite(annotation.fps)):
        problems.append(f"fps is {annotation.fps}; it must be a positive number")
    if not annotation.task.strip():
        problems.append("the task text is empty; say what the robot shall do")
    if not annotation.kept_stages:
        problems.append("no stage is kept; mark at least one stage that is not excluded")
    previous_end, previous_name = 0, None
    for number, stage in enumerate(annotation.stages, start=1):
        name = f'stage {number} "{stage.subtask}"'
        if stage.start < previous_end:
            before = f"{previous_name} ends at frame {previous_end}" if previous_name else "the first frame, 0"
            problems.append(f"{name} starts at frame {stage.start}, before {before}; stages must not overlap")
        elif stage.start > previous_end:
            problems.append(
                f"{name} starts at frame {stage.start}, but frames {previous_end} to {stage.start - 1} belong to no "
                "stage; stages must be contiguous from frame 0 (mark a segment excluded to leave it out)"
            )
        if stage.end > annotation.num_frames:
            problems.append(
                f"{name} ends at frame {stage.end}, but the video has {annotation.num_frames} frames; "
                f"its end must be at most {annotation.num_frames}"
            )
        previous_end, previous_name = stage.end, name
    if annotation.success and annotation.final_progress != 100.0:
        problems.append(f"a success ends at 100 %, but final_progress is {annotation.final_progress}")
    if not annotation.success and not 0.0 <= annotation.final_progress < 100.0:
        problems.append(
            f"a failure ends below 100 %, but final_progress is {annotation.final_progress}; use 0 to 99.99"
        )
    if annotation.measured_progress is not None:
        measured = annotation.measured_progress
        if len(measured) != annotation.num_frames:
            problems.append(
                f"measured_progress has {len(measured)} values for {annotation.num_frames} frames; give one per frame"
            )
        outside = [value for value in measured if not 0.0 <= value <= 100.0]
        if outside:
            problems.append(f"measured_progress holds {outside[0]}; values are percent, 0 to 100")
    return problems


def read_annotation(path: str | Path) -> Annotation:
    """Read and validate one annotation file.

    Raises:
        ValueError: The file is missing, is no JSON, is of another version, or breaks an invariant; the message names
            the file, the value and the remedy.
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
    except ValueError as error:
        raise ValueError(f"annotation {path}: {error}") from None


def write_annotation(path: str | Path, annotation: Annotation) -> None:
    """Write an annotation as indented JSON; the file is replaced in one step, never half-written."""
    document: dict[str, Any] = {
        "version": ANNOTATION_VERSION,
        "video": annotation.video,
        "fingerprint": annotation.fingerprint,
        "num_frames": annotation.num_frames,
        "fps": annotation.fps,
        "task": annotation.task,
        "success": annotation.success,
        "reason": annotation.reason,
        "final_progress": annotation.final_progress,
        "stages": [
            {"subtask": stage.subtask, "start": stage.start, "end": stage.end, "excluded": stage.excluded}
            for stage in annotation.stages
        ],
    }
    if annotation.measured_progress is not None:
        document["measured_progress"] = list(annotation.measured_progress)
    write_text_atomically(path, _one_row_per_stage(document))


def write_text_atomically(path: str | Path, text: str) -> None:
    """Write `text` beside `path` and rename: readers see the old file or the new one, whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def resolve_video(annotation_path: str | Path, annotation: Annotation) -> Path:
    """Return the video's path, seen from the working directory."""
    return Path(annotation_path).parent / annotation.video


def _from_document(document: Any) -> Annotation:
    if not isinstance(document, dict):
        raise ValueError("the file holds no JSON object")
    if document.get("version") != ANNOTATION_VERSION:
        raise ValueError(f"version is {document.get('version')!r}; this program reads version {ANNOTATION_VERSION}")
    measured = document.get("measured_progress")
    try:
        stages = tuple(
            Stage(str(row["subtask"]), _integer(row, "start"), _integer(row, "end"), bool(row.get("excluded", False)))
            for row in document["stages"]
        )
        if not isinstance(document["success"], bool):
            raise ValueError(f"success is {document['success']!r}; use true or false")
        return Annotation(
            video=str(document["video"]),
            fingerprint=str(document["fingerprint"]),
            num_frames=_integer(document, "num_frames"),
            fps=float(document["fps"]),
            task=str(document["task"]),
            stages=stages,
            success=document["success"],
            reason=document.get("reason"),
            final_progress=float(document.get("final_progress", 100.0 if document["success"] else math.nan)),
            measured_progress=None if measured is None else tuple(float(value) for value in measured),
        )
    except KeyError as error:
        raise ValueError(f"the key {error} is missing") from None
    except TypeError as error:
        raise ValueError(f"a value has the wrong type ({error})") from None


def _integer(row: dict[str, Any], key: str) -> int:
    value = row[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{key} is {value!r}; it must be a whole number of frames")
    return value


def _one_row_per_stage(document: dict[str, Any]) -> str:
    """Render JSON with one stage per line: a moved boundary is one line in a diff."""
    lines = []
    for key, value in document.items():
        if key == "stages":
            rows = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in value)
            lines.append(f'  "stages": [\n{rows}\n  ]')
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
