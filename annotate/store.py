"""The store: the markings of all episodes, on disk, and the check that no save overwrites another person's work.

Knows annotation and marking files; does not know the page. See `queue` for the names of the files.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotate.marking import Marking
from annotate.open_videos import OpenVideos
from annotate.other_episodes import first_task
from annotate.queue import Episode, find_episodes
from dataset.annotation import Annotation, Camera
from dataset.annotation_file import read_annotation, write_annotation
from dataset.files import write_text_atomically
from dataset.video import VideoReader, has_fingerprint

HIDDEN_FIELDS = ("measured_progress", "annotator", "extra")  # kept from the annotation on disk; not on the page


class ConflictError(ValueError):
    """Another tab or program changed the episode since it was loaded."""


class ReplacedError(ValueError):
    """The video was replaced by another file since the page loaded it."""


@dataclass(frozen=True)
class Saved:
    """What a save wrote.

    Args:
        revision: Name of the state on disk; the next save must name it.
        missing: Why the marking is unfinished; None when the annotation was written.
    """

    revision: str
    missing: str | None


@dataclass
class Store:
    """The episodes that one server works on; safe to use from several threads.

    Args:
        episodes: By id, in the order of the queue.
        task: Task text of episodes that have none yet; where it is blank, that of the previous episode is used.
        videos: Their readers.
    """

    episodes: dict[str, Episode]
    task: str
    videos: OpenVideos = field(default_factory=OpenVideos, repr=False)
    _locks: dict[str, threading.RLock] = field(default_factory=dict, repr=False)

    @classmethod
    def open(
        cls,
        videos: Iterable[str | Path],
        task: str = "",
        output: str | Path | None = None,
        cameras: Mapping[str, str | Path] | None = None,
    ) -> Store:
        """Find the videos and where their annotations go; see `queue.find_episodes`.

        Raises:
            ValueError: A path is missing, no video is there, or the only one cannot be read.
        """
        store = cls(find_episodes(videos, output, cameras), task.strip())
        if len(store.episodes) == 1:
            store.load(next(iter(store.episodes)))
        return store

    def episode(self, key: object) -> Episode:
        """Return the episode of an id.

        Raises:
            ValueError: It is not in the queue.
        """
        if not isinstance(key, str) or key not in self.episodes:
            raise ValueError(f"there is no episode {str(key)[:40]!r} here; choose one in the list")
        return self.episodes[key]

    def _lock_of(self, key: str) -> threading.RLock:
        """Return the lock of one episode: nobody waits for the video of another one."""
        return self._locks.setdefault(key, threading.RLock())  # one step: safe without a lock of its own

    def reader(self, key: str, camera: int = 0) -> VideoReader:
        """Return the reader of an episode's video; indexed on first use."""
        return self.videos.reader(self.episode(key), camera)

    def version(self, key: str) -> str:
        """Return a digest of the episode's present videos."""
        return self.videos.version(self.episode(key))

    def next_unlabelled(self, key: str | None = None) -> str:
        """Return the next episode that is not labelled, from `key` on and round; `key` when all are labelled."""
        keys = list(self.episodes)
        start = keys.index(key) + 1 if key in self.episodes else 0
        unlabelled = (k for k in keys[start:] + keys[:start] if self.episodes[k].status != "labelled")
        return next(unlabelled, key if key in self.episodes else keys[0])

    def load(self, key: str) -> tuple[Marking, str]:
        """Return the present marking of an episode and its revision.

        Raises:
            ValueError: The video or a file beside it cannot be read, or the file belongs to another video.
        """
        episode = self.episode(key)
        with self._lock_of(key):
            revision = _revision(episode)
            annotation = self._annotation(episode)
            if episode.marking_file.exists():
                return self._read_marking(episode), revision
            if annotation is not None:
                return Marking.from_annotation(annotation), revision
            return Marking(self.task or first_task(self.episodes, key)), revision

    def save(self, key: str, marking: Marking, revision: str, version: str | None = None) -> Saved:
        """Write the annotation when the marking is finished, else the marking.

        An unfinished marking never changes an annotation that was finished before; finishing replaces both in one step.

        Args:
            key: Id of the episode.
            marking: The new state.
            revision: Of the state that the new one was made from.
            version: Of the videos that the new one was made on; see `version`. None: not known.

        Raises:
            ReplacedError: The video was replaced.
            ConflictError: The state on disk was changed.
            ValueError: See `load`.
            OSError: A file cannot be written.
        """
        episode = self.episode(key)
        with self._lock_of(key):
            if version is not None and version != self.version(key):
                raise ReplacedError(
                    f"{episode.video.name} was replaced by another file since it was opened here; put the old one "
                    "back, or move its annotation away to label the new one"
                )
            present, present_revision = self.load(key)
            finished, missing = self._finish(episode, marking)
            if marking == present:  # also a save whose reply was lost on its way back
                return Saved(present_revision, missing)
            folder = episode.annotation.absolute().parent
            if revision != present_revision and not folder.is_dir():  # an unplugged disk is no conflict
                raise FileNotFoundError(errno.ENOENT, "the folder is not there", str(folder))
            if revision != present_revision:
                raise ConflictError(f"{episode.video.name} was changed elsewhere since it was loaded here")
            if finished is not None:
                write_annotation(episode.annotation, finished)
                episode.marking_file.unlink(missing_ok=True)
            else:
                self._write_marking(episode.marking_file, episode, marking)
            return Saved(_revision(episode), missing)

    def keep_copy(self, key: str, marking: Marking) -> Path:
        """Write a marking that lost a conflict beside the annotation, under a name of its own; overwrite nothing."""
        episode = self.episode(key)
        path = _copy_name(episode, json.dumps(marking.to_document()).encode())
        self._write_marking(path, episode, marking)
        return path

    def finish(self, key: str, marking: Marking) -> Annotation:
        """Return a marking as a finished annotation; a `ValueError` names what is missing."""
        with self._lock_of(key):
            episode = self.episode(key)
            reader, present = self.reader(key), self._annotation(episode)
            hidden = {name: getattr(present, name) for name in HIDDEN_FIELDS} if present is not None else {}
            return marking.to_annotation(
                video=_relative_path(episode, episode.video),
                fingerprint=reader.fingerprint,
                num_frames=len(reader),
                fps=reader.fps,
                cameras=self._cameras(episode, present),
                **hidden,
            )

    def clear(self, key: str, revision: str) -> tuple[str, str | None]:
        """Take the annotation and the marking of an episode away; returns the new revision and the name of the copy.

        What was marked is kept beside them under a name that no command reads; None where nothing was there.

        Raises:
            ConflictError: The state on disk was changed.
            ValueError: See `load`.
            OSError: A file cannot be written.
        """
        episode = self.episode(key)
        with self._lock_of(key):
            if revision != _revision(episode):
                raise ConflictError(f"{episode.video.name} was changed elsewhere since it was loaded here")
            kept = None
            for path in (episode.annotation, episode.marking_file):
                if path.exists():
                    kept = _copy_name(episode, path.read_bytes())
                    path.replace(kept)
            return _revision(episode), kept.name if kept else None

    def _finish(self, episode: Episode, marking: Marking) -> tuple[Annotation | None, str | None]:
        try:
            return self.finish(episode.id, marking), None
        except ValueError as error:
            return None, str(error)

    def _cameras(self, episode: Episode, present: Annotation | None) -> tuple[Camera, ...]:
        """Return the cameras of this page, then the annotation's other cameras."""
        cameras = [
            Camera(name, _relative_path(episode, path), self.reader(episode.id, number).fingerprint)
            for number, (name, path) in enumerate(episode.cameras)
            if number > 0
        ]
        names = {camera.name for camera in cameras}
        return (*cameras, *(camera for camera in (present.cameras if present else ()) if camera.name not in names))

    def _annotation(self, episode: Episode) -> Annotation | None:
        """Return the finished annotation, None where there is none; a `ValueError` where it is of another video."""
        reader = self.reader(episode.id)
        if not episode.annotation.exists():
            return None
        try:
            annotation = read_annotation(episode.annotation)
        except ValueError as error:
            raise ValueError(
                f"{error}; it was not changed: move it away, or choose another folder (--output)"
            ) from None
        if not has_fingerprint(reader, annotation.fingerprint):
            raise ValueError(
                f"annotation {episode.annotation} belongs to another file ({annotation.num_frames} frames) than "
                f"{episode.video} ({len(reader)} frames); restore the video, or move the annotation away"
            )
        return annotation

    def _read_marking(self, episode: Episode) -> Marking:
        try:
            document = json.loads(episode.marking_file.read_text(encoding="utf-8"))
            marking = Marking.from_document(document)
            if not has_fingerprint(self.reader(episode.id), str(document.get("fingerprint"))):
                raise ValueError("it belongs to another video")
        except (ValueError, OSError) as error:
            raise ValueError(
                f"unfinished marking {episode.marking_file}: {error}; correct it, or move it away to start again"
            ) from None
        return marking

    def _write_marking(self, path: Path, episode: Episode, marking: Marking) -> None:
        document: dict[str, Any] = {"fingerprint": self.reader(episode.id).fingerprint} | marking.to_document()
        write_text_atomically(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _relative_path(episode: Episode, video: Path) -> str:
    """Return the path of a video relative to the episode's annotation file."""
    return Path(os.path.relpath(video.absolute(), episode.annotation.absolute().parent)).as_posix()


def _copy_name(episode: Episode, content: bytes) -> Path:
    """Return the file beside the annotation for a copy that `*.json` does not match."""
    return episode.annotation.with_name(f"{episode.annotation.name}.kept-{hashlib.sha256(content).hexdigest()[:8]}")


def _revision(episode: Episode) -> str:
    """Return a digest of the state on disk: the same after a restart, another one after a change by another program."""
    digest = hashlib.sha256()
    for path in (episode.annotation, episode.marking_file):
        digest.update(path.read_bytes() if path.exists() else b"")
        digest.update(b"\0")
    return digest.hexdigest()[:16]
