"""The open videos of the queue: one reader per camera, opened anew when its file is replaced.

Knows files, readers and fingerprints; does not know annotations or pictures.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

from annotate.queue import Episode
from dataset.video import VideoError, VideoReader


@dataclass(frozen=True)
class _Opened:
    """A video, and the state of its file when it was opened."""

    stamp: tuple[int, int, int]  # time of change, size, inode
    reader: VideoReader


class OpenVideos:
    """Readers by episode and camera; safe to use from several threads."""

    def __init__(self) -> None:
        self._opened: dict[Path, _Opened] = {}
        self._lock = threading.Lock()  # held for a moment only
        self._locks: dict[Path, threading.Lock] = {}  # held while that file is indexed

    def reader(self, episode: Episode, camera: int = 0) -> VideoReader:
        """Return the reader of one camera's present video; indexed on first use.

        Raises:
            VideoError: The file cannot be read, or the camera has other frames than the annotated video.
        """
        if not 0 <= camera < len(episode.cameras):
            raise VideoError(f"{episode.video.name} has {len(episode.cameras)} camera(s); there is no number {camera}")
        reader = self._open(episode.cameras[camera][1]).reader
        expected = len(self._open(episode.video).reader)
        if len(reader) != expected:
            name, path = episode.cameras[camera]
            raise VideoError(
                f"camera {name}: {path} has {len(reader)} frames, {episode.video} has {expected}; cameras of one "
                "episode must have the same frames"
            )
        return reader

    def version(self, episode: Episode) -> str:
        """Return a digest of the present videos of all cameras; picture addresses contain it."""
        fingerprints = [self._open(path).reader.fingerprint for _, path in episode.cameras]
        return hashlib.sha256(" ".join(fingerprints).encode()).hexdigest()[:16]

    def _open(self, path: Path) -> _Opened:
        try:
            status = path.stat()
        except OSError as error:
            raise VideoError(f"video {path}: cannot be read ({error.strerror}); check the path") from None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        with self._lock:
            lock = self._locks.setdefault(path, threading.Lock())
        with lock:
            opened = self._opened.get(path)
            if opened is None or opened.stamp != stamp:
                opened = _Opened(stamp, VideoReader(path))
                self._opened[path] = opened
            return opened
