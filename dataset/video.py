"""The one video reader: exact frame i of a file, for the page, the samples, training and inference alike.

Knows files, frame numbers, timestamps and pixels; is the only file that imports av or decord. Does not know stages,
windows or models.

Why not decord by default: on files with open GOPs, B-frame MPEG-4, edit lists or MPEG-TS it returns other frames than
asked for, without an error. The default backend demuxes once, keeps the sorted presentation timestamps (PTS) as an
index, seeks to the keyframe before a frame and decodes until that frame's PTS.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Interpolation

from dataset.fingerprint import content_fingerprint, edge_fingerprint
from dataset.image_folder import image_files, image_rate, read_image

Backend = Literal["pyav", "decord"]
Box = tuple[int, int]  # (width, height) in pixels
SEEK_GAIN = 8  # frames that a seek must skip to be worth emptying the decoder


class VideoError(ValueError):
    """A video that cannot be read as asked; the message names the file, what is wrong and the remedy."""


class VideoReader:
    """Exact random access to the frames of one video. Safe to share between threads: it holds no open file.

    Args:
        path: A file that FFmpeg decodes, or a folder of numbered pictures with their rate in `fps.txt`.
        backend: "pyav" (default, exact) or "decord" (refused where its frames differ from the index).

    Attributes:
        fps: Mean frames per second.
        timestamps_sec: Presentation time of every frame, float64, shape (num_frames,), starting at 0.

    Raises:
        VideoError: The file is missing, empty, corrupt or has no video stream.
    """

    def __init__(self, path: str | Path, backend: Backend = "pyav") -> None:
        if backend not in ("pyav", "decord"):
            raise VideoError(f'video backend "{backend}" is unknown; use "pyav" or "decord"')
        self.path = Path(path)
        self._images: list[Path] | None = None
        self._index = self._index_images() if self.path.is_dir() else _index(self.path)
        pts = np.asarray(self._index.pts, dtype=np.float64)
        self.timestamps_sec = (pts - pts[0]) * float(self._index.time_base)
        self.fps = self._mean_fps()
        self._decord = None
        if backend == "decord":
            self._decord = _open_decord(self)

    def __len__(self) -> int:
        return len(self._index.pts)

    @cached_property
    def fingerprint(self) -> str:
        """Content hash of size, frame index, head and tail: finds the recording again after a move or a new name."""
        try:
            return content_fingerprint(self._images or [self.path], self._index.pts, self._index.keyframes)
        except OSError as error:
            raise VideoError(f"video {self.path}: cannot be read ({error.strerror}); check the path") from None

    def frame(self, index: int, fit: Box | None = None) -> np.ndarray:
        """Return frame `index` as RGB uint8, shape (H, W, 3), upright; `fit` as in `frames`."""
        return self.frames([index], fit)[0]

    def frames(self, indices: Iterable[int], fit: Box | None = None) -> np.ndarray:
        """Return frames in the order asked for, RGB uint8, shape (T, H, W, 3).

        Every group of pictures is decoded at most once, whatever the order; repeated indices cost nothing more. Beside
        the result only the frames in the decoder are held.

        Args:
            indices: Frame numbers, 0-based.
            fit: Largest (width, height) of the upright picture: frames are scaled down into it while they are
                converted, never up, and keep their aspect.
        """
        wanted = [int(index) for index in indices]
        places: dict[int, list[int]] = {}
        for place, index in enumerate(wanted):
            places.setdefault(index, []).append(place)
        result = None
        for index, frame in self.iter_frames(places, fit):
            if result is None:
                result = np.empty((len(wanted), *frame.shape), dtype=np.uint8)
            if frame.shape != result.shape[1:]:
                raise VideoError(
                    f"{self.path}: frame {index} is {frame.shape[1]}x{frame.shape[0]}, earlier ones are "
                    f"{result.shape[2]}x{result.shape[1]}; re-encode the file to one size with ffmpeg"
                )
            result[places[index]] = frame
        return result

    def iter_frames(
        self, indices: Iterable[int] | None = None, fit: Box | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, RGB frame) in rising order, one frame in memory at a time; all frames by default."""
        wanted = range(len(self)) if indices is None else sorted({int(index) for index in indices})
        if len(wanted) == 0:
            raise VideoError(f"{self.path}: no frames were asked for")
        if fit is not None and min(fit) < 1:
            raise VideoError(f"{self.path}: frames cannot fit into {fit[0]}x{fit[1]} pixels; ask for at least 1x1")
        for index in (wanted[0], wanted[-1]):
            if not 0 <= index < len(self):
                raise VideoError(f"{self.path} has {len(self)} frames, 0 to {len(self) - 1}; frame {index} is outside")
        if self._images is not None:
            yield from self._read_images(wanted, fit)
        elif self._decord is not None:
            for index in wanted:
                frame = av.VideoFrame.from_ndarray(self._decord[index].asnumpy(), format="rgb24")
                yield index, _upright_rgb(frame, fit)
        else:
            yield from self._decode(wanted, fit)

    def thumbnails(self, count: int, height: int = 54) -> tuple[tuple[int, ...], np.ndarray]:
        """Return small pictures spread evenly over the video, for a filmstrip.

        Each of `count` equal spans shows its middle frame, or a keyframe inside the span where there is one: then a
        long video costs `count` frames and not a full decode.

        Returns:
            The frame numbers, rising, at most `count`; and the pictures, RGB uint8, shape (T, height, W, 3).
        """
        count = min(count, len(self))
        if count < 1:
            raise VideoError(f"{self.path}: {count} thumbnails were asked for; ask for at least 1")
        indices = []
        for span in range(count):
            first, last = span * len(self) // count, (span + 1) * len(self) // count - 1
            middle = (first + last) // 2
            inside = self._keyframe_numbers[
                bisect_left(self._keyframe_numbers, first) : bisect_right(self._keyframe_numbers, last)
            ]
            indices.append(min(inside, key=lambda index: abs(index - middle)) if inside else middle)
        return tuple(indices), self.frames(indices, fit=(1 << 16, height))

    @cached_property
    def _keyframe_numbers(self) -> list[int]:
        numbers = (bisect_left(self._index.pts, pts) for pts in self._index.keyframes)
        return [number for number in numbers if number < len(self)]

    def _decode(self, wanted: Sequence[int], fit: Box | None) -> Iterator[tuple[int, np.ndarray]]:
        """Decode rising indices: seek where that skips more than a few frames between here and the next one wanted."""
        pts, keyframes, reached = self._index.pts, self._index.keyframes, -1
        decoder = _ForwardDecoder(self.path, self._index)
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
                yield index, _upright_rgb(frame, fit)
        finally:
            decoder.close()

    def _index_images(self) -> _Index:
        try:
            self._images = image_files(self.path)
            time_base = 1 / Fraction(image_rate(self.path)).limit_denominator(100_000)
        except ValueError as error:
            raise VideoError(f"video {self.path}: {error}") from None
        numbers = list(range(len(self._images)))
        return _Index(numbers, numbers, time_base, timed=True)

    def _read_images(self, wanted: Iterable[int], fit: Box | None) -> Iterator[tuple[int, np.ndarray]]:
        for index in wanted:
            try:
                yield index, read_image(self._images[index], fit)
            except ValueError as error:
                raise VideoError(f"video {self.path}: frame {index}, {error}") from None

    def _mean_fps(self) -> float:
        if len(self) > 1:
            return float((len(self) - 1) / ((self._index.pts[-1] - self._index.pts[0]) * self._index.time_base))
        if self._images is not None:
            return float(1 / self._index.time_base)
        with _open(self.path) as container:
            return float(container.streams.video[0].average_rate or 1.0)


