"""Perturbed recordings: the same scene with the same labels, a little different to the eye.

Knows pictures and windows; does not know models or labels. A prediction that is right on the recording and wrong on a
perturbed one shows what the next demonstration should vary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from PIL import Image

from dataset.video import VideoReader
from dataset.window import WindowSpec

CROP = 0.08  # share cut off on every side
DARKER, BRIGHTER = 0.6, 1.4  # factors on the pixel values
SLOWER, FASTER = 0.5, 2.0  # factors on the spacing of a window


@dataclass(frozen=True)
class PerturbedRecording:
    """One perturbed recording.

    Args:
        name: Key of files and tables.
        remedy: What to do where only this recording is predicted badly.
        change: Changes one RGB uint8 frame, shape (H, W, 3), and keeps its shape; None changes no frame.
        stretch: Factor on the spacing of a window's frames: 2 plays the recording at twice its speed.
    """

    name: str
    remedy: str = ""
    change: Callable[[np.ndarray], np.ndarray] | None = None
    stretch: float = 1.0

    def window(self, spec: WindowSpec) -> WindowSpec:
        """Return the window rule with the speed of this recording."""
        if spec.rate_hz is not None:
            return replace(spec, rate_hz=spec.rate_hz / self.stretch)
        assert spec.stride is not None  # a rule has a stride or a rate
        return replace(spec, stride=spec.stride * self.stretch)


def crop(frame: np.ndarray) -> np.ndarray:
    """Return the middle of a frame, `CROP` cut off on every side, scaled back to its size: the camera moved closer."""
    height, width = frame.shape[:2]
    top, left = round(CROP * height), round(CROP * width)
    middle = Image.fromarray(frame[top : height - top, left : width - left])
    return np.asarray(middle.resize((width, height), Image.Resampling.BILINEAR))


def scale_brightness(frame: np.ndarray, factor: float) -> np.ndarray:
    """Return a frame with every value times `factor`, at most 255."""
    return np.minimum(frame.astype(np.float32) * factor + 0.5, 255.0).astype(np.uint8)


OTHER_LIGHT = "record the next demonstration in other light"
OTHER_SPEED = "do it {} in the next demonstration, or train with data.sampling.speed_share=0.5"
AS_RECORDED = PerturbedRecording("as recorded")
RECORDINGS = (
    AS_RECORDED,
    PerturbedRecording("cropped", "record the next demonstration with the camera a little closer or aside", crop),
    PerturbedRecording("darker", OTHER_LIGHT, partial(scale_brightness, factor=DARKER)),
    PerturbedRecording("brighter", OTHER_LIGHT, partial(scale_brightness, factor=BRIGHTER)),
    PerturbedRecording("half speed", OTHER_SPEED.format("slower"), stretch=SLOWER),
    PerturbedRecording("double speed", OTHER_SPEED.format("faster"), stretch=FASTER),
)


class ChangedVideo:
    """A video whose frames are changed when they are read; numbers, times and rate are those of the recording."""

    def __init__(self, reader: VideoReader, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self._reader, self._change = reader, change
        self.fps, self.timestamps_sec, self.timing = reader.fps, reader.timestamps_sec, reader.timing

    def __len__(self) -> int:
        return len(self._reader)

    def iter_frames(self, indices: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, changed frame) in rising order."""
        for index, frame in self._reader.iter_frames(indices):
            yield index, self._change(frame)
