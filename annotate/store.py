"""The store: what has been marked in each episode, on disk, with a lock against overwriting other people's work.

Knows annotation and draft files; does not know the page. See `episodes` for the names of the files.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotate.marking import Draft
from annotate.queue import Episode, find_episodes
from annotate.readers import Videos
from dataset.annotation import Annotation, Camera
from dataset.annotation_file import read_annotation, write_annotation
from dataset.files import write_text_atomically
from dataset.video import VideoReader, has_fingerprint

KEPT_FIELDS = ("measured_progress", "annotator", "extra")  # of an earlier annotation: the page does not show them


class ConflictError(ValueError):
    """Somebody else (another tab, an editor) changed the episode since it was loaded."""


class ReplacedError(ValueError):
    """The video is another file than the one the page shows."""


@dataclass(frozen=True)
class Saved:
    """What a save did.

    Args:
        revision: Name of the new state; the next save must bring it along.
        missing: Why the state is a draft still; None when the annotation was written.
    """

    revision: str
    missing: str | None


@dataclass
class Store:
    """The episodes that one server works on; safe to use from several threads.

    Args:
        episodes: By id, in the order of the queue.
        task: Task text of episodes that have none yet; may be blank, then the episode before gives its own.
        videos: Their readers.
    """

    episodes: dict[str, Episode]
    task: str
    videos: Videos = field(default_factory=Videos, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @classmethod
    def open(
        cls,
        videos: Iterable[str | Path],
        task: str = "",
        output: str | Path | None = None,
        cameras: Mapping[str, str | Path] | None = None,
    ) -> Store:
        """Find the videos and where their annotations go; see `episodes.find_episodes`.

        Raises:
            ValueError: A path is missing, no video is there, or the only one cannot be read.
        """
        store = cls(find_episodes(videos, output, cameras), task.strip())
        if len(store.episodes) == 1:
            store.load(next(iter(store.episodes)))
        return store

    def episode(self, key: object) -> Episode:
        """Look an id up.

        Raises:
            ValueError: It is not in the queue.
        """
        if not isinstance(key, str) or key not in self.episodes:
            raise ValueError(f"there is no episode {str(key)[:40]!r} here; choose one in the list")
        return self.episodes[key]

    def reader(self, key: str, camera: int = 0) -> VideoReader:
        """Return the reader of an episode's video; indexed on first use."""
        return self.videos.reader(self.episode(key), camera)

    def version(self, key: str) -> str:
        """Return a name of what the episode's videos hold now."""
        return self.videos.version(self.episode(key))

    def next_unlabelled(self, key: str | None = None) -> str:
        """Return the next episode that is not finished, going round; the one given when all are."""
        keys = list(self.episodes)
        start = keys.index(key) + 1 if key in self.episodes else 0
        waiting = (k for k in keys[start:] + keys[:start] if self.episodes[k].status != "labelled")
        return next(waiting, key if key in self.episodes else keys[0])

    def load(self, key: str) -> tuple[Draft, str]:
        """Return the present state of an episode and its revision.

        Raises:
            ValueError: The video or a file beside it cannot be read, or the file belongs to another video.
        """
        episode = self.episode(key)
        with self._lock:
            revision = _revision(episode)
            annotation = self._annotation(episode)
            if episode.draft.exists():
                return self._read_draft(episode), revision
            return Draft.from_annotation(annotation) if annotation else Draft(self._first_task(key)), revision

    def save(self, key: str, draft: Draft, revision: str, version: str | None = None) -> Saved:
        """Write the annotation when it is finished, else the draft.

        A draft never touches an annotation that was finished before; finishing replaces both in one step.

        Args:
            key: Id of the episode.
            draft: The new state.
            revision: Of the state that the new one grew from.
            version: Of the videos that the new one was made on; see `version`. None: not known.

        Raises:
            ReplacedError: The video is another one by now.
            ConflictError: The state on disk is another one by now.
            ValueError: See `load`.
            OSError: The disk refuses.
        """
        episode = self.episode(key)
        with self._lock:
            if version is not None and version != self.version(key):
                raise ReplacedError(
                    f"{episode.video.name} was replaced by another file since it was opened here; put the old one "
                    "back, or move its annotation away to label the new one"
                )
            present, present_revision = self.load(key)
            finished, missing = self._finish(episode, draft)
            if draft == present:  # also: a save whose answer was lost on its way back
                return Saved(present_revision, missing)
            home = episode.annotation.absolute().parent
            if revision != present_revision and not home.is_dir():  # unplugged: nobody else's work is there to keep
                raise FileNotFoundError(errno.ENOENT, "the folder is not there", str(home))
            if revision != present_revision:
                raise ConflictError(f"{episode.video.name} was changed elsewhere since it was loaded here")
            if finished is not None:
                write_annotation(episode.annotation, finished)
                episode.draft.unlink(missing_ok=True)
            else:
                self._write_draft(episode.draft, episode, draft)
            return Saved(_revision(episode), missing)

    def keep_copy(self, key: str, draft: Draft) -> Path:
        """Write a state that lost a conflict beside the annotation, under a name of its own; nothing is overwritten."""
        episode = self.episode(key)
        digest = hashlib.sha256(json.dumps(draft.to_document()).encode()).hexdigest()[:8]
        path = episode.annotation.with_name(f"{episode.annotation.name}.kept-{digest}")
        self._write_draft(path, episode, draft)
        return path

    def missing(self, key: str) -> str | None:
        """Say what an episode still needs to be finished; None when it is."""
        with self._lock:
            return self._finish(self.episode(key), self.load(key)[0])[1]

    def finish(self, key: str, draft: Draft) -> Annotation:
        """Return the annotation that a draft amounts to; a `ValueError` says what is missing."""
        with self._lock:
            episode = self.episode(key)
            reader, earlier = self.reader(key), self._annotation(episode)
            kept = {} if earlier is None else {key: getattr(earlier, key) for key in KEPT_FIELDS}
            return draft.to_annotation(
                video=_seen_from(episode, episode.video),
                fingerprint=reader.fingerprint,
                num_frames=len(reader),
                fps=reader.fps,
                cameras=self._cameras(episode, earlier),
                **kept,
            )

    def earlier(self, key: str) -> tuple[Draft, int] | None:
        """Return what was marked in the nearest episode before (else after) that has stages, and its frame count."""
        keys = list(self.episodes)
        at = keys.index(key)
        for other in keys[:at][::-1] + keys[at + 1 :]:
            for draft in self._written(other):
                if draft.stages:
                    return draft, len(self.reader(other))
        return None

    def _first_task(self, key: str) -> str:
        """Return the task text of an episode that nobody has touched: the command line's, else the one before's."""
        keys = list(self.episodes)
        earlier = (draft.task for other in keys[: keys.index(key)][::-1] for draft in self._written(other))
        return self.task or next((task for task in earlier if task), "")

    def _written(self, key: str) -> Iterator[Draft]:
        """Yield the state on disk of another episode, if there is a sound one; its own page tells what is wrong."""
        episode = self.episodes[key]
        try:
            if episode.draft.exists():
                yield Draft.from_document(json.loads(episode.draft.read_text(encoding="utf-8")))
            elif episode.annotation.exists():
                yield Draft.from_annotation(read_annotation(episode.annotation))
        except (ValueError, OSError):
            return

    def _finish(self, episode: Episode, draft: Draft) -> tuple[Annotation | None, str | None]:
        try:
            return self.finish(episode.id, draft), None
        except ValueError as error:
            return None, str(error)

    def _cameras(self, episode: Episode, earlier: Annotation | None) -> tuple[Camera, ...]:
        """Return the cameras shown, then those that the annotation had and this page does not show."""
        shown = [
            Camera(name, _seen_from(episode, path), self.reader(episode.id, number).fingerprint)
            for number, (name, path) in enumerate(episode.cameras)
            if number > 0
        ]
        names = {camera.name for camera in shown}
        return (*shown, *(camera for camera in (earlier.cameras if earlier else ()) if camera.name not in names))

    def _annotation(self, episode: Episode) -> Annotation | None:
        """Return the finished annotation, None where there is none; refuse one of another video."""
        reader = self.reader(episode.id)
        if not episode.annotation.exists():
            return None
        try:
            annotation = read_annotation(episode.annotation)
        except ValueError as error:
            raise ValueError(f"{error}; it stays as it is: move it away, or choose another folder (--output)") from None
        if not has_fingerprint(reader, annotation.fingerprint):
            raise ValueError(
                f"annotation {episode.annotation} belongs to another file ({annotation.num_frames} frames) than "
                f"{episode.video} ({len(reader)} frames); restore the video, or move the annotation away"
            )
        return annotation

    def _read_draft(self, episode: Episode) -> Draft:
        try:
            document = json.loads(episode.draft.read_text(encoding="utf-8"))
            draft = Draft.from_document(document)
            if not has_fingerprint(self.reader(episode.id), str(document.get("fingerprint"))):
                raise ValueError("it belongs to another video")
        except (ValueError, OSError) as error:
            raise ValueError(f"draft {episode.draft}: {error}; mend it, or move it away to start again") from None
        return draft

    def _write_draft(self, path: Path, episode: Episode, draft: Draft) -> None:
        document: dict[str, Any] = {"fingerprint": self.reader(episode.id).fingerprint} | draft.to_document()
        write_text_atomically(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _seen_from(episode: Episode, video: Path) -> str:
    """Return the path of a video relative to the episode's annotation file."""
    return Path(os.path.relpath(video.absolute(), episode.annotation.absolute().parent)).as_posix()


def _revision(episode: Episode) -> str:
    """Name the state on disk by its content, so that it survives restarts and notices other programs."""
    digest = hashlib.sha256()
    for path in (episode.annotation, episode.draft):
        digest.update(path.read_bytes() if path.exists() else b"")
        digest.update(b"\0")
    return digest.hexdigest()[:16]