def fingerprint(path: str | Path) -> str:
    """Return `VideoReader(path).fingerprint`."""
    return VideoReader(path).fingerprint


def has_fingerprint(video: VideoReader | str | Path, stored: str) -> bool:
    """Return whether a video is the recording that a stored fingerprint names; reads every form ever written.

    Raises:
        VideoError: The video cannot be read.
    """
    path = video.path if isinstance(video, VideoReader) else Path(video)
    if stored.startswith("sha256:") and path.is_file():
        return edge_fingerprint(path) == stored
    return (video if isinstance(video, VideoReader) else VideoReader(path)).fingerprint == stored


@dataclass(frozen=True)
class _Index:
    """Where every frame is: rising PTS of all shown frames and of the keyframes, seconds per unit.

    A stream without times (raw H.264) is counted: `timed` is False, PTS are frame numbers, it is read from the start.
    """

    pts: list[int]
    keyframes: list[int]
    time_base: Fraction
    timed: bool


class _ForwardDecoder:
    """Decodes one stream forward."""

    def __init__(self, path: Path, index: _Index) -> None:
        self._path, self._timed = path, index.timed
        self.restart()

    def seek(self, pts: int) -> None:
        if not self._timed:
            return self.restart()
        try:
            self._container.seek(pts, stream=self._stream, backward=True)
        except FFmpegError:  # a format without seeking
            return self.restart()
        self._begin()

    def restart(self) -> None:
        """Go back to the first frame, in a fresh container: rewinding fails in some formats."""
        self.close()
        self._container = _open(self._path)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._begin()

    def close(self) -> None:
        if hasattr(self, "_container"):
            self._container.close()

    def _begin(self) -> None:
        self._frames = self._container.decode(self._stream)
        self._count = 0

    def advance(self, pts: int) -> av.VideoFrame | None:
        """Return the frame shown at `pts`, or None when it is not among those still to come."""
        try:
            for frame in self._frames:
                at, self._count = frame.pts if self._timed else self._count, self._count + 1
                if at is None or at < pts:
                    continue
                return frame if at == pts else None
        except FFmpegError:
            return None
        return None


