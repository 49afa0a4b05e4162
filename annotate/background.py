"""The background pass over the episode that was opened last: filmstrip, stage proposals, then JPEGs for scrubbing.

Knows readers, thumbnails and proposals; pauses while people step through frames. Does not know HTTP.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from annotate.frame_cache import FrameCache, to_jpeg
from annotate.proposals import frame_feature, propose_boundaries
from annotate.store import Store
from dataset.video import VideoError, VideoReader

STRIP_BOX = (96, 54)  # width, height of a thumbnail
STRIP_COUNT = 96


@dataclass
class Scan:
    """What was read of one video so far.

    Args:
        num_frames: Frames of the video.
        scanned: Frames read so far.
        proposals: Where stages may begin; None until the video was read to its end.
        problem: Why reading stopped.
        strip: Thumbnails side by side, evenly spaced in time; empty ones are black.
    """

    num_frames: int
    scanned: int = 0
    proposals: list[int] | None = None
    problem: str | None = None
    strip: Image.Image | None = field(default=None, repr=False)


class BackgroundScanner:
    """Reads one episode at a time, the one opened last; keeps the scan of every video."""

    def __init__(self, store: Store, cache: FrameCache) -> None:
        self._store, self._cache = store, cache
        self._scans: dict[VideoReader, Scan] = {}
        self._current: str | None = None  # id of the episode to read
        self._lock = threading.Lock()

    def scan(self, key: str) -> Scan:
        """Return the scan of an episode so far; start or continue it in the background."""
        reader = self._store.reader(key)
        with self._lock:
            scan = self._scans.setdefault(reader, Scan(len(reader)))
            if self._current != key:
                self._current = key
                threading.Thread(target=self._work, args=(key, reader, scan), daemon=True).start()
        return scan

    def strip_jpeg(self, key: str) -> bytes:
        """Return the filmstrip as far as the video was read."""
        strip = self.scan(key).strip
        return to_jpeg(strip or Image.new("RGB", (1, 1)), 75)

    def _work(self, key: str, reader: VideoReader, scan: Scan) -> None:
        def is_current() -> bool:
            return self._current == key

        try:
            if scan.proposals is None and scan.problem is None:
                self._read(reader, scan, is_current)
            for camera in range(len(self._store.episode(key).cameras)):
                self._cache.fill(key, camera, is_current)
        except VideoError as error:
            scan.problem = str(error)

    def _read(self, reader: VideoReader, scan: Scan, is_current: Callable[[], bool]) -> None:
        count = strip_count(len(reader))
        slots = {strip_frame(slot, count, len(reader)): slot for slot in range(count)}
        features: list[np.ndarray] = []
        for index, frame in reader.iter_frames(fit=STRIP_BOX):
            while is_current() and not self._cache.quiet:
                time.sleep(0.02)
            if not is_current():
                scan.scanned = 0
                return
            features.append(frame_feature(frame))
            if index in slots:
                _paste(scan, frame, slots[index], count)
            scan.scanned = index + 1
        scan.proposals = propose_boundaries(np.stack(features), reader.fps)


def strip_count(num_frames: int) -> int:
    """Return how many thumbnails the strip of a video has."""
    return min(num_frames, STRIP_COUNT)


def strip_frame(slot: int, count: int, num_frames: int) -> int:
    """Return the frame in a slot of the strip: the middle of its share of time."""
    return (2 * slot + 1) * num_frames // (2 * count)


def _paste(scan: Scan, frame: np.ndarray, slot: int, count: int) -> None:
    height, width = frame.shape[:2]
    if scan.strip is None:
        scan.strip = Image.new("RGB", (width * count, height))
    scan.strip.paste(Image.fromarray(frame), (slot * width, 0))
