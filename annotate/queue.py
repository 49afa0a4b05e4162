"""The queue: which videos are labelled, their cameras, and where their annotations go.

Knows paths and names; opens no file. Browsers name episodes by id, never by path. A finished annotation is in
`<stem>.json`, an unfinished marking in `<stem>.json.draft`, so that `*.json` does not match it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dataset.annotation import MAIN_CAMERA
from dataset.foreign import foreign_kind
from dataset.image_folder import VIDEO_SUFFIXES, is_image_folder
from dataset.inputs import find_videos
from dataset.unique_names import unique_names


@dataclass(frozen=True)
class Episode:
    """One episode of the queue.

    Args:
        id: Stable name for browsers: derived from the path, the same after a restart.
        name: Tells it apart from the others of the queue, for people.
        video: The file that is annotated.
        annotation: The file of its finished annotation.
        cameras: Name and file of every camera, `video` first; all share one frame number.
    """

    id: str
    name: str
    video: Path
    annotation: Path
    cameras: tuple[tuple[str, Path], ...]

    @property
    def marking_file(self) -> Path:
        """The file of its unfinished marking."""
        return self.annotation.with_name(self.annotation.name + ".draft")

    @property
    def status(self) -> str:
        """Return "unfinished", "labelled" or "new"."""
        if self.marking_file.exists():
            return "unfinished"
        return "labelled" if self.annotation.exists() else "new"


def find_episodes(
    videos: Iterable[str | Path], output: str | Path | None = None, cameras: Mapping[str, str | Path] | None = None
) -> dict[str, Episode]:
    """Find the videos and where their annotations go.

    Args:
        videos: Files, folders and globs; see `dataset.inputs`. What is in a camera's folder is left out.
        output: Folder of the annotations; beside each video by default.
        cameras: Further cameras by name: a folder that holds a video of the same name for every episode, or a file
            where there is one episode only.

    Returns:
        The episodes by id, in the order of the queue.

    Raises:
        ValueError: A path is missing, no video is there, or two share an annotation file.
    """
    episodes: dict[str, Episode] = {}
    video_of: dict[Path, Path] = {}  # by annotation file
    beside = [Path(path).resolve() for path in (cameras or {}).values()]
    files = [video for video in find_videos(videos) if not any(video.resolve().is_relative_to(path) for path in beside)]
    if not files:
        raise ValueError("no video was given; name a file or a folder: --video my.mp4")
    for video in files:
        foreign = foreign_kind(video)
        if foreign is not None:
            raise ValueError(f"video {video}: {foreign}")
        if not video.exists():
            raise ValueError(f"video {video}: no such file or folder; check the path")
    for video, name in zip(files, unique_names(files), strict=True):
        annotation = Path(output or video.parent) / f"{video.stem}.json"
        other = video_of.setdefault(annotation.absolute(), video)
        if other != video:
            raise ValueError(
                f"{other} and {video} would share the annotation {annotation}; give one of the videos another name"
            )
        key = hashlib.sha256(str(video.absolute()).encode()).hexdigest()[:12]
        further = [(view, _find_camera(view, Path(path), video, len(files))) for view, path in (cameras or {}).items()]
        episodes[key] = Episode(key, name, video, annotation, ((MAIN_CAMERA, video), *further))
    return episodes


def _find_camera(name: str, path: Path, video: Path, num_episodes: int) -> Path:
    """Return the file that shows the episode of `video` from another camera."""
    if _is_video(path):
        if num_episodes > 1:
            raise ValueError(
                f"camera {name}: {path} is one file for {num_episodes} episodes; name a folder that holds a video of "
                "the same name for each"
            )
        return path
    inside = sorted(path.iterdir()) if path.is_dir() else []
    same_name = [file for file in inside if file.stem == video.stem and _is_video(file)]
    if len(same_name) != 1:
        raise ValueError(
            f"camera {name}: {path} holds {len(same_name) or 'no'} video(s) named {video.stem}; put a video there, "
            "of the same episode and with the same frames"
        )
    return same_name[0]


def _is_video(path: Path) -> bool:
    return is_image_folder(path) if path.is_dir() else path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
