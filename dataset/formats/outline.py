"""Outlines: the fields of a demonstration that other labelling tools have, between their files and an annotation.

Knows segments and the fields that a tool may lack; the formats themselves are in `via`, `label_studio` and
`stage_table`. Their segments can have gaps; stages cannot: a gap becomes an excluded stage.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dataset.annotation import DELETE_MARK, Annotation, Stage
from dataset.video import VideoReader


@dataclass(frozen=True)
class Outline:
    """Stages and outcome from the file of a tool; None for what the file does not contain.

    Args:
        stages: Segments in rising order; gaps between them are allowed, overlaps of more than one frame are not.
        task: The instruction.
        success: Whether the goal was reached.
        reason: Why the task counts as done.
        final_progress: Percent reached at the end of the last stage.
        annotator: Who marked it.
    """

    stages: tuple[Stage, ...]
    task: str | None = None
    success: bool | None = None
    reason: str | None = None
    final_progress: float | None = None
    annotator: str | None = None


def outline_of(annotation: Annotation) -> Outline:
    """Return the fields that other tools can hold: all but measured progress, cameras and unknown fields."""
    return Outline(
        annotation.stages,
        annotation.task,
        annotation.success,
        annotation.reason,
        annotation.final_progress,
        annotation.annotator,
    )


def annotation_from_outline(outline: Outline, video: str | Path, annotation_path: str | Path) -> Annotation:
    """Build the annotation of a video from an outline.

    Args:
        outline: With a task, an outcome and, for a failure, what it reached.
        video: The video.
        annotation_path: Where the annotation will be written: the path of the video is recorded relative to it.

    Raises:
        ValueError: A field is missing, segments overlap, or an invariant of annotations is broken.
    """
    missing = [name for name, value in (("task", outline.task), ("outcome", outline.success)) if value is None]
    if outline.success is False and outline.final_progress is None:
        missing.append("final_progress")
    if missing or outline.task is None or outline.success is None:
        flags = " ".join(f"--{name}" for name in missing)
        raise ValueError(f"{video}: the file does not contain {', '.join(missing)}; add {flags}")
    reader = VideoReader(video)
    folder = Path(annotation_path).absolute().parent
    return Annotation(
        video=Path(os.path.relpath(Path(video).absolute(), folder)).as_posix(),
        fingerprint=reader.fingerprint,
        num_frames=len(reader),
        fps=reader.fps,
        task=outline.task,
        stages=contiguous(outline.stages),
        success=outline.success,
        reason=outline.reason or None,
        final_progress=100.0 if outline.final_progress is None or outline.success else outline.final_progress,
        annotator=outline.annotator or None,
    )


def contiguous(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """Fill gaps with excluded stages; a frame that two neighbours share goes to the earlier one.

    Numbers that stages fall back to are moved along with the stages they name.

    Raises:
        ValueError: Two segments overlap by more than one frame.
    """
    filled: list[Stage] = []
    places: dict[int, int] = {}  # number of a segment as given -> its number among the filled stages
    end = 0
    for number, stage in enumerate(stages, start=1):
        start = stage.start
        if start == end - 1 and stage.end > end:
            start = end
        if start < end:
            raise ValueError(
                f'segment {number} "{stage.subtask}" starts at frame {stage.start}, before the previous one ends at '
                f"frame {end}; segments must not overlap: move one of them in the other tool"
            )
        if start > end:
            filled.append(Stage("", end, start, excluded=True))
        back = None if stage.falls_back_to is None else places.get(stage.falls_back_to, stage.falls_back_to)
        if stage.falls_back_to == number:
            back = len(filled) + 1
        filled.append(replace(stage, start=start, falls_back_to=back))
        places[number] = len(filled)
        end = stage.end
    return tuple(filled)


def read_outcome(text: str | None, where: str) -> bool | None:
    """Return whether an outcome in words is a success, in any case; None for none. `where` begins the message."""
    words = " ".join((text or "").lower().replace("_", " ").split())
    if words not in ("", "done", "not done"):
        raise ValueError(f'{where}: "{text}"; write done or not done')
    return None if not words else words == "done"


def read_number(text: str | float | None, where: str) -> float | None:
    """Return a number with a decimal point or comma, with or without %; None for none. `where` begins the message."""
    number = str("" if text is None else text).strip().removesuffix("%").strip().replace(",", ".")
    try:
        return float(number) if number else None
    except ValueError:
        raise ValueError(f'{where}: "{text}"; write a number') from None


def frame_edges(reader: VideoReader) -> np.ndarray:
    """Return when each frame begins and when the last one ends, in seconds; float64, shape (num_frames + 1,)."""
    return np.append(reader.timestamps_sec, reader.timestamps_sec[-1] + 1.0 / reader.fps)


def nearest_edge(edges: np.ndarray, time_sec: float) -> int:
    """Return the number of the frame that begins nearest to a time; `num_frames` for the end of the video.

    Raises:
        ValueError: The time is outside the video by more than a frame.
    """
    frame = (edges[-1] - edges[0]) / (len(edges) - 1)
    if not edges[0] - frame <= time_sec <= edges[-1] + frame:
        raise ValueError(
            f"a segment begins or ends at {time_sec:g} s, and the video lasts from 0 to {edges[-1]:.2f} s; name the "
            "video that was marked, or move the segment in the other tool"
        )
    return int(np.argmin(np.abs(edges - time_sec)))


def marked_text(stage: Stage) -> str:
    """Return a stage's text for a tool without a mark for excluded ones: "/delete", then the text if there is one."""
    return f"{DELETE_MARK} {stage.subtask}".strip() if stage.excluded else stage.subtask


def stage_from_marked(text: str, start: int, end: int, falls_back_to: int | None = None) -> Stage:
    """Return the stage that `marked_text` describes."""
    excluded = text.strip() == DELETE_MARK or text.startswith(DELETE_MARK + " ")
    return Stage(text.removeprefix(DELETE_MARK).lstrip() if excluded else text, start, end, excluded, falls_back_to)
