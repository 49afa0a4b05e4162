"""Find the videos that a command line names: files, folders and globs. Imports no torch; does not open the files."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from dataset.demonstration import VIDEO_SUFFIXES
from dataset.video import VideoError


def find_videos(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the video files that paths, folders and globs name, each once, folders in order of name."""
    videos: list[Path] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        path = Path(path)
        if path.is_dir():
            matches = sorted(file for file in path.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
            if not matches:
                raise VideoError(f"folder {path} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}); name another")
        elif not path.exists() and any(character in str(path) for character in "*?["):
            matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
            if not matches:
                raise VideoError(f"no file matches {path}; check the pattern")
        else:
            matches = [path]
        videos += matches
    if not videos:
        raise VideoError("no video was named; give a file, a folder or a glob (--video_path)")
    return list(dict.fromkeys(videos))
