"""Indexes of video files in memory: a file is demuxed once, however many readers open it in this process.

Knows files by number, size and times; a file that was changed is read again. Does not know how a file is demuxed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

Index = TypeVar("Index")
MOST_FRAMES = 4_000_000  # of all indexes together; some 40 bytes each
SETTLED_SEC = 0.1  # a file that was just written may be written again without a new time


class IndexCache(Generic[Index]):
    """Keeps what `read` returns for a file, up to `MOST_FRAMES` frames; the files that were added first go first.

    Args:
        read: Reads the index of a file. Files are read without a lock: a long one keeps nobody waiting.
        frames: Counts the frames of an index.
    """

    def __init__(self, read: Callable[[Path], Index], frames: Callable[[Index], int]) -> None:
        self._read, self._frames = read, frames
        self._kept: dict[tuple[int, ...], Index] = {}
        self._lock = threading.Lock()

    def get(self, path: Path) -> Index:
        """Return the index of a file; what `read` raises is passed on."""
        try:
            state = path.stat()
        except OSError:
            return self._read(path)  # it says what is wrong
        key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        with self._lock:
            if key in self._kept:
                return self._kept[key]
        index = self._read(path)
        if time.time() - max(state.st_mtime, state.st_ctime) < SETTLED_SEC:
            return index
        with self._lock:
            self._kept[key] = index
            total = sum(map(self._frames, self._kept.values()))
            while total > MOST_FRAMES and len(self._kept) > 1:
                total -= self._frames(self._kept.pop(next(iter(self._kept))))
        return index
