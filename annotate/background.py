"""The background pass over the open episodes: filmstrip, stage proposals, then JPEGs for scrubbing.

Knows readers, thumbnails and proposals; pauses while people step through frames. Does not know HTTP or which tabs are
open: an episode counts as open while its page asks for the scan.
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


WANTED_SEC = 10.0  # a page asks several times a second until its scan ends


@dataclass
class Scan:
    """What was read of one video so far.

    Args:
        num_frames: Frames of the video.
        proposals: Where stages may begin; None until the video was read to its end.
        problem: Why reading stopped.
        strip: Thumbnails side by side, evenly spaced in time; empty ones are black.
        features: One per frame read so far.
        asked: When a page asked for it last, by the monotonic clock.
        running: Whether a thread reads the video.
    """

    num_frames: int
    proposals: list[int] | None = None
    problem: str | None = None
    strip: Image.Image | None = field(default=None, repr=False)
    features: list[np.ndarray] = field(default_factory=list, repr=False)
    asked: float = 0.0
    running: bool = False

    @property
    def scanned(self) -> int:
        """How many frames were read."""
        return self.num_frames if self.proposals is not None else len(self.features)


class BackgroundScanner:
    """Reads every open episode in a thread of its own, and keeps what was read of every video.

    A scan that nobody asks for any more stops, and goes on where it stopped when somebody asks again.
    """

    def __init__(self, store: Store, cache: FrameCache) -> None:
        self._store, self._cache = store, cache
        self._scans: dict[VideoReader, Scan] = {}
        self._latest: Scan | None = None  # of the episode that was opened last: only its JPEGs are made to the end
        self._lock = threading.Lock()

    def scan(self, key: str) -> Scan:
        """Return the scan of an episode so far; start or continue it in the background."""
        reader = self._store.reader(key)
        with self._lock:
            new = reader not in self._scans
            scan = self._scans.setdefault(reader, Scan(len(reader)))
            if new or time.monotonic() - scan.asked > WANTED_SEC:
                self._latest = scan
            scan.asked = time.monotonic()
            if not scan.running and scan.problem is None and (scan.proposals is None or self._latest is scan):
                scan.running = True
                name = f"scan {reader.path}"
                threading.Thread(target=self._work, args=(key, reader, scan), name=name, daemon=True).start()
        return scan

    def strip_jpeg(self, key: str) -> bytes:
        """Return the filmstrip as far as the video was read."""
        strip = self.scan(key).strip
        return to_jpeg(strip or Image.new("RGB", (1, 1)), 75)

    def _work(self, key: str, reader: VideoReader, scan: Scan) -> None:
        try:
            if scan.proposals is None:
                self._read(reader, scan)
            for camera in range(len(self._store.episode(key).cameras)):
                self._cache.fill(key, camera, lambda: self._wanted(scan))
        except VideoError as error:
            scan.problem = str(error)
        except Exception as error:
            scan.problem = (
                f"{self._store.episode(key).video.name} was not read to its end ({type(error).__name__}: {error}), so "
                "it has no proposals; the terminal of `python -m annotate` shows where"
            )
            raise
        finally:
            with self._lock:
                scan.running = False

    def _wanted(self, scan: Scan) -> bool:
        return scan is self._latest or time.monotonic() - scan.asked < WANTED_SEC

    def _read(self, reader: VideoReader, scan: Scan) -> None:
        count = strip_count(len(reader))
        slots = {strip_frame(slot, count, len(reader)): slot for slot in range(count)}
        for index, frame in reader.iter_frames(range(len(scan.features), len(reader)), fit=STRIP_BOX):
            while self._wanted(scan) and not self._cache.quiet:
                time.sleep(0.02)
            if not self._wanted(scan):
                return
            if index in slots:
                _paste(scan, frame, slots[index], count)
            scan.features.append(frame_feature(frame))
        scan.proposals = propose_boundaries(np.stack(scan.features), reader.fps)
        scan.features.clear()


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
