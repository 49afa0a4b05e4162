"""Label Studio tasks: JSON of its video timeline labels, frames counted from 1, ranges with their last frame.

Label Studio counts frames at the `frameRate` of its labelling configuration, 24 per second unless it is set, whatever
the rate of the video, and an export does not hold that rate. Knows that format; `outline` connects it with annotations.
Task and outcome are text areas, a choice and a number of the same annotation.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote

import numpy as np

from dataset.formats.outline import Outline, marked_text, nearest_edge, read_number, read_outcome, stage_from_marked

DEFAULT_RATE = 24  # Label Studio's, where its labelling configuration has no frameRate
SAME_RATE = 1e-3  # relative
_FALLS_BACK = re.compile(r"falls back to (\d+)")


def to_label_studio(outline: Outline, video: str, fps: float) -> list[dict[str, Any]]:
    """Return the list of one task, as Label Studio imports it; its labelling configuration needs the same names.

    Args:
        outline: What to write.
        video: Name of the video.
        fps: Its frames per second; written as `data.fps`, for `frameRate="$fps"` in the labelling configuration.
    """
    results = []
    for place, stage in enumerate(outline.stages, start=1):
        value = {"ranges": [{"start": stage.start + 1, "end": stage.end}], "timelinelabels": [marked_text(stage)]}
        row = _result(f"stage{place:03d}", "stages", "timelinelabels", value)
        if stage.falls_back_to is not None:
            row["meta"] = {"text": [f"falls back to {stage.falls_back_to}"]}
        results.append(row)
    for name in ("task", "reason", "annotator"):
        if getattr(outline, name) is not None:
            results.append(_result(name, name, "textarea", {"text": [getattr(outline, name)]}))
    if outline.success is not None:
        choice = "done" if outline.success else "not done"
        results.append(_result("outcome", "outcome", "choices", {"choices": [choice]}))
    if outline.final_progress is not None:
        results.append(_result("final_progress", "final_progress", "number", {"number": outline.final_progress}))
    return [{"data": {"video": video, "fps": fps}, "annotations": [{"result": results}]}]


def from_label_studio(document: Any, video: str, edges: np.ndarray, rate: float | None = None) -> Outline:
    """Read the task of one video from an export; a boundary frame that two ranges share goes to the earlier one.

    Args:
        document: The exported list of tasks, or one task.
        video: Name of the video; a single task is used under any name.
        edges: `outline.frame_edges` of it.
        rate: Frames per second that Label Studio counted; by default `data.fps` of the task.

    Raises:
        ValueError: It is no such export, or does not hold the video, or was annotated several times, or it is not known
            how its frames were counted.
    """
    tasks = document if isinstance(document, list) else [document]
    if not tasks or not all(isinstance(task, dict) and "data" in task for task in tasks):
        raise ValueError("the file is no Label Studio export; export the project as JSON (not JSON-MIN)")
    name = PurePath(video).name
    matching = [task for task in tasks if len(tasks) == 1 or any(_is_named(v, name) for v in task["data"].values())]
    if len(matching) != 1:
        raise ValueError(f"the export holds {len(matching)} tasks of {name} among {len(tasks)}; it must hold one")
    annotations = [row for row in matching[0].get("annotations", []) if not row.get("was_cancelled")]
    if len(annotations) != 1:
        raise ValueError(f"{name} was annotated {len(annotations)} times; export one annotation of it")
    spans = _Spans(edges, rate, matching[0]["data"])
    stages, values = [], {}
    for row in annotations[0].get("result", []):
        value, kind = row.get("value", {}), row.get("type")
        if kind == "timelinelabels":
            note = _FALLS_BACK.search(" ".join(row.get("meta", {}).get("text", [])))
            for span in value["ranges"]:
                back = int(note.group(1)) if note else None
                text = " ".join(value["timelinelabels"])
                stages.append(stage_from_marked(text, *spans.half_open(int(span["start"]), int(span["end"])), back))
        elif kind in ("textarea", "choices", "number"):
            content = value.get("text" if kind == "textarea" else kind)
            values["_".join(str(row.get("from_name")).lower().split())] = (
                " ".join(content) if isinstance(content, list) else content
            )
    if not stages:
        raise ValueError(f"the task of {name} holds no timeline labels; mark its stages with TimelineLabels")
    return Outline(
        tuple(sorted(stages, key=lambda stage: stage.start)),
        values.get("task"),
        read_outcome(values.get("outcome"), "outcome"),
        values.get("reason"),
        read_number(values.get("final_progress"), "final_progress"),
        values.get("annotator"),
    )


class _Spans:
    """Turns ranges of an export into half-open frames of the video, by time where the two rates differ."""

    def __init__(self, edges: np.ndarray, rate: float | None, data: dict[str, Any]) -> None:
        self._edges = edges
        fps = (len(edges) - 1) / (edges[-1] - edges[0])
        given = data.get("fps") if rate is None else rate
        if given is None and abs(fps - DEFAULT_RATE) > SAME_RATE * fps:
            raise ValueError(
                f"the export does not say at how many frames per second Label Studio counted, and the video has "
                f"{fps:g}; add --project_fps: the frameRate of the labelling configuration, {DEFAULT_RATE} if none"
            )
        self._rate = read_number(given, "fps of the project") or DEFAULT_RATE
        if not self._rate > 0:
            raise ValueError(f"fps of the project: {self._rate:g}; it must be above 0")
        self._same = abs(fps - self._rate) <= SAME_RATE * fps

    def half_open(self, start: int, end: int) -> tuple[int, int]:
        """Return first frame and frame after the last one; `start` and `end` count from 1 and are inclusive."""
        if start < 1:
            raise ValueError(f"a range starts at frame {start}; Label Studio counts from 1, export the project again")
        if self._same and end <= len(self._edges) - 1:
            return start - 1, end
        return nearest_edge(self._edges, (start - 1) / self._rate), nearest_edge(self._edges, end / self._rate)


def _result(key: str, name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"id": key, "from_name": name, "to_name": "video", "type": kind, "origin": "manual", "value": value}


def _is_named(value: Any, name: str) -> bool:
    """Return whether a data field points to the file: uploads get a hash and a dash before the name."""
    file_name = PurePath(unquote(str(value)).replace("?d=", "/")).name
    return file_name == name or file_name.endswith("-" + name)
