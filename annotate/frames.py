"""Pictures for the page: frame i of an episode as JPEG, and a strip of thumbnails.

Knows the store's readers and HTTP; the frames are those that samples are made of. Does not know stages.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

import numpy as np
from fastapi import APIRouter, HTTPException, Response
from PIL import Image

from annotate.store import Store
from dataset.video import VideoError, VideoReader

MAX_WIDTH = 960
STRIP_HEIGHT = 54
STRIP_COUNT = 48
CACHE_BYTES = 128 << 20
READ_AHEAD = 16


class FrameCache:
    """JPEGs of one store's frames, the least recently used ones dropped beyond `max_bytes`.

    Each video has one lock and one place in its stream: neighbouring frames are decoded once, in order.
    """

    def __init__(self, store: Store, max_bytes: int = CACHE_BYTES) -> None:
        self._store, self._max_bytes, self._bytes = store, max_bytes, 0
        self._jpegs: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._streams: dict[str, _Stream] = {}
        self._lock = threading.Lock()

    def jpeg(self, key: str, index: int) -> bytes:
        """Return frame `index` of episode `key`, at most `MAX_WIDTH` wide."""
        with self._lock:
            cached = self._cached(key, index)
            if cached is not None:
                return cached
            if key not in self._streams:
                self._streams[key] = _Stream(self._store.reader(key))
            stream = self._streams[key]
        with stream.lock:
            with self._lock:
                cached = self._cached(key, index)
            if cached is not None:
                return cached
            for passed, frame in stream.frames_up_to(index):
                data = encode_jpeg(frame)
                self._keep(key, passed, data)
            return data

    def _cached(self, key: str, index: int) -> bytes | None:
        data = self._jpegs.get((key, index))
        if data is not None:
            self._jpegs.move_to_end((key, index))
        return data

    def _keep(self, key: str, index: int, data: bytes) -> None:
        with self._lock:
            self._bytes += len(data) - len(self._jpegs.pop((key, index), b""))
            self._jpegs[key, index] = data
            while self._bytes > self._max_bytes and len(self._jpegs) > 1:
                self._bytes -= len(self._jpegs.popitem(last=False)[1])


class _Stream:
    """One video's place in decoding order: reading on costs one frame, jumping costs a seek."""

    def __init__(self, reader: VideoReader) -> None:
        self.lock = threading.Lock()
        self._reader = reader
        self._frames: Iterator[tuple[int, np.ndarray]] = iter(())
        self._next = -1

    def frames_up_to(self, index: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the frames from here (or from a little before `index`, after a jump) up to `index`."""
        if not 0 <= self._next <= index < self._next + READ_AHEAD:
            self._next = index - index % 8  # stepping back then finds the frames before it in the cache
            self._frames = self._reader.iter_frames(range(self._next, len(self._reader)))
        try:
            while self._next <= index:
                frame = next(self._frames)
                self._next += 1
                yield frame
        except BaseException:
            self._next = -1
            raise


def encode_jpeg(frame: np.ndarray, max_width: int = MAX_WIDTH) -> bytes:
    """Encode an RGB frame, shape (H, W, 3), scaled down to `max_width` where it is wider."""
    image = Image.fromarray(frame)
    if image.width > max_width:
        height = max(round(image.height * max_width / image.width), 1)
        image = image.resize((max_width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return _jpeg(image, quality=85)


def encode_strip(reader: VideoReader, count: int = STRIP_COUNT) -> bytes:
    """Return `strip_count` evenly spaced frames side by side, each `STRIP_HEIGHT` pixels high."""
    count = strip_count(len(reader), count)
    wanted = [(2 * k + 1) * len(reader) // (2 * count) for k in range(count)]
    thumbnails = []
    for _, frame in reader.iter_frames(wanted):
        image = Image.fromarray(frame)
        width = max(round(image.width * STRIP_HEIGHT / image.height), 1)
        thumbnails.append(image.resize((width, STRIP_HEIGHT), Image.Resampling.BILINEAR, reducing_gap=2.0))
    strip = Image.new("RGB", (sum(image.width for image in thumbnails), STRIP_HEIGHT))
    left = 0
    for image in thumbnails:
        strip.paste(image, (left, 0))
        left += image.width
    return _jpeg(strip, quality=75)


def strip_count(num_frames: int, count: int = STRIP_COUNT) -> int:
    """Return how many thumbnails the strip of a video has."""
    return min(num_frames, count)


def make_router(store: Store) -> APIRouter:
    """Return the picture routes of a store. Pictures with the right `?v=` never change: browsers may keep them."""
    router, cache = APIRouter(), FrameCache(store)
    strips: dict[str, bytes] = {}
    strip_lock = threading.Lock()

    def reader_of(video_id: str) -> VideoReader:
        try:
            store.episode(video_id)
            return store.reader(video_id)
        except ValueError as error:
            raise HTTPException(404, str(error)) from None

    def or_500(encode: Callable[[], bytes]) -> bytes:
        try:
            return encode()
        except VideoError as error:
            raise HTTPException(500, str(error)) from None

    def answer(video_id: str, data: bytes, v: str | None) -> Response:
        lasting = v == version(store, video_id)
        control = "private, max-age=31536000, immutable" if lasting else "no-store"
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": control})

    @router.get("/frames/{video_id}/{name}.jpg")
    def frame(video_id: str, name: str, v: str | None = None) -> Response:
        reader = reader_of(video_id)
        index = int(name) if name.isascii() and name.isdigit() and len(name) < 10 else -1
        if not 0 <= index < len(reader):
            raise HTTPException(404, f"frame {name[:20]} is outside; the video has frames 0 to {len(reader) - 1}")
        return answer(video_id, or_500(lambda: cache.jpeg(video_id, index)), v)

    @router.get("/strip/{video_id}.jpg")
    def strip(video_id: str, v: str | None = None) -> Response:
        reader = reader_of(video_id)
        with strip_lock:
            if video_id not in strips:
                strips[video_id] = or_500(lambda: encode_strip(reader))
        return answer(video_id, strips[video_id], v)

    return router


def version(store: Store, video_id: str) -> str:
    """Return what a picture's URL carries as `?v=`: it changes with the video's content."""
    return store.fingerprint(video_id).rsplit(":", 1)[-1][:16]
