"""Stage tables: CSV for spreadsheets, one row per stage; a file may hold several videos.

Knows that table; `outline` connects it with annotations. Last frames are inclusive, as people count.
"""

from __future__ import annotations

import csv
import io
from pathlib import PurePath

from dataset.annotation import Stage
from dataset.formats.outline import Outline

COLUMNS = (
    "video", "task", "outcome", "final_progress", "reason", "annotator",
    "stage", "subtask", "first_frame", "last_frame", "excluded", "falls_back_to",
)  # fmt: skip
_YES_NO = {"yes": True, "no": False, "": False}


def to_table(outline: Outline, video: str) -> str:
    """Return the rows of one video, with the header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for number, stage in enumerate(outline.stages, start=1):
        writer.writerow(
            {
                "video": video,
                "task": outline.task,
                "outcome": "done" if outline.success else "not done",
                "final_progress": outline.final_progress,
                "reason": outline.reason,
                "annotator": outline.annotator,
                "stage": number,
                "subtask": stage.subtask,
                "first_frame": stage.start,
                "last_frame": stage.end - 1,
                "excluded": "yes" if stage.excluded else "no",
                "falls_back_to": stage.falls_back_to,
            }
        )
    return text.getvalue()


def from_table(text: str, video: str) -> Outline:
    """Read the rows of one video; missing columns count as empty.

    Args:
        text: The CSV, with a header.
        video: Name of the video; all rows are used if there is no `video` column.

    Raises:
        ValueError: A needed column is missing or a value is wrong; the message names row and column.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    missing = [name for name in ("subtask", "last_frame") if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"the table lacks the column {' and '.join(missing)}; its columns are {', '.join(COLUMNS)}")
    name = PurePath(video).name
    rows = [(reader.line_num, row) for row in reader if PurePath(row.get("video") or name).name == name]
    if not rows:
        raise ValueError(f"the table holds no row of {name}; write its name into the column video")
    stages, end = [], 0
    for line, row in rows:
        start = _whole(line, row, "first_frame", end)
        end = _whole(line, row, "last_frame", None) + 1
        excluded = (row.get("excluded") or "").strip().lower()
        if excluded not in _YES_NO:
            raise ValueError(f'row {line}, column excluded: "{excluded}"; write yes or no')
        back = _whole(line, row, "falls_back_to", 0) or None
        try:
            stages.append(Stage(row["subtask"], start, end, _YES_NO[excluded], back))
        except ValueError as error:
            raise ValueError(f"row {line}: {error}") from None
    first = rows[0][1]
    outcome = (first.get("outcome") or "").strip().lower()
    if outcome not in ("", "done", "not done"):
        raise ValueError(f'row {rows[0][0]}, column outcome: "{outcome}"; write done or not done')
    reached = (first.get("final_progress") or "").strip()
    try:
        final_progress = float(reached) if reached else None
    except ValueError:
        raise ValueError(f'row {rows[0][0]}, column final_progress: "{reached}"; write a percentage') from None
    return Outline(
        tuple(stages),
        first.get("task") or None,
        {"done": True, "not done": False}.get(outcome),
        first.get("reason") or None,
        final_progress,
        first.get("annotator") or None,
    )


def _whole(line: int, row: dict[str, str], column: str, default: int | None) -> int:
    value = (row.get(column) or "").strip()
    if not value and default is not None:
        return default
    if not value.isdecimal():
        raise ValueError(f'row {line}, column {column}: "{value}"; write a whole number')
    return int(value)
