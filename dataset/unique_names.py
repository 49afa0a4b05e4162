"""Unique names: the shortest name that tells a file apart from the others of its set.

Knows paths only; opens no file. Reports, predictions, previews and curves name their episodes by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def unique_names(paths: Sequence[str | Path]) -> list[str]:
    """Return a name per file: its name without ending where no other file has that, else with folders in front.

    `day1/ep0.json`, `day2/ep0.json` and `day2/ep1.json` are "day1/ep0", "day2/ep0" and "ep1". The ending stays where
    two files of one folder differ in it only. A name is a relative path and can be used as one.

    Raises:
        ValueError: A file is given twice.
    """
    files = [Path(path).absolute() for path in paths]
    repeated = [str(path) for path, file in zip(paths, files, strict=True) if files.count(file) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]} is given twice; name each file once")
    bare = Counter(file.with_suffix("") for file in files)
    return shortest_ends([(file if bare[file.with_suffix("")] > 1 else file.with_suffix("")).parts for file in files])


def shortest_ends(paths: Sequence[Sequence[str]]) -> list[str]:
    """Return the shortest end of every path, joined by "/", that is the end of no other path; without the root.

    Args:
        paths: The parts of absolute paths, all different.
    """
    ends = Counter(tuple(parts[-length:]) for parts in paths for length in range(1, len(parts) + 1))
    return [
        "/".join(next(end for length in range(1, len(parts) + 1) if ends[end := tuple(parts[-length:])] == 1)).lstrip(
            "/"
        )
        for parts in paths
    ]
