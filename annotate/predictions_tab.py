"""The tab "Predictions": prediction files (JSONL of `python -m infer`), read to be shown on the timeline.

Knows the records' fields; does not know models. A file may hold many videos: the rows of the open one are shown, and
every value of them is checked.
"""

from __future__ import annotations

import json
import math
from pathlib import Path, PurePosixPath
from typing import Any

from dataset.files import numbered_lines

REMEDY = "choose a JSONL file that `python -m infer` wrote"


def read_prediction_file(text: str, name: str, num_frames: int, video: Path) -> dict[str, Any]:
    """Read one file of predictions for a video.

    Args:
        text: Content of the JSONL file.
        name: Its name, for messages.
        num_frames: Frames of the open video.
        video: Path of the open video.

    Returns:
        `name`; `rows` in order of frames, each with `frame`, `progress` (percent or None), `reasoning`, `answer` and
        `window` (frame numbers); `warning`: a sentence when the rows are of a video with another name, else "".

    Raises:
        ValueError: A line is no prediction, no row is of the open video, or its frame is not in the video.
    """
    by_video: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for number, line in numbered_lines(text):
        try:
            record = _record(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{name}, line {number}: {error}; {REMEDY}") from None
        by_video.setdefault(record["video_path"], []).append((number, record))
    if not by_video:
        raise ValueError(f"{name}: holds no predictions; {REMEDY}")
    chosen, warning = _choose(list(by_video), name, video)
    rows: dict[int, dict[str, Any]] = {}
    for number, record in by_video[chosen]:
        try:
            row = _row(record, num_frames)
            if row["frame"] in rows:
                raise ValueError(f"frame {row['frame']} is there twice, as if two runs were in one file")
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name}, line {number}: {error}; {REMEDY}") from None
        rows[row["frame"]] = row
    return {"name": name, "rows": [rows[frame] for frame in sorted(rows)], "warning": warning}


def _record(record: Any) -> dict[str, Any]:
    """Return a line as a record; ValueError if it is none."""
    if not isinstance(record, dict):
        raise ValueError("holds no JSON object")
    missing = [key for key in ("video_path", "frame_index", "progress") if key not in record]
    if "completion" in record:
        raise ValueError('is a sample to train on, no prediction; "Show samples" shows samples')
    if missing:
        raise ValueError(f"the key {missing[0]!r} is missing")
    if not isinstance(record["video_path"], str):
        raise ValueError(f"video_path is {record['video_path']!r}; it must be a path")
    return record


def _choose(paths: list[str], name: str, video: Path) -> tuple[str, str]:
    """Return the video path of the rows to show, and a warning where its name is another than the open video's.

    Paths are compared from their ends: a file may have been written in another folder or on another machine.
    """
    shared = {path: _same_parts(path, video) for path in paths}
    most = max(shared.values())
    best = [path for path in paths if shared[path] == most]
    if most and len(best) == 1:
        return best[0], ""
    if most:
        raise ValueError(
            f"{name} holds {' and '.join(best)}; which of them is {video} cannot be told, so load one each"
        )
    if len(paths) == 1:
        return paths[0], f"{name} was made from {_file_name(paths[0])}, not from {video.name}"
    others = ", ".join(_file_name(path) for path in paths[:5]) + (" ..." if len(paths) > 5 else "")
    raise ValueError(f"{name} holds no predictions of {video.name}, only of {others}; open one of these episodes")


def _same_parts(path: str, video: Path) -> int:
    """Return how many parts at the end of two paths are the same."""
    count = 0
    ends = zip(_parts(path)[::-1], video.absolute().parts[::-1], strict=False)
    for own, other in ends:
        if own != other:
            break
        count += 1
    return count


def _parts(path: str) -> tuple[str, ...]:
    return PurePosixPath(path.replace("\\", "/")).parts


def _file_name(path: str) -> str:
    return _parts(path)[-1] if _parts(path) else path


def _row(record: dict[str, Any], num_frames: int) -> dict[str, Any]:
    progress = record["progress"]
    if progress is not None:
        progress = float(progress)
        if not (math.isfinite(progress) and 0.0 <= progress <= 100.0):
            raise ValueError(f"progress is {progress}; it is a percentage, 0 to 100")
    return {
        "frame": _frame(record["frame_index"], num_frames),
        "progress": progress,
        "reasoning": str(record.get("reasoning") or ""),
        "answer": str(record.get("model_output") or ""),
        "window": [_frame(index, num_frames) for index in record.get("window_frame_indices") or []],
    }


def _frame(index: Any, num_frames: int) -> int:
    if type(index) is not int or not 0 <= index < num_frames:
        raise ValueError(f"frame {index!r} is not in the open video, which has frames 0 to {num_frames - 1}")
    return index
