"""The queue: videos, their ids, their annotation files and the drafts of those that are not finished.

Knows files; does not know the page. Browsers name episodes by id, never by path. A finished annotation is
`<stem>.json`; an unfinished one is `<stem>.json.draft`, so that `*.json` never picks it up.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from annotate.draft import Draft
from dataset.annotation import Annotation, read_annotation, write_annotation, write_text_atomically
from dataset.video import VideoReader, has_fingerprint

VIDEO_SUFFIXES = frozenset([".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm"])


class ConflictError(ValueError):
    """Somebody else (another tab, an editor) changed the episode since it was loaded."""


@dataclass(frozen=True)
class Episode:
    """One video of the queue.

    Args:
        id: Stable name for browsers: derived from the path, the same after a restart.
        video: The file.
        annotation: Where its finished annotation goes.
    """

    id: str
    video: Path
    annotation: Path

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
        task: Task text of episodes that have none yet.
    """

    episodes: dict[str, Episode]
    task: str
    _fingerprints: dict[str, str] = field(default_factory=dict, repr=False)
    _readers: dict[str, VideoReader] = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @classmethod
    def open(cls, videos: Iterable[str | Path], task: str, output: str | Path | None = None) -> Store:
        """Find the videos and where their annotations go.

        Args:
            videos: Files, or folders whose videos are taken in the order of their names.
            task: Task text of episodes that have none yet.
            output: Folder of the annotations; beside each video by default.

        Raises:
            ValueError: A path is missing, no video is there or readable, or two share an annotation file.
        """
        if not task.strip():
            raise ValueError('the task text is empty; say what the robot shall do: --task "Open the drawer"')
        episodes: dict[str, Episode] = {}
        homes: dict[Path, Path] = {}
        for video in _find(videos):
            annotation = Path(output or video.parent) / f"{video.stem}.json"
            other = homes.setdefault(annotation.absolute(), video)
            if other != video:
                raise ValueError(
                    f"{other} and {video} would share the annotation {annotation}; give one of the videos another name"
                )
            key = hashlib.sha256(str(video.absolute()).encode()).hexdigest()[:12]
            episodes[key] = Episode(key, video, annotation)
        store = cls(episodes, task.strip())
        if len(episodes) == 1:
            store.load(next(iter(episodes)))
        return store

    def episode(self, key: object) -> Episode:
        """Look an id up.

        Raises:
            ValueError: It is not in the queue.
        """
        if not isinstance(key, str) or key not in self.episodes:
            raise ValueError(f"there is no episode {key!r} here; choose one in the list")
        return self.episodes[key]

    def reader(self, key: str) -> VideoReader:
        """Return the reader of an episode's video; indexed on first use."""
        with self._lock:
            if key not in self._readers:
                self._readers[key] = VideoReader(self.episode(key).video)
            return self._readers[key]

    def fingerprint(self, key: str) -> str:
        """Return the fingerprint of an episode's video, as it was when first used."""
        with self._lock:
            if key not in self._fingerprints:
                self._fingerprints[key] = self.reader(key).fingerprint
            return self._fingerprints[key]

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
            return Draft.from_annotation(annotation) if annotation else Draft(self.task), revision

    def save(self, key: str, draft: Draft, revision: str) -> Saved:
        """Write the annotation when it is finished, else the draft.

        A draft never touches an annotation that was finished before; finishing replaces both in one step.

        Args:
            key: Id of the episode.
            draft: The new state.
            revision: Of the state that the new one grew from.

        Raises:
            ConflictError: The state on disk is another one by now.
            ValueError: See `load`.
            OSError: The disk refuses.
        """
        episode = self.episode(key)
        with self._lock:
            present, present_revision = self.load(key)
            finished, missing = self._finish(episode, draft)
            if draft == present:  # also: a save whose answer was lost on its way back
                return Saved(present_revision, missing)
            if revision != present_revision:
                raise ConflictError(f"{episode.video.name} was changed elsewhere since it was loaded here")
            if finished is not None:
                write_annotation(episode.annotation, finished)
                episode.draft.unlink(missing_ok=True)
            else:
                document = {"fingerprint": self.fingerprint(key)} | draft.to_document()
                write_text_atomically(episode.draft, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
            return Saved(_revision(episode), missing)

    def missing(self, key: str) -> str | None:
        """Say what an episode still needs to be finished; None when it is."""
        with self._lock:
            return self._finish(self.episode(key), self.load(key)[0])[1]

    def _finish(self, episode: Episode, draft: Draft) -> tuple[Annotation | None, str | None]:
        reader, earlier = self.reader(episode.id), self._annotation(episode)
        try:
            finished = draft.to_annotation(
                video=Path(os.path.relpath(episode.video.absolute(), episode.annotation.absolute().parent)).as_posix(),
                fingerprint=self.fingerprint(episode.id),
                num_frames=len(reader),
                fps=reader.fps,
                measured_progress=earlier.measured_progress if earlier else None,
            )
        except ValueError as error:
            return None, str(error)
        return finished, None

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


def _find(paths: Iterable[str | Path]) -> list[Path]:
    """Return the video files; folders give theirs, not those of folders inside."""
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = [file for file in sorted(path.iterdir()) if file.suffix.lower() in VIDEO_SUFFIXES]
            if not inside:
                kinds = " ".join(sorted(VIDEO_SUFFIXES))
                raise ValueError(f"folder {path}: holds no video ({kinds}); name another folder or a file")
            found |= dict.fromkeys(inside)
        elif path.exists():
            found[path] = None
        else:
            raise ValueError(f"video {path}: no such file or folder; check the path")
    if not found:
        raise ValueError("no video was given; name a file or a folder: --video my.mp4")
    return list(found)


def _revision(episode: Episode) -> str:
    """Name the state on disk by its content, so that it survives restarts and notices other programs."""
    digest = hashlib.sha256()
    for path in (episode.annotation, episode.draft):
        digest.update(path.read_bytes() if path.exists() else b"")
        digest.update(b"\0")
    return digest.hexdigest()[:16]
