"""Video streams: where the frames of a file are, and how to decode them one after the other.

Knows FFmpeg through PyAV; no other file of this package imports it. Does not know the order in which frames are read
(see `video`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Disposition
from av.video.reformatter import Interpolation
from PIL import Image

Box = tuple[int, int]  # (width, height) in pixels
CONTAINERS = frozenset([  # FFmpeg's names of the formats that cameras and editors write
    "apng", "asf", "av1", "avi", "dv", "flv", "gif", "h264", "hevc", "ivf", "m4v", "matroska,webm", "mjpeg",
    "mjpeg_2000", "mov,mp4,m4a,3gp,3g2,mj2", "mpeg", "mpegts", "mpegvideo", "mpjpeg", "mxf", "nut", "obu", "ogg", "rm",
    "vvc", "webp_anim", "wtv", "yuv4mpegpipe",
])  # fmt: skip
_BARE = frozenset(["h264", "hevc", "m4v", "mjpeg", "mpegvideo", "obu", "vvc"])  # by a file's name, whatever is in it
Frame = av.VideoFrame


class VideoError(ValueError):
    """A video cannot be read; the message names the file, what is wrong and the remedy."""


@dataclass(frozen=True)
class StreamIndex:
    """Where every frame is: rising PTS of all frames and of the keyframes, seconds per unit, the nominal rate.

    In a stream without times (raw H.264) `timed` is False, PTS are frame numbers, and reading begins at the start. A
    cut from a longer stream can begin with frames that cannot be decoded: `whole` is False, and they are left out.
    `pixel_aspect` is width by height of one pixel: 4/3 where a player stretches the picture.
    """

    pts: list[int]
    keyframes: list[int]
    time_base: Fraction
    rate: Fraction | None
    timed: bool = True
    whole: bool = True
    pixel_aspect: Fraction = Fraction(1)


class ForwardDecoder:
    """Decodes one stream forward."""

    def __init__(self, path: Path, index: StreamIndex) -> None:
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
        self._stream = _pictures(self._container)
        self._stream.thread_type = "AUTO"
        self._begin()

    def close(self) -> None:
        if hasattr(self, "_container"):
            self._container.close()

    def _begin(self) -> None:
        self._frames = self._container.decode(self._stream)
        self._count = 0

    def advance(self, pts: int) -> av.VideoFrame | None:
        """Return the frame whose time is `pts`, or None if it is not among the remaining ones."""
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


def index_stream(path: Path) -> StreamIndex:
    """Demux once; packets are dropped as they come, so a file of any length costs a few bytes per frame."""
    if not path.exists():
        raise VideoError(f"video {path}: no such file; check the path")
    if path.stat().st_size == 0:
        raise VideoError(f"video {path}: the file is empty; copy or record it again")
    pts: set[int] = set()
    keyframes: set[int] = set()
    opening: int | None = None  # PTS of the first packet: the first keyframe, if the file is whole
    timed = whole = True
    try:
        with _open(path) as container:
            if not any(map(_is_recording, container.streams.video)):
                raise VideoError(f"video {path}: has no picture, only {_kinds(container)}; use a video file")
            if container.format.name not in CONTAINERS:  # FFmpeg takes zeros for karaoke, and text for a terminal
                raise VideoError(
                    f"video {path}: is no recording of a camera (FFmpeg takes it for {container.format.long_name}); if "
                    "it is one, put it into MP4: `ffmpeg -i IN -c:v libx264 OUT.mp4`"
                )
            stream = _pictures(container)
            for packet in container.demux(stream):
                if not packet.size or packet.is_discard:
                    continue
                if packet.pts is None:
                    timed = False
                    break
                opening = packet.pts if opening is None else opening
                whole = whole and bool(pts or packet.is_keyframe) and packet.pts >= opening
                pts.add(packet.pts)
                if packet.is_keyframe:
                    keyframes.add(packet.pts)
            time_base, rate = stream.time_base, stream.average_rate
            guessed = container.format.name in _BARE
            pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
        if not timed:
            pts, keyframes, time_base = _count_frames(path)
        elif guessed or not whole:
            first = _first_decoded(path)
            pts = {at for at in pts if at >= first}
    except FFmpegError as error:
        raise VideoError(
            f"video {path}: cannot be decoded ({error.strerror or error}); if it plays elsewhere, re-encode it with "
            "`ffmpeg -i IN -c:v libx264 OUT.mp4`, else record it again"
        ) from None
    if not pts or time_base is None:
        raise VideoError(f"video {path}: holds no frames; the file is cut off or corrupt, copy or record it again")
    times = sorted(pts)
    return StreamIndex(times, sorted(keyframes) or [times[0]], time_base, rate, timed, whole, pixel_aspect)


def _first_decoded(path: Path) -> float:
    """Return the PTS of the first frame that can be decoded; infinity if there is none."""
    with _open(path) as container:
        stream = _pictures(container)
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except FFmpegError:  # it refers to frames before the cut
                continue
            times = [frame.pts for frame in frames if frame.pts is not None]
            if times:
                return min(times)
    return math.inf


def _count_frames(path: Path) -> tuple[set[int], set[int], Fraction]:
    """Decode a stream without times once and number its frames; the rate is the nominal one."""
    with _open(path) as container:
        stream = _pictures(container)
        stream.thread_type = "AUTO"
        count = sum(1 for _ in container.decode(stream))
        if not stream.average_rate:
            raise VideoError(f"video {path}: has neither frame times nor a rate; put it into MP4 with ffmpeg -r RATE")
        return set(range(count)), {0}, 1 / stream.average_rate


def _pictures(container: av.container.InputContainer) -> av.VideoStream:
    """Return the first video stream that is a recording."""
    return next(filter(_is_recording, container.streams.video))


def _is_recording(stream: av.VideoStream) -> bool:
    return not stream.disposition & Disposition.attached_pic  # cover art is a stream of one picture


def _kinds(container: av.container.InputContainer) -> str:
    kinds = {"cover art" if stream.type == "video" else stream.type for stream in container.streams}
    return " and ".join(sorted(kinds)) or "no streams"


def upright_rgb(frame: av.VideoFrame, fit: Box | None, pixel_aspect: Fraction) -> np.ndarray:
    """Convert to RGB with square pixels, scale down to fit the box, apply the rotation in the file (degrees, CCW)."""
    quarter_turns = round(frame.rotation / 90) % 4
    width, height = square_size(frame.width, frame.height, pixel_aspect)
    box = (width, height) if fit is None else fit if quarter_turns % 2 == 0 else fit[::-1]
    scale = min(box[0] / width, box[1] / height, 1.0)
    if scale < 1.0 or pixel_aspect != 1:
        width, height = max(round(width * scale), 1), max(round(height * scale), 1)
        way = Interpolation.AREA if scale < 1.0 else Interpolation.BICUBIC
        image = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation=way)
    else:
        image = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def square_size(width: int, height: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """Return the size of a picture with square pixels: one side grows and none shrinks, as in a browser."""
    if pixel_aspect >= 1:
        return round(width * pixel_aspect), height
    return width, round(height / pixel_aspect)


def is_interlaced(frame: av.VideoFrame) -> bool:
    """Return whether a frame consists of two fields."""
    return bool(frame.interlaced_frame)


def has_transparency(path: Path, frame: av.VideoFrame) -> bool:
    """Return whether the first frame of a file has pixels that are not opaque, or the file a channel for them."""
    if any(component.is_alpha for component in frame.format.components):
        return bool(frame.to_ndarray(format="rgba")[..., 3].min() < 255)
    with _open(path) as container:
        return _pictures(container).metadata.get("alpha_mode") == "1"  # VP8 and VP9 in WebM


def squeezed_luma(frame: av.VideoFrame, side: int) -> np.ndarray:
    """Return the brightness of a frame, squeezed to a square; read from the first plane if that holds it."""
    if frame.format.name.startswith(("yuv4", "yuvj4", "nv12")) and frame.format.components[0].bits == 8:
        plane = frame.planes[0]
        size, stride = (plane.width, plane.height), plane.line_size
        picture = Image.frombuffer("L", size, plane, "raw", "L", stride, 1)  # type: ignore[arg-type]  # any buffer
    else:
        picture = Image.fromarray(frame.to_ndarray(format="gray"))
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX, reducing_gap=1.0))
