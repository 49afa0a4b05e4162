"""The background pass over an episode that somebody opened: filmstrip, stage proposals, then JPEGs for scrubbing.

Knows readers, thumbnails and proposals; makes way for people who step through frames. Does not know HTTP.
"""

from __future__ import annotations

import threading
import time
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
    """What is known of one video so far.

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


class Scanner:
    """Reads one episode at a time, the one opened last; keeps what it found."""

    def __init__(self, store: Store, cache: FrameCache) -> None:
        self._store, self._cache = store, cache
        self._scans: dict[VideoReader, Scan] = {}
        self._wanted: str | None = None
        self._lock = threading.Lock()

    def scan(self, key: str) -> Scan:
        """Return what is known of an episode; begin or go on reading it in the background."""
        reader = self._store.reader(key)
        with self._lock:
            known = self._scans.setdefault(reader, Scan(len(reader)))
            if self._wanted != key:
                self._wanted = key
                threading.Thread(target=self._work, args=(key, reader, known), daemon=True).start()
        return known

    def strip_jpeg(self, key: str) -> bytes:
        """Return the filmstrip as far as it is known."""
        known = self.scan(key)
        if known.strip is None:
            return to_jpeg(Image.new("RGB", (1, 1)), 75)
        return to_jpeg(known.strip, 75)

    def _work(self, key: str, reader: VideoReader, known: Scan) -> None:
        def wanted() -> bool:
            return self._wanted == key

        try:
            if known.proposals is None and known.problem is None:
                self._read(reader, known, wanted)
            for camera in range(len(self._store.episode(key).cameras)):
                self._cache.fill(key, camera, wanted)
        except VideoError as error:
            known.problem = str(error)

    def _read(self, reader: VideoReader, known: Scan, wanted) -> None:
        count = strip_count(len(reader))
        slots = {strip_frame(k, count, len(reader)): k for k in range(count)}
        features: list[np.ndarray] = []
        for index, frame in reader.iter_frames(fit=STRIP_BOX):
            while wanted() and not self._cache.quiet:
                time.sleep(0.02)
            if not wanted():
                known.scanned = 0
                return
            features.append(frame_feature(frame))
            if index in slots:
                self._paste(known, frame, slots[index], count)
            known.scanned = index + 1
        known.proposals = propose_boundaries(np.stack(features), reader.fps)

    def _paste(self, known: Scan, frame: np.ndarray, slot: int, count: int) -> None:
        height, width = frame.shape[:2]
        if known.strip is None:
            known.strip = Image.new("RGB", (width * count, height))
        known.strip.paste(Image.fromarray(frame), (slot * width, 0))


def strip_count(num_frames: int) -> int:
    """Return how many thumbnails the strip of a video has."""
    return min(num_frames, STRIP_COUNT)


def strip_frame(slot: int, count: int, num_frames: int) -> int:
    """Return the frame that a slot of the strip shows: the middle of its share of time."""
    return (2 * slot + 1) * num_frames // (2 * count)
