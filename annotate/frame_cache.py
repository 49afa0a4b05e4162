"""Frame i of an episode as JPEG: decoded on demand, kept in memory, encoded ahead in the background.

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

MAX_BOX = (960, 960)  # greatest width, height of a picture
CACHE_BYTES = 128 << 20
OPEN_DECODERS = 3  # a decoder of 720p holds some 20 MB
READ_AHEAD = 16  # a frame at most so far ahead is reached by decoding on, not by a seek
BLOCK, BLOCK_BACKWARD = 8, 32  # a seek begins at a multiple of this, to find neighbours in the cache later
QUIET_SEC = 0.15

Key = tuple[str, int]  # episode id, camera number


class FrameCache:
    """JPEGs of one store's frames, the least recently used ones dropped beyond `max_bytes`.

    Each video has one decoder with a lock: neighbouring frames are decoded once, in order.
    """

    def __init__(self, store: Store, max_bytes: int = CACHE_BYTES) -> None:
        self._store, self._max_bytes, self._bytes = store, max_bytes, 0
        self._jpegs: OrderedDict[tuple[VideoReader, int], bytes] = OrderedDict()
        self._decoders: OrderedDict[Key, _Decoder] = OrderedDict()
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
            decoder = self._decoder((key, camera), reader)
        with decoder.lock:
            with self._lock:
                cached = self._cached(reader, index)
            if cached is not None:
                return cached
            for position, frame in decoder.frames_up_to(index):
                data = encode_jpeg(frame)
                self._keep(reader, position, data)
            self._last_request = time.monotonic()
            return data

    def fill(self, key: str, camera: int, wanted: Callable[[], bool]) -> None:
        """Encode the missing frames of one video, in order, until memory is full or they are not wanted any more.

        Waits while somebody requests frames.
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
        """Whether nobody has requested a frame for a moment."""
        return time.monotonic() - self._last_request > QUIET_SEC

    def _decoder(self, key: Key, reader: VideoReader) -> _Decoder:
        decoder = self._decoders.get(key)
        if decoder is None or decoder.reader is not reader:
            decoder = self._decoders[key] = _Decoder(reader)
        self._decoders.move_to_end(key)
        while len(self._decoders) > OPEN_DECODERS:
            self._decoders.popitem(last=False)
        return decoder

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


class _Decoder:
    """A video with its position in decoding order: the next frame costs one decode, any other a seek."""

    def __init__(self, reader: VideoReader) -> None:
        self.lock = threading.Lock()
        self.reader = reader
        self._frames: Iterator[tuple[int, np.ndarray]] = iter(())
        self._next = -1

    def frames_up_to(self, index: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the frames from the position (after a seek: from a little before `index`) up to `index`."""
        if not 0 <= self._next <= index < self._next + READ_AHEAD:
            backward = 0 < self._next - index <= 2 * BLOCK_BACKWARD
            block = BLOCK_BACKWARD if backward else BLOCK
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
