"""What may be named on a command line or in a recipe, by one rule: files, folders and globs.

A folder stands for all that is in it at any depth, in the order of the paths; names that begin with a dot are passed
over. A folder of numbered pictures is one video. A glob stands for its matches; what exists is no glob. Nothing counts
twice. Opens no video.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from dataset.foreign import foreign_kind, is_address
from dataset.image_folder import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_image_folder

Paths = str | Path | Iterable[str | Path]
REPORT = "report.json"
TEXTS = frozenset([".csv", ".json", ".jsonl", ".txt"])  # stand beside recordings, and hold none


def find_videos(paths: Paths) -> list[Path]:
    """Return the videos that paths, folders and globs name: files, and folders of numbered pictures.

    Raises:
        ValueError: A folder holds no video or is a data set of another program, or a glob matches nothing.
    """
    kinds = " ".join(sorted(VIDEO_SUFFIXES))
    return _expand(
        paths,
        is_one=lambda path: path.suffix.lower() in VIDEO_SUFFIXES,
        none=f"holds no video ({kinds}, or folders of numbered pictures); name another folder or a file",
        pictures=True,
    )


def find_annotations(paths: Paths) -> list[Path]:
    """Return the annotation files that paths, folders and globs name; other JSON files in a folder are passed over.

    Raises:
        ValueError: A folder holds no annotation, or a glob matches nothing.
    """
    return _expand(
        paths,
        is_one=_may_be_annotation,
        none="holds no annotation (*.json); mark a video with `python -m annotate`, or name another folder",
    )


def find_reports(paths: Paths) -> list[Path]:
    """Return the `report.json` files that paths, folders and globs name."""
    return _expand(
        paths, lambda path: path.name == REPORT, f"holds no {REPORT}; make one with `python -m infer.report`"
    )


def _expand(paths: Paths, is_one: Callable[[Path], bool], none: str, pictures: bool = False) -> list[Path]:
    """Return what is named, each once; `none` says what is wrong with a folder that holds nothing of the kind."""
    found: dict[str, Path] = {}
    for path in [paths] if isinstance(paths, str | Path) else paths:
        for match in _matches(path):
            inside = [match]
            if match.is_dir() and not (pictures and is_image_folder(match)):
                inside = list(_walk(match, is_one, pictures))
                if not inside:
                    raise ValueError(f"folder {match} {none}{_foreign_inside(match) if pictures else ''}")
            for file in inside:
                found.setdefault(os.path.abspath(file), file)
    return list(found.values())


def _matches(path: str | Path) -> Sequence[Path]:
    if is_address(path):
        raise ValueError(f"{path} {foreign_kind(path)}")
    if Path(path).exists() or not glob.has_magic(str(path)):
        return [Path(path)]
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    if not matches:
        raise ValueError(f"no file matches {path}; check the pattern")
    return matches


def _walk(folder: Path, is_one: Callable[[Path], bool], pictures: bool) -> Iterator[Path]:
    """Yield what is in a folder, sorted; links to folders are followed, each folder once."""
    seen = {os.path.realpath(folder)}

    def visit(folder: Path) -> Iterator[Path]:
        foreign = foreign_kind(folder) if pictures else None
        if foreign is not None:
            raise ValueError(f"folder {folder} {foreign}")
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                continue
            if path.is_dir():
                if pictures and is_image_folder(path):
                    yield path
                elif os.path.realpath(path) not in seen:
                    seen.add(os.path.realpath(path))
                    yield from visit(path)
            elif is_one(path):
                yield path

    return visit(folder)


def _foreign_inside(folder: Path) -> str:
    """Return what one of the files in a folder is, if recordings can be made of it."""
    for file in sorted(folder.rglob("*")):
        kind = foreign_kind(file) if file.is_file() and file.suffix.lower() not in TEXTS | IMAGE_SUFFIXES else None
        if kind is not None:
            return f"; {file.relative_to(folder)} {kind}"
    return ""


def _may_be_annotation(path: Path) -> bool:
    """Return whether a JSON file in a folder is meant to be an annotation; a damaged one is, so that it is reported."""
    if path.suffix.lower() != ".json":
        return False
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return isinstance(document, dict) and {"version", "video", "stages"} <= document.keys()
