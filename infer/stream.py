"""Live streams: frames come one by one from a camera or a simulator, and each is answered at once.

    stream = ProgressStream(model, "Open the drawer")
    prediction = stream.push(frame, timestamp_sec)

A stream keeps the features of the frames that later windows may contain, and its last answers as answer drafts, so that
a frame costs one encoding, one prefill and a few steps. One model serves any number of streams.
Knows frames in order of arrival; does not know video files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dataset.prompts import build_prompt
from dataset.window import WindowSpec, window_indices
from infer.decoding.answer_order import AnswerMemory
from infer.decoding.answers import decode_windows
from infer.decoding.settings import Decoding
from infer.model.model import ProgressModel
from infer.model.window_inputs import FrameFeatures
from infer.records import Prediction, carry_forward, make_prediction
from infer.request import OnUnparsed, choose_window


class ProgressStream:
    """One playback of one task, frame by frame; `reset` starts the next one.

    Args:
        model: The model; it may serve other streams as well.
        task: The task text.
        window: The window rule; the adapter's by default.
        fps: Rate of the frames, if it is fixed: windows are then those of a recording of that rate. Without it a window
            given in Hz takes the frames nearest in time.
        adapter: Name of the adapter to answer with, if several are loaded; the active one by default.
        decoding: How answers are decoded; `batch_size` has no effect.
        on_unparsed: "previous" repeats the last percentage where an answer has none; see `infer.records.carry_forward`.
    """

    def __init__(
        self,
        model: ProgressModel,
        task: str,
        window: WindowSpec | None = None,
        fps: float | None = None,
        adapter: str | None = None,
        decoding: Decoding = Decoding(),
        on_unparsed: OnUnparsed = "null",
    ) -> None:
        if not task.strip():
            raise ValueError("the task text is empty; name what the robot shall do")
        self.model, self.task, self.adapter, self.fps = model, task, adapter, fps
        self.prompt = build_prompt(task)
        self.window = window or choose_window(model.progress_config)
        self.decoding = decoding
        self.on_unparsed = on_unparsed
        self.reset()

    def reset(self) -> None:
        """Forget all frames: the next one starts a new episode. Answers stay, as drafts for all streams of the task."""
        self._times: list[float] = []
        self._pixels: dict[int, np.ndarray] = {}  # of frames that were in no window yet
        self._features: dict[int, FrameFeatures] = {}
        self._previous: float | None = None
        self._memory = AnswerMemory(self.model.recent_answers(self.task))

    def observe(self, frame: np.ndarray, timestamp_sec: float | None = None) -> None:
        """Take a frame without an answer; later windows may contain it.

        Args:
            frame: RGB uint8, shape (H, W, 3).
            timestamp_sec: Its time; later than the frame's before. With `fps` it may be left out.
        """
        frame = np.asarray(frame)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(
                f"frame has dtype {frame.dtype} and shape {frame.shape}; push RGB uint8 frames of shape (H, W, 3)"
            )
        number = len(self._times)
        if timestamp_sec is None:
            if self.fps is None:
                raise ValueError("the frame has no timestamp_sec; give one, or the stream's fps")
            timestamp_sec = number / self.fps
        if self._times and timestamp_sec <= self._times[-1]:
            raise ValueError(
                f"frame {number} is stamped {timestamp_sec} s, not later than the frame before it ({self._times[-1]} "
                "s); call reset() when a new episode starts"
            )
        self._times.append(float(timestamp_sec))
        self._pixels[number] = frame.copy()  # simulators reuse their buffers

    def push(self, frame: np.ndarray, timestamp_sec: float | None = None) -> Prediction:
        """Take a frame and answer; see `observe` for the arguments."""
        return push_all([self], [frame], timestamp_sec)[0]

    def _window_indices(self) -> tuple[int, ...]:
        """Return the frames of the window that ends at the latest one."""
        last = len(self._times) - 1
        if self.window.stride is not None or self.fps is not None:
            return window_indices(self.window, last, self.fps or 1.0)
        assert self.window.rate_hz is not None  # a rule has a stride or a rate
        indices = [last]
        for k in range(1, self.window.size):
            time = self._times[last] - k / self.window.rate_hz
            later = bisect_right(self._times, time)
            nearest = later if later <= last and self._nearer(later, time) else later - 1
            indices.append(min(nearest, indices[-1] - 1))
        if self.window.padding == "short":
            return tuple(index for index in reversed(indices) if index >= 0)
        return tuple(max(index, 0) for index in reversed(indices))

    def _nearer(self, later: int, time: float) -> bool:
        return later == 0 or self._times[later] - time <= time - self._times[later - 1]

    def _forget(self, indices: Sequence[int]) -> None:
        """Drop frames that no later window can contain: those before the oldest one of this window."""
        for frames in (self._pixels, self._features):
            for index in [index for index in frames if index < indices[0]]:
                del frames[index]


def push_all(
    streams: Sequence[ProgressStream], frames: Sequence[np.ndarray], timestamp_sec: float | None = None
) -> list[Prediction]:
    """Push one frame to each of several streams and answer them together, as for a vector of environments.

    The streams must share model, adapter and decoding; tasks and windows may differ.
    """
    first = streams[0]
    for stream in streams:
        if (stream.model, stream.adapter, stream.decoding) != (first.model, first.adapter, first.decoding):
            raise ValueError("streams that are pushed together must share model, adapter and decoding")
    for stream, frame in zip(streams, frames, strict=True):
        stream.observe(frame, timestamp_sec)
    model = first.model
    with model.adapter_switch(first.adapter):
        windows = [stream._window_indices() for stream in streams]
        _encode(model, streams, windows)
        features = [[s._features[i] for i in indices] for s, indices in zip(streams, windows, strict=True)]
        known_answers = [stream._memory.known_answers(0) for stream in streams]
        prompts = [stream.prompt for stream in streams]
        decoding = replace(first.decoding, seed=first.decoding.seed + windows[0][-1])
        answers = decode_windows(model, features, prompts, decoding, known_answers)
    predictions = []
    for stream, indices, answer in zip(streams, windows, answers, strict=True):
        stream._memory.add(0, answer.tokens)  # its own last answer comes first, then those of the task's streams
        prediction = make_prediction(answer, len(stream._times) - 1, stream._times[-1], indices)
        if stream.on_unparsed == "previous":
            (prediction,) = carry_forward([prediction], stream._previous)
        predictions.append(prediction)
        stream._previous = prediction.progress
        stream._forget(indices)
    return predictions


def _encode(model: ProgressModel, streams: Sequence[ProgressStream], windows: Sequence[Sequence[int]]) -> None:
    """Replace the pixels of the windows' frames by features, in one call where the pictures have one size."""
    missing = [
        (stream, index)
        for stream, indices in zip(streams, windows, strict=True)
        for index in sorted(set(indices))
        if index in stream._pixels
    ]
    for shape in {stream._pixels[index].shape for stream, index in missing}:
        same = [(s, index) for s, index in missing if index in s._pixels and s._pixels[index].shape == shape]
        encoded = model.encode_frames(np.stack([stream._pixels[index] for stream, index in same]))
        for (stream, index), features in zip(same, encoded, strict=True):
            stream._features[index] = features
            stream._pixels.pop(index, None)
