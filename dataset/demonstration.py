"""Demonstrations: annotations with their videos, which are found by content when a file has moved.

Knows annotation files, folders and fingerprints. Does not know labels or samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dataset.annotation import MAIN_CAMERA, Annotation, AnnotationError, Problem
from dataset.annotation_file import read_annotation, resolve_video, write_annotation
from dataset.fingerprint import size_of
from dataset.image_folder import VIDEO_SUFFIXES, is_image_folder
from dataset.inputs import Paths, find_annotations
from dataset.task_plan import with_plan
from dataset.unique_names import unique_names
from dataset.video import VideoError, VideoReader, has_fingerprint
from dataset.window import Timing

RATE_TOLERANCE = 1e-3  # relative: a rate that was rounded by hand is no other rate


@dataclass(frozen=True)
class Demonstration:
    """An annotation with the files it came from.

    Args:
        path: The annotation file.
        annotation: Its content.
        video: Path of the video, relative to the working directory.
        cameras: Paths of the videos of `annotation.cameras`, in that order.
        moved: Whether a video was found by its content, at another path than the recorded one.
        name: Its name among the demonstrations that it was read with (`dataset.unique_names`); by default the name of
            the file without its ending.
        video_timing: When the frames of its video come; None where the video was not opened.
    """

    path: str
    annotation: Annotation
    video: str = ""
    cameras: tuple[str, ...] = ()
    moved: bool = False
    name: str = ""
    video_timing: Timing | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", Path(self.path).stem)

    @property
    def timing(self) -> Timing:
        """What windows go by: the timing of the video, or the annotation's rate where it was not opened."""
        return self.annotation.fps if self.video_timing is None else self.video_timing

    @property
    def views(self) -> dict[str, str]:
        """Path of the video of every camera, the main one first."""
        names = [camera.name for camera in self.annotation.cameras]
        return {MAIN_CAMERA: self.video, **dict(zip(names, self.cameras, strict=True))}


def read_demonstrations(
    paths: Paths, search: Sequence[str | Path] = (), beside: Sequence[Demonstration] = ()
) -> list[Demonstration]:
    """Read annotation files, name them, and check that their videos exist and are the annotated ones.

    Failures get the plan of a success of their task (`dataset.task_plan`), if one is among them or `beside` them.

    Args:
        paths: Annotation files, folders and globs; see `dataset.inputs`.
        search: Further folders to search for a video that has moved; the annotation's own folder is always searched.
        beside: Demonstrations that were read already, such as those of the training.

    Raises:
        ValueError: A file is missing or invalid, or a video is not the annotated one; the message names every reason.
    """
    demonstrations, errors = [], []
    for path in find_annotations(paths):
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
    return with_plans(with_unique_names(demonstrations), beside)


def with_plans(demonstrations: Sequence[Demonstration], beside: Sequence[Demonstration] = ()) -> list[Demonstration]:
    """Return the demonstrations, the failures with the plan of a success of their task where there is one."""
    known = [*demonstrations, *beside]
    annotations, paths = [other.annotation for other in known], [other.path for other in known]
    return [
        replace(demonstration, annotation=with_plan(demonstration.annotation, annotations, paths))
        for demonstration in demonstrations
    ]


def with_unique_names(demonstrations: Sequence[Demonstration]) -> list[Demonstration]:
    """Return the demonstrations with names that tell them apart; ValueError if a file is among them twice."""
    names = unique_names([demonstration.path for demonstration in demonstrations])
    return [replace(demonstration, name=name) for demonstration, name in zip(demonstrations, names, strict=True)]


def refuse_repeated_recordings(demonstrations: Sequence[Demonstration]) -> None:
    """Refuse demonstrations of one recording, by the content of every camera: a mean would count it twice.

    Raises:
        ValueError: Two of them have a recording in common; the message names both.
    """
    first: dict[str, Demonstration] = {}
    for demonstration in demonstrations:
        annotation = demonstration.annotation
        for fingerprint in {annotation.fingerprint, *(camera.fingerprint for camera in annotation.cameras)}:
            other = first.setdefault(fingerprint, demonstration)
            if other is not demonstration:
                raise ValueError(
                    f"{demonstration.path} and {other.path} are of one recording (fingerprint {fingerprint}), which "
                    "would count twice; name one of them"
                )


def read_demonstration(path: str | Path, search: Sequence[str | Path] = ()) -> Demonstration:
    """Read one annotation file and find its videos; as `read_demonstrations`."""
    annotation = read_annotation(path)
    recorded = resolve_video(path, annotation)
    folders = [Path(path).parent, *map(Path, search)]
    video = _find_video(path, recorded, annotation.fingerprint, annotation.num_frames, folders)
    reader = VideoReader(video, "pyav")
    problems = recording_problems(annotation, reader)
    if problems:
        raise AnnotationError(problems, source=f"annotation {path}: ")
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
    return Demonstration(str(path), annotation, str(video), tuple(cameras), moved, video_timing=reader.timing)


def video_notices(demonstration: Demonstration) -> list[tuple[str, str]]:
    """Return by camera where a player may show other pictures than are read, in sentences."""
    return [
        (name, f"{video} {notice}")
        for name, video in demonstration.views.items()
        for notice in VideoReader(video, "pyav").notices
    ]


def recording_problems(annotation: Annotation, reader: VideoReader) -> list[Problem]:
    """Return where an annotation contradicts its recording: in the number of frames or in their rate."""
    problems = []
    if annotation.num_frames != len(reader):
        message = (
            f"num_frames is {annotation.num_frames}, but {reader.path} has {len(reader)} frames; write {len(reader)}"
        )
        problems.append(Problem("num_frames", message))
    if abs(annotation.fps - reader.fps) > RATE_TOLERANCE * reader.fps:
        message = f"fps is {annotation.fps}, but {reader.path} has {reader.fps} frames per second; write {reader.fps}"
        problems.append(Problem("fps", message))
    return problems


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
