"""Records: what a prediction is, and its JSONL form.

Imports no torch, so that tools that only read records start at once. Names are those of ProcVLM's records; further
fields follow them. Knows names and files; does not know models or videos.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dataset.annotation import write_text_atomically

DEFAULT_MAX_SAMPLED_FRAMES = 512
DEFAULT_MAX_NEW_TOKENS = 256


@dataclass(frozen=True)
class Prediction:
    """One frame's prediction; the first six fields and their names are those of ProcVLM's records.

    Args:
        frame_index: Source frame.
        timestamp_sec: Its presentation time.
        window_frame_indices: Source frames shown to the model, oldest first.
        progress: Percent, 0 to 100; None where the answer had none and the caller did not ask for the previous one.
        reasoning: The answer without its progress sentence.
        model_output: The raw answer.
        parsed_progress: The percentage read from this very answer; None where it had none.
        progress_source: "model", "previous" (carried forward at the caller's wish) or None.
    """

    frame_index: int
    timestamp_sec: float
    window_frame_indices: tuple[int, ...]
    progress: float | None
    reasoning: str
    model_output: str
    parsed_progress: float | None
    progress_source: Literal["model", "previous"] | None


def make_records(video_path: str, task: str, predictions: Iterable[Prediction]) -> list[dict[str, Any]]:
    """Return predictions as the rows of a JSONL file."""
    return [
        {
            "video_path": video_path,
            "task": task,
            "sample_index": number,
            **asdict(prediction),
            "window_frame_indices": list(prediction.window_frame_indices),
        }
        for number, prediction in enumerate(predictions)
    ]


def write_records(path: str | Path, records: Iterable[dict[str, Any]]) -> None:
    """Write records as JSONL, one per line; an earlier file is replaced in one step."""
    write_text_atomically(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def read_records(path: str | Path) -> list[dict[str, Any]]:
    """Read records back; ValueError names the line that is no JSON."""
    records = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: no valid JSON ({error})") from None
    return records