def _open(path: Path) -> av.container.InputContainer:
    return av.open(str(path))


def _index(path: Path) -> _Index:
    """Demux once; packets are dropped as they come, so a file of any length costs a few bytes per frame."""
    if not path.exists():
        raise VideoError(f"video {path}: no such file; check the path")
    if path.stat().st_size == 0:
        raise VideoError(f"video {path}: the file is empty; copy or record it again")
    pts: set[int] = set()
    keyframes: set[int] = set()
    timed = True
    try:
        with _open(path) as container:
            if not container.streams.video:
                raise VideoError(f"video {path}: has no picture, only {_kinds(container)}; choose a video file")
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                if not packet.size or packet.is_discard:
                    continue
                if packet.pts is None:
                    timed = False
                    break
                pts.add(packet.pts)
                if packet.is_keyframe:
                    keyframes.add(packet.pts)
            if timed:
                time_base = stream.time_base
        if not timed:
            pts, keyframes, time_base = _count_frames(path)
    except FFmpegError as error:
        raise VideoError(
            f"video {path}: cannot be decoded ({error.strerror or error}); if it plays elsewhere, re-encode it with "
            "`ffmpeg -i IN -c:v libx264 OUT.mp4`, else record it again"
        ) from None
    if not pts:
        raise VideoError(f"video {path}: holds no frames; the file is cut off or corrupt, copy or record it again")
    shown = sorted(pts)
    return _Index(shown, sorted(keyframes) or [shown[0]], time_base, timed)


def _count_frames(path: Path) -> tuple[set[int], set[int], Fraction]:
    """Decode a stream without times once and number its frames; the rate is the one the stream states."""
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        count = sum(1 for _ in container.decode(stream))
        if not stream.average_rate:
            raise VideoError(f"video {path}: has neither frame times nor a rate; put it into MP4 with ffmpeg -r RATE")
        return set(range(count)), {0}, 1 / stream.average_rate


def _kinds(container: av.container.InputContainer) -> str:
    return " and ".join(sorted({stream.type for stream in container.streams})) or "no streams"


def _upright_rgb(frame: av.VideoFrame, fit: Box | None) -> np.ndarray:
    """Convert to RGB, scale down into the box and apply the rotation that the file asks players for (degrees, CCW)."""
    quarter_turns = round(frame.rotation / 90) % 4
    width, height = frame.width, frame.height
    box = (width, height) if fit is None else fit if quarter_turns % 2 == 0 else fit[::-1]
    scale = min(box[0] / width, box[1] / height, 1.0)
    if scale < 1.0:
        size = {"width": max(round(width * scale), 1), "height": max(round(height * scale), 1)}
        image = frame.to_ndarray(format="rgb24", **size, interpolation=Interpolation.AREA)
    else:
        image = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def _open_decord(reader: VideoReader):
    """Open the file with decord and refuse it where its frames differ from the index."""
    if reader.path.is_dir():
        raise VideoError(f'{reader.path}: decord reads no folder of pictures; use backend "pyav"')
    try:
        import decord
    except ImportError:
        raise VideoError('backend "decord" is not installed here (no wheel for this platform); use "pyav"') from None
    try:
        video = decord.VideoReader(str(reader.path), num_threads=1)
    except decord.DECORDError as error:
        raise VideoError(f'{reader.path}: decord cannot open it ({str(error).splitlines()[0]}); use "pyav"') from None
    if len(video) != len(reader):
        raise VideoError(
            f'{reader.path}: decord counts {len(video)} frames, the file has {len(reader)}; use backend "pyav"'
        )
    for index in np.random.default_rng(0).permutation(len(reader))[:8]:  # shuffled: that is where decord goes wrong
        difference = np.abs(video[int(index)].asnumpy().astype(np.int16) - reader.frame(int(index)))
        if difference.mean() > 2.0:
            raise VideoError(f'{reader.path}: decord returns another picture for frame {index}; use backend "pyav"')
    return video
