"""The tab "Predictions": prediction files (JSONL of `python -m infer`), read to be shown on the timeline.

Knows the records' fields; does not know models. Every value of a record is checked.
"""

from __future__ import annotations

import json
import math
from pathlib import PurePath
from typing import Any

from dataset.files import numbered_lines

REMEDY = "choose a JSONL file that `python -m infer` wrote"


def read_prediction_file(text: str, name: str, num_frames: int, video: str) -> dict[str, Any]:
    """Read one file of predictions for a video.

    Args:
        text: Content of the JSONL file.
        name: Its name, for messages.
        num_frames: Frames of the open video.
        video: File name of the open video.

    Returns:
        `name`; `rows` in order of frames, each with `frame`, `progress` (percent or None), `reasoning`, `answer` and
        `window` (frame numbers); `warning`: a sentence when the records name another video, else "".

    Raises:
        ValueError: A line is no prediction or its frame is not in the video; the message names the line.
    """
    rows, videos = [], set()
    for number, line in numbered_lines(text):
        try:
            record = json.loads(line)
            rows.append(_row(record, num_frames))
        except KeyError as error:
            raise ValueError(f"{name}, line {number}: the key {error} is missing; {REMEDY}") from None
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name}, line {number}: {error}; {REMEDY}") from None
        videos.add(PurePath(str(record.get("video_path", video))).name)
    if not rows:
        raise ValueError(f"{name}: holds no predictions; {REMEDY}")
    others = sorted(videos - {video})
    warning = f"{name} was made from {', '.join(others)}, not from {video}" if others else ""
    return {"name": name, "rows": sorted(rows, key=lambda row: row["frame"]), "warning": warning}


def _row(record: Any, num_frames: int) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise ValueError("holds no JSON object")
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
