"""The one video reader: exact frame i of a file, for the page, the samples, training and inference alike.

Knows files, frame numbers, timestamps and pixels; is the only file that imports av or decord. Does not know stages,
windows or models.

Why not decord by default: on files with open GOPs, B-frame MPEG-4, edit lists or MPEG-TS it returns other frames than
asked for, without an error. The default backend demuxes once, keeps the sorted presentation timestamps (PTS) as an
index, seeks to the keyframe before a frame and decodes until that frame's PTS.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.error import FFmpegError

Backend = Literal["pyav", "decord"]


class VideoError(ValueError):
    """A video that cannot be read as asked; the message names the file, what is wrong and the remedy."""


class VideoReader:
    """Exact random access to the frames of one video.

    Args:
        path: A file that FFmpeg decodes.
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
        self._pts, self._keyframe_pts, time_base = _index(self.path)
        self.timestamps_sec = (np.asarray(self._pts, dtype=np.float64) - self._pts[0]) * float(time_base)
        self.fps = self._mean_fps(time_base)
        self._decord = None
        if backend == "decord":
            self._decord = _open_decord(self)

    def __len__(self) -> int:
        return len(self._pts)

    def frame(self, index: int) -> np.ndarray:
        """Return frame `index` as RGB uint8, shape (H, W, 3), upright."""
        return self.frames([index])[0]

    def frames(self, indices: Iterable[int]) -> np.ndarray:
        """Return frames in the order asked for, RGB uint8, shape (T, H, W, 3).

        Every group of pictures is decoded at most once, whatever the order; repeated indices cost nothing more.
        """
        wanted = [int(index) for index in indices]
        decoded = dict(self.iter_frames(wanted))
        return np.stack([decoded[index] for index in wanted])

    def iter_frames(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, RGB frame) in rising order, one frame in memory at a time; all frames by default."""
        wanted = range(len(self)) if indices is None else sorted(set(indices))
        if len(wanted) == 0:
            raise VideoError(f"{self.path}: no frames were asked for")
        for index in (wanted[0], wanted[-1]):
            if not 0 <= index < len(self):
                raise VideoError(f"{self.path} has {len(self)} frames, 0 to {len(self) - 1}; frame {index} is outside")
        if self._decord is not None:
            for index in wanted:
                yield index, self._decord[index].asnumpy()
            return
        yield from self._decode(wanted)

    def _decode(self, wanted: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Decode rising indices: seek only where a keyframe lies between here and the next frame wanted."""
        with _open(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            decoder = _ForwardDecoder(container, stream)
            for index in wanted:
                target = self._pts[index]
                keyframe = self._keyframe_pts[max(bisect_right(self._keyframe_pts, target) - 1, 0)]
                if decoder.position is None or keyframe > decoder.position:
                    decoder.seek(keyframe)
                frame = decoder.advance(target)
                if frame is None:  # the seek landed behind the frame (MPEG-TS, open GOP): read from the start
                    decoder.rewind()
                    frame = decoder.advance(target)
                if frame is None:
                    raise VideoError(f"{self.path}: frame {index} does not decode; re-encode the file with ffmpeg")
                yield index, _upright_rgb(frame)

    def _mean_fps(self, time_base: Fraction) -> float:
        if len(self) > 1:
            return float((len(self) - 1) / ((self._pts[-1] - self._pts[0]) * time_base))
        with _open(self.path) as container:
            return float(container.streams.video[0].average_rate or 1.0)


class _ForwardDecoder:
    """Decodes one stream forward; remembers the PTS it has reached."""

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream) -> None:
        self._container, self._stream = container, stream
        self._frames: Iterator[av.VideoFrame] = iter(())
        self.position: int | None = None

    def seek(self, pts: int) -> None:
        self._container.seek(pts, stream=self._stream, backward=True)
        self._restart()

    def rewind(self) -> None:
        self._container.seek(-(2**62), stream=self._stream, backward=True, any_frame=True)
        self._restart()

    def _restart(self) -> None:
        self._frames = self._container.decode(self._stream)
        self.position = None

    def advance(self, pts: int) -> av.VideoFrame | None:
        """Return the frame shown at `pts`, or None when it is not among those still to come."""
        try:
            for frame in self._frames:
                if frame.pts is None or frame.pts < pts:
                    continue
                self.position = frame.pts
                return frame if frame.pts == pts else None
        except FFmpegError:
            return None
        return None


def fingerprint(path: str | Path) -> str:
    """Return a content hash (size, first and last MiB) that finds a video again after a move or a new name."""
    path = Path(path)
    try:
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with path.open("rb") as file:
            digest.update(file.read(1 << 20))
            file.seek(max(size - (1 << 20), 0))
            digest.update(file.read())
    except OSError as error:
        raise VideoError(f"video {path}: cannot be read ({error.strerror}); check the path") from None
    return f"sha256:{digest.hexdigest()[:32]}"


def _open(path: Path) -> av.container.InputContainer:
    return av.open(str(path))


def _index(path: Path) -> tuple[list[int], list[int], Fraction]:
    """Demux once. Return sorted PTS of all shown frames, PTS of the keyframes, seconds per PTS unit."""
    if not path.exists():
        raise VideoError(f"video {path}: no such file; check the path")
    if path.is_dir():
        raise VideoError(f"video {path}: is a folder; name one video file")
    if path.stat().st_size == 0:
        raise VideoError(f"video {path}: the file is empty; copy or record it again")
    try:
        with _open(path) as container:
            if not container.streams.video:
                raise VideoError(f"video {path}: has no picture, only {_kinds(container)}; choose a video file")
            stream = container.streams.video[0]
            packets = [p for p in container.demux(stream) if p.pts is not None and p.size and not p.is_discard]
            time_base = stream.time_base
    except FFmpegError as error:
        raise VideoError(
            f"video {path}: cannot be decoded ({error.strerror or error}); if it plays elsewhere, re-encode it with "
            "`ffmpeg -i IN -c:v libx264 OUT.mp4`, else record it again"
        ) from None
    pts = sorted({packet.pts for packet in packets})
    if not pts:
        raise VideoError(f"video {path}: holds no frames; the file is cut off or corrupt, copy or record it again")
    return pts, sorted(packet.pts for packet in packets if packet.is_keyframe) or [pts[0]], time_base


def _kinds(container: av.container.InputContainer) -> str:
    return " and ".join(sorted({stream.type for stream in container.streams})) or "no streams"


def _upright_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Convert to RGB and apply the rotation that the file asks players for (degrees, counter-clockwise)."""
    image = frame.to_ndarray(format="rgb24")
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def _open_decord(reader: VideoReader):
    """Open the file with decord and refuse it where its frames differ from the index."""
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
