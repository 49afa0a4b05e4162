"""Demonstrations: annotations with their videos, which are found by content when a file has moved.

Knows annotation files, folders and fingerprints. Does not know labels or samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dataset.annotation import MAIN_CAMERA, Annotation
from dataset.annotation_file import read_annotation, resolve_video, write_annotation
from dataset.fingerprint import size_of
from dataset.image_folder import is_image_folder
from dataset.video import VideoError, VideoReader, has_fingerprint
from dataset.window import Timing

VIDEO_SUFFIXES = frozenset([".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm"])


@dataclass(frozen=True)
class Demonstration:
    """An annotation with the files it came from.

    Args:
        path: The annotation file.
        annotation: Its content.
        video: Path of the video, relative to the working directory.
        cameras: Paths of the videos of `annotation.cameras`, in that order.
        moved: Whether a video was found by its content, at another path than the recorded one.
        times: Time of every frame in seconds where the rate of the video varies; None where it is constant.
    """

    path: str
    annotation: Annotation
    video: str = ""
    cameras: tuple[str, ...] = ()
    moved: bool = False
    times: np.ndarray | None = field(default=None, compare=False)

    @property
    def episode(self) -> str:
        """Name of the demonstration: the file's name without its ending."""
        return Path(self.path).stem

    @property
    def timing(self) -> Timing:
        """What windows go by: the times of the frames, or the annotation's rate where it is constant."""
        return self.annotation.fps if self.times is None else self.times

    @property
    def views(self) -> dict[str, str]:
        """Path of the video of every camera, the main one first."""
        names = [camera.name for camera in self.annotation.cameras]
        return {MAIN_CAMERA: self.video, **dict(zip(names, self.cameras, strict=True))}


def read_demonstrations(paths: Iterable[str | Path], search: Sequence[str | Path] = ()) -> list[Demonstration]:
    """Read annotation files and check that their videos exist and are the annotated ones.

    Args:
        paths: Annotation files.
        search: Further folders to search for a video that has moved; the annotation's own folder is always searched.

    Raises:
        ValueError: A file is missing or invalid, or a video is not the annotated one; the message names every reason.
    """
    demonstrations, errors = [], []
    for path in paths:
        try:
            demonstrations.append(read_demonstration(path, search))
        except ValueError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ValueError("; ".join(map(str, errors)))
    if not demonstrations:
        raise ValueError("no annotations were given; name at least one annotation file")
    return demonstrations


def read_demonstration(path: str | Path, search: Sequence[str | Path] = ()) -> Demonstration:
    """Read one annotation file and find its videos; as `read_demonstrations`."""
    annotation = read_annotation(path)
    recorded = resolve_video(path, annotation)
    folders = [Path(path).parent, *map(Path, search)]
    video = _find_video(path, recorded, annotation.fingerprint, annotation.num_frames, folders)
    timing = VideoReader(video, "pyav").timing
    moved, cameras = video != recorded, []
    for camera in annotation.cameras:
        recorded = Path(path).parent / camera.video
        view = _find_video(path, recorded, camera.fingerprint, annotation.num_frames, folders)
        num_frames = len(VideoReader(view, "pyav"))
        if num_frames != annotation.num_frames:
            raise VideoError(
                f'annotation {path}: camera "{camera.name}" has {num_frames} frames, the main video '
                f"{annotation.num_frames}; cameras of one episode share their frame numbers, so cut both videos to the "
                "same frames"
            )
        moved = moved or view != recorded
        cameras.append(str(view))
    times = timing if isinstance(timing, np.ndarray) else None
    return Demonstration(str(path), annotation, str(video), tuple(cameras), moved, times)


def update_video_paths(demonstration: Demonstration) -> Demonstration:
    """Write the current paths of its videos into the annotation file; returns the updated demonstration."""
    folder = Path(demonstration.path).absolute().parent

    def relative(video: str) -> str:
        return Path(os.path.relpath(Path(video).absolute(), folder)).as_posix()

    annotation = demonstration.annotation
    cameras = (
        replace(camera, video=relative(video))
        for camera, video in zip(annotation.cameras, demonstration.cameras, strict=True)
    )
    annotation = replace(annotation, video=relative(demonstration.video), cameras=tuple(cameras))
    write_annotation(demonstration.path, annotation)
    return replace(demonstration, annotation=annotation, moved=False)


def _find_video(path: str | Path, recorded: Path, fingerprint: str, num_frames: int, folders: Sequence[Path]) -> Path:
    """Return the recorded path if the annotated video is there, else the path of a file with its content."""
    if recorded.exists() and has_fingerprint(recorded, fingerprint):
        return recorded
    moved = next(
        (file for file in _candidates(folders, recorded, fingerprint) if _is_recording(file, fingerprint)), None
    )
    if moved is not None:
        return moved
    if recorded.exists():
        now = len(VideoReader(recorded, "pyav"))
        raise VideoError(
            f"annotation {path}: {recorded} is another file than was annotated ({now} frames now, {num_frames} "
            "annotated); restore the video or annotate it again"
        )
    raise VideoError(
        f"annotation {path}: its video {recorded} does not exist, and no file under "
        f"{', '.join(str(folder) for folder in folders)} has its content; put it there, or name its folder with "
        "--videos"
    )


def _candidates(folders: Sequence[Path], recorded: Path, fingerprint: str) -> Iterator[Path]:
    """Yield the videos under some folders that can be the recording, those of the same name first."""
    size = size_of(fingerprint)
    files = dict.fromkeys(file for folder in folders if folder.is_dir() for file in sorted(folder.rglob("*")))
    for file in sorted(files, key=lambda file: file.name != recorded.name):
        if file.is_dir():
            if is_image_folder(file):
                yield file
        elif file.suffix.lower() in VIDEO_SUFFIXES | {recorded.suffix.lower()} and size in (None, file.stat().st_size):
            yield file


def _is_recording(file: Path, fingerprint: str) -> bool:
    try:
        return has_fingerprint(file, fingerprint)
    except VideoError:  # another file, which is no readable video
        return False
