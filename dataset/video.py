"""The one video reader: exact frame i of a recording, for the page, the samples, training and inference alike.

Knows files, frame numbers, timestamps and pixels; FFmpeg is behind `ffmpeg`, decord behind `decord_frames`. Does not
know stages, windows or models.

The default backend reads the file's packets once, keeps the sorted presentation timestamps (PTS) as an index, seeks to
the keyframe before a frame and decodes until that frame's PTS. decord returns wrong frames, without an error, for files
with open GOPs, B-frame MPEG-4, edit lists or MPEG-TS. So it is compared with the default backend when a file is opened,
and refused where they differ.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image

from dataset.decord_frames import fitted, open_decord
from dataset.ffmpeg import (
    Box,
    ForwardDecoder,
    Frame,
    StreamIndex,
    VideoError,
    index_stream,
    squeezed_luma,
    upright_rgb,
)
from dataset.fingerprint import content_fingerprint
from dataset.foreign import foreign_kind
from dataset.image_folder import has_transparency, image_files, image_rate, read_image
from dataset.index_cache import IndexCache
from dataset.notices import TRANSPARENT, video_notices
from dataset.window import ROUNDING_SEC, Timing, timing_of

__all__ = ["BACKENDS", "Backend", "VideoError", "VideoReader", "fingerprint", "has_fingerprint", "set_default_backend"]

Backend = Literal["auto", "pyav", "decord"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
AUTO: Backend = "pyav"  # the faster one, see `set_default_backend`
SEEK_GAIN = 8  # frames that a seek must skip to be worth emptying the decoder


_default_backend: Backend = AUTO
_indexes = IndexCache(index_stream, frames=lambda index: len(index.pts))


def set_default_backend(name: Backend) -> None:
    """Choose the backend of every `VideoReader` that names none, for this process.

    A command line or a recipe calls this once, before the first video is opened.

    Args:
        name: "pyav", "decord", or "auto": the faster one. That is PyAV: decord with the comparison that makes it safe
            takes 1.1 to 7 times the CPU time, decord alone 0.8 to 1.9 times (benchmarks/video_backends.py --speed).
    """
    global _default_backend
    _default_backend = _concrete(name)


def _concrete(name: Backend) -> Backend:
    if name not in BACKENDS:
        raise VideoError(f'video backend "{name}" is unknown; use "auto", "pyav" or "decord"')
    return AUTO if name == "auto" else name


class VideoReader:
    """Exact random access to the frames of one video. Safe to share between threads: it holds no open file.

    Args:
        path: A file that FFmpeg decodes, or a folder of numbered pictures with their rate in `fps.txt`.
        backend: "pyav" (exact), "decord" (refused where its frames differ from the index) or "auto"; by default the
            one of `set_default_backend`.

    Attributes:
        backend: "pyav" or "decord".
        fps: Mean frames per second.
        timestamps_sec: Presentation time of every frame, float64, shape (num_frames,), starting at 0.
        timing: What windows go by: `fps` where the rate is constant, else `timestamps_sec`.

    Raises:
        VideoError: The file is missing, empty, corrupt or has no video stream.
    """

    def __init__(self, path: str | Path, backend: Backend | None = None) -> None:
        self.backend = _default_backend if backend is None else _concrete(backend)
        self.path = Path(path)
        foreign = foreign_kind(path)
        if foreign is not None:
            raise VideoError(f"video {path}: {foreign}")
        self._images: list[Path] | None = None
        self._index = self._index_images() if self.path.is_dir() else _indexes.get(self.path)
        pts = np.asarray(self._index.pts, dtype=np.float64)
        self.timestamps_sec: np.ndarray = (pts - pts[0]) * float(self._index.time_base)
        self.fps = self._mean_fps()
        tick = float(self._index.time_base)
        coarse = tick if 3 * tick <= 1 / self.fps else 0.0  # GIF counts hundredths of a second
        self.timing: Timing = timing_of(self.timestamps_sec, self.fps, max(ROUNDING_SEC, coarse))
        self._decord = None
        if self.backend == "decord":
            self._decord = open_decord(self)

    @property
    def pixel_aspect(self) -> Fraction:
        """Width by height of a stored pixel; frames are returned with square ones."""
        return self._index.pixel_aspect

    def __len__(self) -> int:
        return len(self._index.pts)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of size, frame times, first and last MiB: identifies the recording after a move or a new name."""
        try:
            return content_fingerprint(self._images or [self.path], self._index.pts, self._index.keyframes)
        except OSError as error:
            raise VideoError(f"video {self.path}: cannot be read ({error.strerror}); check the path") from None

    def frame(self, index: int, fit: Box | None = None) -> np.ndarray:
        """Return frame `index` as RGB uint8, shape (H, W, 3), upright; `fit` as in `frames`."""
        return next(self.iter_frames([index], fit))[1]

    def frames(self, indices: Iterable[int], fit: Box | None = None) -> np.ndarray:
        """Return frames in the order of `indices`, RGB uint8, shape (T, H, W, 3).

        Every group of pictures is decoded at most once, in any order; repeated indices add no cost. Beside the result,
        only the frames in the decoder are in memory.

        Args:
            indices: Frame numbers, 0-based.
            fit: Largest (width, height) of the upright picture. Frames are scaled down to fit while they are
                converted, never up, and keep their aspect ratio.
        """
        numbers = [int(index) for index in indices]
        places: dict[int, list[int]] = {}
        for place, index in enumerate(numbers):
            places.setdefault(index, []).append(place)
        result: np.ndarray | None = None
        for index, frame in self.iter_frames(places, fit):
            if result is None:
                result = np.empty((len(numbers), *frame.shape), dtype=np.uint8)
            if frame.shape != result.shape[1:]:
                raise VideoError(
                    f"{self.path}: frame {index} is {frame.shape[1]}x{frame.shape[0]}, earlier ones are "
                    f"{result.shape[2]}x{result.shape[1]}; re-encode the file to one size with ffmpeg"
                )
            result[places[index]] = frame
        assert result is not None  # iter_frames refuses to yield nothing
        return result

    def iter_frames(
        self, indices: Iterable[int] | None = None, fit: Box | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, RGB frame) in rising order, one frame in memory at a time; all frames by default."""
        wanted = range(len(self)) if indices is None else sorted({int(index) for index in indices})
        if len(wanted) == 0:
            raise VideoError(f"{self.path}: no frames to read; give at least one frame number")
        if fit is not None and min(fit) < 1:
            raise VideoError(f"{self.path}: frames cannot fit into {fit[0]}x{fit[1]} pixels; use at least 1x1")
        for index in (wanted[0], wanted[-1]):
            if not 0 <= index < len(self):
                raise VideoError(f"{self.path} has {len(self)} frames, 0 to {len(self) - 1}; frame {index} is outside")
        if self._images is not None:
            yield from _read_images(self.path, self._images, wanted, fit)
        elif self._decord is not None:
            for index in wanted:
                yield index, fitted(self._decord[index].asnumpy(), fit, self.pixel_aspect)
        else:
            for index, decoded in self._decode(wanted):
                yield index, upright_rgb(decoded, fit, self.pixel_aspect)

    def iter_luma(self, side: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, brightness) of every frame, squeezed to a square; uint8, shape (side, side), not rotated.

        Costs little more than decoding: nothing is converted to RGB. For comparisons of frames with each other. Videos
        are always decoded by PyAV: hashes of these pictures are cached, and must not depend on the backend.
        """
        if self._images is not None:
            for index, frame in self.iter_frames(fit=(4 * side, 4 * side)):
                yield index, np.asarray(Image.fromarray(frame).convert("L").resize((side, side), Image.Resampling.BOX))
        else:
            for index, decoded in self._decode(range(len(self))):
                yield index, squeezed_luma(decoded, side)

    @cached_property
    def notices(self) -> list[str]:
        """What a player may show otherwise than it is read, in sentences without their subject. Decodes one frame."""
        if self._images is not None:
            return [TRANSPARENT] if has_transparency(self._images[0]) else []
        return video_notices(self.path, next(self._decode([0]))[1])

    @cached_property
    def keyframe_numbers(self) -> list[int]:
        """Numbers of the frames that are decoded without any other, rising."""
        numbers = (bisect_left(self._index.pts, pts) for pts in self._index.keyframes)
        return [number for number in numbers if number < len(self)]

    def _decode(self, wanted: Sequence[int]) -> Iterator[tuple[int, Frame]]:
        """Decode rising indices: seek where that skips more than a few frames between here and the next one wanted."""
        pts, keyframes = self._index.pts, self._index.keyframes
        reached = -1 if self._index.whole else -1 - SEEK_GAIN
        decoder = ForwardDecoder(self.path, self._index)
        try:
            for index in wanted:
                place = max(bisect_right(keyframes, pts[index]) - 1, 0)
                if bisect_left(pts, keyframes[place]) - reached > SEEK_GAIN:
                    decoder.seek(keyframes[place])
                frame, back = decoder.advance(pts[index]), 1
                while frame is None and back <= place:  # landed behind the frame (MPEG-TS): one, two, four keys earlier
                    decoder.seek(keyframes[place - back])
                    frame, back = decoder.advance(pts[index]), back * 2
                if frame is None:
                    decoder.restart()
                    frame = decoder.advance(pts[index])
                if frame is None:
                    raise VideoError(f"{self.path}: frame {index} does not decode; re-encode the file with ffmpeg")
                reached = index
                yield index, frame
        finally:
            decoder.close()

    def _index_images(self) -> StreamIndex:
        try:
            self._images = image_files(self.path)
            rate = Fraction(image_rate(self.path)).limit_denominator(100_000)
        except ValueError as error:
            raise VideoError(f"video {self.path}: {error}") from None
        numbers = list(range(len(self._images)))
        return StreamIndex(numbers, numbers, 1 / rate, rate)

    def _mean_fps(self) -> float:
        if len(self) > 1:
            return float((len(self) - 1) / ((self._index.pts[-1] - self._index.pts[0]) * self._index.time_base))
        if not self._index.rate:
            raise VideoError(f"video {self.path}: one frame without a rate; put it into MP4 with ffmpeg -r RATE")
        return float(self._index.rate)


def _read_images(
    folder: Path, images: Sequence[Path], wanted: Iterable[int], fit: Box | None
) -> Iterator[tuple[int, np.ndarray]]:
    for index in wanted:
        try:
            yield index, read_image(images[index], fit)
        except ValueError as error:
            raise VideoError(f"video {folder}: frame {index}, {error}") from None


def fingerprint(path: str | Path) -> str:
    """Return `VideoReader(path).fingerprint`."""
    return VideoReader(path, "pyav").fingerprint  # decodes nothing: no need to open decord


def has_fingerprint(video: VideoReader | str | Path, stored: str) -> bool:
    """Return whether a video is the recording that a stored fingerprint names.

    Raises:
        VideoError: The video cannot be read.
    """
    return (video.fingerprint if isinstance(video, VideoReader) else fingerprint(video)) == stored
