"""Frame i of an episode as JPEG: decoded on demand, kept in memory, filled up in the background.

Knows the store's readers and JPEG; the frames are those that samples are made of. Does not know HTTP or stages.
"""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from annotate.store import Store
from dataset.video import VideoReader

MAX_BOX = (960, 960)  # width, height of what the page shows
CACHE_BYTES = 128 << 20
OPEN_STREAMS = 3  # a decoder of 720p holds some 20 MB
READ_AHEAD = 16
BLOCK, BLOCK_BACKWARD = 8, 32
QUIET_SEC = 0.15

Key = tuple[str, int]  # episode id, camera number


class FrameCache:
    """JPEGs of one store's frames, the least recently used ones dropped beyond `max_bytes`.

    Each video has one lock and one place in its stream: neighbouring frames are decoded once, in order.
    """

    def __init__(self, store: Store, max_bytes: int = CACHE_BYTES) -> None:
        self._store, self._max_bytes, self._bytes = store, max_bytes, 0
        self._jpegs: OrderedDict[tuple[VideoReader, int], bytes] = OrderedDict()
        self._streams: OrderedDict[Key, _Stream] = OrderedDict()
        self._lock = threading.Lock()
        self._last_request = 0.0

    def jpeg(self, key: str, index: int, camera: int = 0) -> bytes:
        """Return frame `index` of episode `key`, scaled down into `MAX_BOX`."""
        self._last_request = time.monotonic()
        reader = self._store.reader(key, camera)
        with self._lock:
            cached = self._cached(reader, index)
            if cached is not None:
                return cached
            stream = self._stream((key, camera), reader)
        with stream.lock:
            with self._lock:
                cached = self._cached(reader, index)
            if cached is not None:
                return cached
            for passed, frame in stream.frames_up_to(index):
                data = encode_jpeg(frame)
                self._keep(reader, passed, data)
            self._last_request = time.monotonic()
            return data

    def fill(self, key: str, camera: int, wanted: Callable[[], bool]) -> None:
        """Encode what is missing of one video, in order, until memory is used up or nobody wants it any more.

        Makes way for people: waits while frames are asked for.
        """
        reader = self._store.reader(key, camera)
        for index, frame in reader.iter_frames(fit=MAX_BOX):
            while wanted() and not self.quiet:
                time.sleep(0.02)
            with self._lock:
                full = self._bytes > 0.9 * self._max_bytes
                missing = (reader, index) not in self._jpegs
            if full or not wanted():
                return
            if missing:
                self._keep(reader, index, encode_jpeg(frame))

    @property
    def quiet(self) -> bool:
        """Whether nobody has asked for a frame in the last moments."""
        return time.monotonic() - self._last_request > QUIET_SEC

    def _stream(self, key: Key, reader: VideoReader) -> _Stream:
        stream = self._streams.get(key)
        if stream is None or stream.reader is not reader:
            stream = self._streams[key] = _Stream(reader)
        self._streams.move_to_end(key)
        while len(self._streams) > OPEN_STREAMS:
            self._streams.popitem(last=False)
        return stream

    def _cached(self, reader: VideoReader, index: int) -> bytes | None:
        data = self._jpegs.get((reader, index))
        if data is not None:
            self._jpegs.move_to_end((reader, index))
        return data

    def _keep(self, reader: VideoReader, index: int, data: bytes) -> None:
        with self._lock:
            self._bytes += len(data) - len(self._jpegs.pop((reader, index), b""))
            self._jpegs[reader, index] = data
            while self._bytes > self._max_bytes and len(self._jpegs) > 1:
                self._bytes -= len(self._jpegs.popitem(last=False)[1])


class _Stream:
    """One video's place in decoding order: reading on costs one frame, jumping costs a seek."""

    def __init__(self, reader: VideoReader) -> None:
        self.lock = threading.Lock()
        self.reader = reader
        self._frames: Iterator[tuple[int, np.ndarray]] = iter(())
        self._next = -1

    def frames_up_to(self, index: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the frames from here (or from a little before `index`, after a jump) up to `index`."""
        if not 0 <= self._next <= index < self._next + READ_AHEAD:
            backward = 0 < self._next - index <= 2 * BLOCK_BACKWARD
            block = BLOCK_BACKWARD if backward else BLOCK  # stepping back then finds the frames before it in the cache
            self._next = index - index % block
            self._frames = self.reader.iter_frames(range(self._next, len(self.reader)), fit=MAX_BOX)
        try:
            while self._next <= index:
                frame = next(self._frames)
                self._next += 1
                yield frame
        except BaseException:
            self._next = -1
            raise


def encode_jpeg(frame: np.ndarray) -> bytes:
    """Encode an RGB frame, shape (H, W, 3)."""
    return to_jpeg(Image.fromarray(frame), 85)


def to_jpeg(image: Image.Image, quality: int) -> bytes:
    """Return a picture as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
