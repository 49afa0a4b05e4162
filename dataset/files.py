"""Files: replaced in one step, never over an input; JSON lines.

Knows bytes, folders and JSON. Does not know the content.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_LINE_ENDS = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\u0085\u2028\u2029"}  # for readers that take them for \n


def refuse_overwriting(output: str | Path | None, inputs: Iterable[str | Path | None]) -> None:
    """Raise a ValueError if a file to write is a folder, is inside a file, or is one of the files that are read.

    Args:
        output: The file to write; None for none.
        inputs: Files and folders that the same command reads; None for none.
    """
    if output is None:
        return
    if Path(output).is_dir():
        raise ValueError(f"output {output} is a folder; name a file in it")
    if any(parent.is_file() for parent in Path(output).parents):
        raise ValueError(f"output {output}: a file is where its folder should be; name another folder")
    for path in inputs:
        if path is not None and _is_same_file(Path(output), Path(path)):
            raise ValueError(f"output {output} is also read by this command; name another file, it would be lost")


def _is_same_file(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as JSON lines; a text with a line separator of Unicode stays on one line for every reader."""
    return "".join(json.dumps(row, ensure_ascii=False).translate(_LINE_ENDS) + "\n" for row in rows)


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield number (from 1) and text of the lines of a file of JSON lines that are not blank; only \\n ends a line."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def write_text_atomically(path: str | Path, text: str) -> None:
    """Write `text` beside `path` and rename: a reader sees the complete old file or the complete new one."""
    write_bytes_atomically(path, text.encode("utf-8"))


def write_bytes_atomically(path: str | Path, data: bytes) -> None:
    """Write `data` beside `path` and rename: a reader sees the complete old file or the complete new one."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"output {path} is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(f"output {path}: a file is where its folder should be; name another") from None
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
