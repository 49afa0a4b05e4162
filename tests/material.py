"""Material for tests: synthetic videos whose frames carry their number, and annotations of them."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dataset.annotation import Annotation, Stage
from dataset.video import VideoReader, fingerprint

ROOT = Path(__file__).parents[1]
NANO = ROOT / "recipes" / "nano" / "model"
DEMO = ROOT / "recipes" / "demo"
REAL_DEMOS = ROOT.parent / "shared" / "demos" / "real"
TASK = "Put the red block into the bin"


def numbered_frame(index: int, width: int = 96, height: int = 64) -> np.ndarray:
    """Return a grey picture that carries its number as twelve black or white squares in its top row."""
    frame = np.full((height, width, 3), 128, dtype=np.uint8)
    for bit in range(12):
        frame[:8, bit * 8 : bit * 8 + 8] = 255 if index >> bit & 1 else 0
    frame[height // 2 :, (index * 2) % width] = (200, 40, 40)
    return frame


def number_of(frame: np.ndarray) -> int:
    """Read the number back from a decoded picture."""
    return sum(int(frame[2:6, bit * 8 + 2 : bit * 8 + 6].mean() > 127) << bit for bit in range(12))


def write_video(
    path: Path,
    num_frames: int,
    codec: str = "libx264",
    fps: int = 25,
    size: tuple[int, int] = (96, 64),
    times: list[int] | None = None,
    **options: str,
) -> Path:
    """Encode numbered frames of `size` (width, height); `times` are their milliseconds, evenly spaced by default."""
    pixels = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1000 if times else fps, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        for index in range(num_frames):
            frame = av.VideoFrame.from_ndarray(numbered_frame(index, *size), format="rgb24")
            if times:
                frame.pts, frame.time_base = times[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def make_annotation(video: Path, *ends: int, success: bool = True, **fields) -> Annotation:
    """Return an annotation with stages "step 1", "step 2", ... that end (half-open) at the frames given."""
    reader = VideoReader(video)
    starts = (0, *ends[:-1])
    return Annotation(
        video=video.name,
        fingerprint=fingerprint(video),
        num_frames=len(reader),
        fps=reader.fps,
        task=TASK,
        stages=tuple(
            Stage(f"step {number}", start, end)
            for number, (start, end) in enumerate(zip(starts, ends, strict=True), start=1)
        ),
        success=success,
        **fields,
    )


def annotated(*lengths: int, tail: int = 0, **fields) -> Annotation:
    """Return an annotation with stages "s0", "s1", ... of these lengths and `tail` finished frames; no video."""
    ends = np.cumsum(lengths)
    return Annotation(
        video="v.mp4", fingerprint="x", num_frames=int(ends[-1]) + tail, fps=25.0, task="t",
        stages=tuple(Stage(f"s{i}", int(e - n), int(e)) for i, (n, e) in enumerate(zip(lengths, ends, strict=True))),
        **{"success": True, **fields},
    )  # fmt: skip


def write_sound(path: Path) -> None:
    """Write a tenth of a second of silence: a file that plays and has no picture."""
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
