"""The queue: which videos are labelled, their cameras, and where their annotations go.

Knows paths and names; opens no file. Browsers name episodes by id, never by path. A finished annotation is
`<stem>.json`; an unfinished one is `<stem>.json.draft`, so that `*.json` never picks it up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dataset.annotation import MAIN_CAMERA
from dataset.demonstration import VIDEO_SUFFIXES
from dataset.image_folder import is_image_folder


@dataclass(frozen=True)
class Episode:
    """One episode of the queue.

    Args:
        id: Stable name for browsers: derived from the path, the same after a restart.
        video: The file that is annotated.
        annotation: Where its finished annotation goes.
        cameras: Name and file of every camera, `video` first; all share one frame number.
    """

    id: str
    video: Path
    annotation: Path
    cameras: tuple[tuple[str, Path], ...]

    @property
    def draft(self) -> Path:
        """Where its unfinished annotation goes."""
        return self.annotation.with_name(self.annotation.name + ".draft")

    @property
    def status(self) -> str:
        """Return "draft", "labelled" or "new"."""
        if self.draft.exists():
            return "draft"
        return "labelled" if self.annotation.exists() else "new"


def find_episodes(
    videos: Iterable[str | Path], output: str | Path | None = None, cameras: Mapping[str, str | Path] | None = None
) -> dict[str, Episode]:
    """Find the videos and where their annotations go.

    Args:
        videos: Files, or folders whose videos are taken in the order of their names.
        output: Folder of the annotations; beside each video by default.
        cameras: Further cameras by name: a folder that holds a video of the same name for every episode, or a file
            where there is one episode only.

    Returns:
        The episodes by id, in the order of the queue.

    Raises:
        ValueError: A path is missing, no video is there, or two share an annotation file.
    """
    episodes: dict[str, Episode] = {}
    homes: dict[Path, Path] = {}
    found = _find(videos)
    for video in found:
        annotation = Path(output or video.parent) / f"{video.stem}.json"
        other = homes.setdefault(annotation.absolute(), video)
        if other != video:
            raise ValueError(
                f"{other} and {video} would share the annotation {annotation}; give one of the videos another name"
            )
        key = hashlib.sha256(str(video.absolute()).encode()).hexdigest()[:12]
        further = [(name, _of_camera(name, Path(place), video, len(found))) for name, place in (cameras or {}).items()]
        episodes[key] = Episode(key, video, annotation, ((MAIN_CAMERA, video), *further))
    return episodes


def _find(paths: Iterable[str | Path]) -> list[Path]:
    """Return the video files; folders give theirs, not those of folders inside."""
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir() and not is_image_folder(path):
            inside = [file for file in sorted(path.iterdir()) if _is_video(file)]
            if not inside:
                kinds = " ".join(sorted(VIDEO_SUFFIXES))
                raise ValueError(
                    f"folder {path}: holds no video ({kinds}, or folders of numbered pictures); name another folder or "
                    "a file"
                )
            found |= dict.fromkeys(inside)
        elif path.exists():
            found[path] = None
        else:
            raise ValueError(f"video {path}: no such file or folder; check the path")
    if not found:
        raise ValueError("no video was given; name a file or a folder: --video my.mp4")
    return list(found)


def _of_camera(name: str, place: Path, video: Path, num_episodes: int) -> Path:
    """Return the file that shows the episode of `video` from another camera."""
    if _is_video(place):
        if num_episodes > 1:
            raise ValueError(
                f"camera {name}: {place} is one file for {num_episodes} episodes; name a folder that holds a video of "
                "the same name for each"
            )
        return place
    inside = sorted(place.iterdir()) if place.is_dir() else []
    same_name = [file for file in inside if file.stem == video.stem and _is_video(file)]
    if len(same_name) != 1:
        raise ValueError(
            f"camera {name}: {place} holds {len(same_name) or 'no'} video(s) of the name {video.stem}; put one there, "
            "of the same episode and with the same frames"
        )
    return same_name[0]


def _is_video(path: Path) -> bool:
    return is_image_folder(path) if path.is_dir() else path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
