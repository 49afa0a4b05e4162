"""Stage tables: CSV for spreadsheets, one row per stage; a file may hold several videos.

Knows that table, in the forms in which spreadsheets write it; `outline` connects it with annotations. Last frames are
inclusive, as people count. docs/formats.md describes the columns.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath, PureWindowsPath
from typing import TypeVar

from dataset.annotation import Stage
from dataset.formats.outline import Outline, read_number, read_outcome

NEEDED = ("subtask", "last_frame")
COLUMNS = (
    "video", "task", "outcome", "final_progress", "reason", "annotator", "fps",
    "stage", "subtask", "first_frame", "last_frame", "excluded", "falls_back_to",
)  # fmt: skip
_OF_VIDEO = ("task", "outcome", "final_progress", "reason", "annotator", "fps")  # the same in every row of a video
_SEPARATORS = ",;\t"
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": False}
Read = TypeVar("Read")
Row = tuple[int, Mapping[str, str]]  # its line in the file, and its cells by column


def to_table(outline: Outline, video: str, fps: float) -> str:
    """Return the rows of one video, with the header; `fps` is the rate that its frames are counted at."""
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
                "fps": fps,
                "stage": number,
                "subtask": stage.subtask,
                "first_frame": stage.start,
                "last_frame": stage.end - 1,
                "excluded": "yes" if stage.excluded else "no",
                "falls_back_to": stage.falls_back_to,
            }
        )
    return text.getvalue()


def decoded_table(data: bytes) -> str:
    """Return the text of a table as spreadsheets save it: UTF-8, or UTF-16 with its mark.

    Raises:
        ValueError: It has another encoding, which cannot be told from its bytes, or is a workbook.
    """
    if data.startswith(b"PK\x03\x04") or data.startswith(b"\xd0\xcf\x11\xe0"):
        raise ValueError('the file is a workbook; save the sheet as "CSV UTF-8"')
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f'row {line} holds a letter that is not UTF-8; save the table as "CSV UTF-8"') from None


def from_table(text: str, video: str, fps: float) -> Outline:
    """Read the rows of one video; missing columns count as empty.

    Columns are separated by commas, semicolons or tabs. Empty rows, capitals and blanks in headings do not matter.

    Args:
        text: The table, with a header.
        video: Name of the video; all rows are used if there is no `video` column.
        fps: Frames per second of the video.

    Raises:
        ValueError: A needed column is missing or a value is wrong; the message names row and column.
    """
    rows, name = _read(text), PurePath(video).name
    named = {_name(row) for _, row in rows}
    for line, row in rows:
        if len(named) > 2 and not _name(row):
            raise ValueError(f"row {line}, column video: empty; write the name of its video into every row")
    rows = [(line, row) for line, row in rows if _name(row) in ("", name)]
    if not rows:
        raise ValueError(f"the table holds no row of {name}; write its name into the column video")
    stages, end = [], 0
    for line, row in rows:
        start = _whole(line, row, "first_frame", end)
        end = _whole(line, row, "last_frame", None) + 1
        excluded = row.get("excluded", "")
        if excluded.lower() not in _YES_NO:
            raise ValueError(f'row {line}, column excluded: "{excluded}"; write yes or no')
        back = _whole(line, row, "falls_back_to", 0) or None
        try:
            stages.append(Stage(row["subtask"], start, end, _YES_NO[excluded.lower()], back))
        except ValueError as error:
            raise ValueError(f"row {line}: {error}") from None
    of_video = {column: _same_in_all(rows, column) for column in _OF_VIDEO}
    rate = _read_of_video(read_number, of_video, "fps")
    if rate is not None and abs(rate - fps) > 1e-3 * fps:
        raise ValueError(
            f"the frames of the table are counted at {rate:g} frames per second, and {name} has {fps:g}: it is another "
            "video, or was converted; mark this one, or give the table its frame numbers and its rate"
        )
    texts = {column: row.get(column) or None for column, (_, row) in of_video.items()}
    return Outline(
        tuple(stages),
        texts["task"],
        _read_of_video(read_outcome, of_video, "outcome"),
        texts["reason"],
        _read_of_video(read_number, of_video, "final_progress"),
        texts["annotator"],
    )


def _read(text: str) -> list[Row]:
    """Return the rows that are not empty, by the columns of `COLUMNS`."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    hint = re.fullmatch(r"sep=(.)", first)  # Excel's, to itself
    separator = hint.group(1) if hint else max(_SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)][1 if hint else 0 :]
    if not rows:
        raise ValueError(f"the table is empty; its first row names the columns {', '.join(NEEDED)} and others")
    names = ["_".join(cell.split()).lower() for cell in rows[0][1]]
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise ValueError(
            f"the table lacks the column {' and '.join(missing)}; its first row names the columns "
            f"{', '.join(filter(None, names))}; docs/formats.md lists those that are read"
        )
    for name in names:
        near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.85)
        if name not in COLUMNS and near and near[0] not in names:
            raise ValueError(f'the table has a column "{name}"; did you mean {near[0]}?')
    table: list[Row] = []
    for line, cells in rows[1:]:
        if any(cell.strip() for cell in cells[len(names) :]):
            raise ValueError(f"row {line} has more cells than columns; put texts that hold the separator in quotes")
        table.append((line, dict(zip(names, map(str.strip, cells), strict=False))))
    return [(line, {name: row.get(name, "") for name in names}) for line, row in table]


def _name(row: Mapping[str, str]) -> str:
    """Return the file name in the column video; paths of all systems are read."""
    return PureWindowsPath(row.get("video", "")).name


def _same_in_all(rows: Sequence[Row], column: str) -> Row:
    """Return the first row with a value in a column that says something about the whole video."""
    given = [(line, row) for line, row in rows if row.get(column, "")]
    for line, row in given[1:]:
        if row[column] != given[0][1][column]:
            raise ValueError(
                f'row {line}, column {column}: "{row[column]}", but row {given[0][0]} says "{given[0][1][column]}"; '
                "write the same into all rows of a video"
            )
    return given[0] if given else rows[0]


def _read_of_video(read: Callable[[str, str], Read], of_video: Mapping[str, Row], column: str) -> Read:
    line, row = of_video[column]
    return read(row.get(column, ""), f"row {line}, column {column}")


def _whole(line: int, row: Mapping[str, str], column: str, default: int | None) -> int:
    """Return a whole number; spreadsheets write 12 as 12.0 or 12,00, too."""
    value = row.get(column, "")
    if not value and default is not None:
        return default
    match = re.fullmatch(r"(\d+)(?:[.,]0+)?", value)
    if match is None:
        raise ValueError(f'row {line}, column {column}: "{value}"; write a whole number')
    return int(match.group(1))
