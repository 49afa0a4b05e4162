"""The frames of a recording as vision features: each is decoded, resized and encoded once, ahead of its windows.

Knows frame numbers and features; does not know prompts or answers.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from dataset.video import VideoError
from dataset.window import Timing
from infer.model.model import PixelBudget, ProgressModel
from infer.model.window_inputs import FrameFeatures

CHUNK = 16  # frames decoded and encoded together
CHUNKS_AHEAD = 8  # how far the background thread may run ahead

FeatureKey = tuple[PixelBudget, int]  # features of a frame differ between budgets


class FrameSource(Protocol):
    """What encoding and predictions need of a recording: a `VideoReader`, or a wrapper that changes its frames."""

    fps: float
    timestamps_sec: np.ndarray
    timing: Timing

    def __len__(self) -> int: ...

    def iter_frames(self, indices: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]: ...


class EncodedVideo:
    """A recording whose frames are encoded when first needed, or ahead of that in the background (`prefetch`).

    Args:
        model: The model whose vision tower encodes.
        reader: The recording.
        keep_all: Keep every frame's features, for several passes over one recording; `forget` has no effect. They are
            kept in the machine's memory, not in the GPU's: ten minutes of video would fill that.
    """

    def __init__(self, model: ProgressModel, reader: FrameSource, keep_all: bool = False) -> None:
        self.model, self.reader, self.keep_all = model, reader, keep_all
        self._features: dict[FeatureKey, FrameFeatures] = {}
        self._ahead: _Prefetch | None = None

    def __enter__(self) -> EncodedVideo:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the background thread."""
        if self._ahead is not None:
            self._ahead.stop()
            self._ahead = None

    def prefetch(self, frames: Iterable[int], budget: PixelBudget) -> None:
        """Start to decode and encode the missing ones of `frames`, in rising order, in a background thread.

        Memory is bounded: the thread waits when it is `CHUNK * CHUNKS_AHEAD` frames ahead of `load`.
        """
        self.close()
        missing = sorted({frame for frame in frames if (budget, frame) not in self._features})
        if missing:
            self._ahead = _Prefetch(self.model, self.reader, missing, budget)

    def load(self, frames: Iterable[int], budget: PixelBudget | None = None) -> None:
        """Make the features of `frames` ready.

        Args:
            frames: Source frame numbers.
            budget: Pixel budget that they are resized to; the active adapter's by default.

        Raises:
            VideoError: A frame does not decode; all frames before it are ready.
        """
        budget = budget or self.model.pixel_budget
        missing = sorted({frame for frame in frames if (budget, frame) not in self._features})
        ahead = self._ahead
        while missing and ahead is not None and ahead.budget == budget and missing[-1] >= ahead.first:
            for frame, features in ahead.take():
                self._features[budget, frame] = self._kept(features)
            missing = [frame for frame in missing if (budget, frame) not in self._features]
        for frame, features in _encoded(self.model, self.reader, missing, budget):
            self._features[budget, frame] = self._kept(features)

    def _kept(self, features: FrameFeatures) -> FrameFeatures:
        return features.to("cpu") if self.keep_all else features

    @property
    def bytes_per_frame(self) -> int:
        """Memory of one frame's features; 0 before the first frame is encoded."""
        for features in self._features.values():
            return sum(tensor.nbytes for tensor in (features.embedding, *features.deepstack))
        return 0

    def has(self, frames: Iterable[int], budget: PixelBudget) -> bool:
        """Tell whether the features of all of `frames` are ready."""
        return all((budget, frame) in self._features for frame in frames)

    def windows(self, indices: Sequence[Sequence[int]], budget: PixelBudget | None = None) -> list[list[FrameFeatures]]:
        """Return the features of windows given by source frame numbers, on the model's device."""
        budget = budget or self.model.pixel_budget
        needed = {index for window in indices for index in window}
        self.load(needed, budget)
        features = {index: self._features[budget, index].to(self.model.device) for index in needed}
        return [[features[index] for index in window] for window in indices]

    def forget(self, low: float, high: float) -> None:
        """Drop the features of frames outside `low` to `high`, both included, unless `keep_all`."""
        if not self.keep_all:
            self._features = {key: features for key, features in self._features.items() if low <= key[1] <= high}


class _Prefetch:
    """A background thread that encodes frames in rising order, and waits when they are not taken.

    Attributes:
        budget: Pixel budget of its features.
        first: The lowest frame that `take` has not returned yet; beyond every frame when all are taken.
    """

    def __init__(self, model: ProgressModel, reader: FrameSource, frames: Sequence[int], budget: PixelBudget) -> None:
        self._source = (model, reader, frames, budget)
        self.budget = budget
        self._chunks: queue.Queue = queue.Queue(maxsize=CHUNKS_AHEAD)
        self._stopped = threading.Event()
        self.first: float = frames[0]
        self._thread = threading.Thread(target=self._work, name="onetake-prefetch", daemon=True)
        self._thread.start()

    def take(self) -> list[tuple[int, FrameFeatures]]:
        """Return the next chunk; an error of the background thread is raised here, after all chunks before it."""
        chunk, error, following = self._chunks.get()
        self.first = following
        if error is not None:
            raise error
        return chunk

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        frames = self._source[2]
        done, chunk = 0, []
        try:
            for pair in _encoded(*self._source):
                chunk.append(pair)
                done += 1
                if len(chunk) == CHUNK or done == len(frames):
                    if not self._put((chunk, None, frames[done] if done < len(frames) else float("inf"))):
                        return
                    chunk = []
        except Exception as error:  # raised by `take`, in the thread that waits for the frames
            if chunk:
                self._put((chunk, None, frames[done]))
            self._put(([], error, float("inf")))

    def _put(self, item: tuple) -> bool:
        while not self._stopped.is_set():
            try:
                self._chunks.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False


def _encoded(
    model: ProgressModel, reader: FrameSource, frames: Sequence[int], budget: PixelBudget
) -> Iterator[tuple[int, FrameFeatures]]:
    """Yield the features of rising `frames`; when one does not decode, all before it come first."""
    if not frames:
        return
    decoded = reader.iter_frames(frames)
    numbers: list[int] = []
    pixels: list[np.ndarray] = []
    error = None
    while error is None:
        try:
            number, frame = next(decoded)
            numbers.append(number)
            pixels.append(frame)
        except StopIteration:
            break
        except VideoError as broken:
            error = broken
        if len(pixels) == CHUNK:
            yield from zip(numbers, model.encode_frames(np.stack(pixels), budget), strict=True)
            numbers, pixels = [], []
    if pixels:
        yield from zip(numbers, model.encode_frames(np.stack(pixels), budget), strict=True)
    if error is not None:
        raise error
