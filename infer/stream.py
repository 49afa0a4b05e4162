"""Live streams: frames come one by one from a camera or a simulator, and each is answered at once.

    stream = ProgressStream(model, "Open the drawer")
    prediction = stream.push(frame, timestamp_sec)

A stream keeps the features of the frames that later windows may contain, and its last answers as answer drafts, so that
a frame costs one encoding, one prefill and a few steps. One model serves any number of streams and threads.
Knows frames in order of arrival; does not know video files.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataset.checked_numbers import check_number
from dataset.prompts import build_prompt
from dataset.window import ROUNDING_SEC, WindowSpec, wide_windows, window_indices
from infer.decoding.answer_order import AnswerMemory
from infer.decoding.answers import decode_windows
from infer.decoding.settings import Decoding
from infer.model.model import BASE, ProgressModel
from infer.model.window_inputs import FrameFeatures
from infer.records import Prediction, carry_forward, make_prediction
from infer.request import OnUnparsed, Output, check_task, choose_window, foreign_task


@dataclass(frozen=True)
class _Arrival:
    """A frame that can be taken: its pixels, its time, whether the rate is still constant, and the window it ends."""

    frame: np.ndarray
    time: float
    even: bool
    window: tuple[int, ...]


class ProgressStream:
    """One playback of one task, frame by frame; `reset` starts the next one.

    Adapter, window rule and pixels are those of the moment the stream is made: adapters that are loaded or made active
    later do not change its answers.

    Args:
        model: The model; it may serve other streams as well.
        task: The task text.
        window: The window rule; the adapter's by default.
        fps: Rate of the frames, if it is fixed: frames need no times then, and windows are those of a recording of that
            rate. Frames whose times do not fit it go by their times.
        adapter: Name of the adapter to answer with, if several are loaded; the active one by default.
        decoding: How answers are decoded; `batch_size` limits how many windows `push_all` decodes together.
        on_unparsed: "previous" repeats the last percentage where an answer has none; see `infer.records.carry_forward`.

    Raises:
        ValueError: A value cannot be used.
        TypeError: A value is of another kind.
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
        for name, value, kind in (("model", model, ProgressModel), ("decoding", decoding, Decoding)):
            if not isinstance(value, kind):
                raise TypeError(f"{name} is {value!r}; it must be a {kind.__name__}")
        if window is not None and not isinstance(window, WindowSpec):
            raise TypeError(f"window is {window!r}; it must be a WindowSpec, or None for the adapter's")
        if fps is not None and check_number("fps", fps) <= 0:
            raise ValueError(f"fps is {fps}; it must be above 0")
        Output(on_unparsed=on_unparsed)  # checks it
        self.model, self.task, self.fps = model, check_task(task), fps
        with model.lock:
            self.adapter = model.active_adapter if adapter is None else adapter
            config = model.config_of(self.adapter)
            self._budget = model.pixel_budget_of(self.adapter)
        self.prompt = build_prompt(task)
        self.window = window or choose_window(config)
        self.decoding = decoding
        self.on_unparsed = on_unparsed
        self._limit = model.batch_limit(decoding.batch_size, "windows", self.window, self._budget)
        if self.adapter == BASE and model.has_adapter:
            config = None  # the base alone was trained on no task
        if foreign := foreign_task(config, task):
            warnings.warn(foreign, stacklevel=2)
        if config and self.window != config.window:
            warnings.warn(
                f"the adapter was trained with the window {config.window.to_dict()}, but the stream has "
                f"{self.window.to_dict()}; leave window out",
                stacklevel=2,
            )
        self._warned = False
        if fps is not None and (wide := wide_windows(self.window, fps)):
            self._warned = True
            warnings.warn(f"the stream {wide}", stacklevel=2)
        self.reset()

    def reset(self) -> None:
        """Forget all frames: the next one starts a new episode. Answers stay, as drafts for all streams of the task."""
        self._count = 0  # frames so far
        self._first = 0  # number of the first frame in _times
        self._start = 0.0
        self._times: list[float] = []  # of the frames that later windows may contain, and one more
        self._even = self.fps is not None  # all times so far are those of `fps`
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
        arrival = self._arrive(frame, timestamp_sec)
        self._take(arrival)
        self._pixels[self._count - 1] = arrival.frame.copy()  # simulators reuse their buffers
        self._forget(arrival.window)

    def push(self, frame: np.ndarray, timestamp_sec: float | None = None) -> Prediction:
        """Take a frame and answer; see `observe` for the arguments. Where this fails, the frame is not taken."""
        return push_all([self], [frame], timestamp_sec)[0]

    def _arrive(self, frame: Any, timestamp_sec: Any) -> _Arrival:
        """Check a frame and its time, and find its window; the stream is left as it is."""
        frame, number = _checked_frame(frame), self._count
        place = 0.0 if self.fps is None else number / self.fps
        if timestamp_sec is not None:
            time = check_number("timestamp_sec", timestamp_sec)
        elif self.fps is None:
            raise ValueError("the frame has no timestamp_sec; give one, or the stream's fps")
        else:
            time = self._start + place if self._even else self._times[-1] + 1.0 / self.fps
        if self._times and time <= self._times[-1]:
            raise ValueError(
                f"frame {number} is stamped {time} s, not later than the frame before it ({self._times[-1]} s); call "
                "reset() when a new episode starts"
            )
        start = self._start if number else time
        even = self._even and abs(time - start - place) <= ROUNDING_SEC * (1 + 1e-6)
        self._warn_of_wide_windows(number, time - start)
        if even or self.window.rate_hz is None:  # frames are counted
            window = window_indices(self.window, number, self.fps or 1.0)
        else:
            kept = window_indices(self.window, number - self._first, [*self._times, time])
            window = tuple(self._first + index for index in kept)
        return _Arrival(frame, time, even, window)

    def _take(self, arrival: _Arrival) -> None:
        if self._count == 0:
            self._start = arrival.time
        self._count += 1
        self._even = arrival.even
        self._times.append(arrival.time)

    def _forget(self, window: Sequence[int]) -> None:
        """Drop what no later window needs: frames before the oldest one of this window, and times before one more."""
        oldest = window[0] if len(window) == self.window.size else 0  # "short": the next one may reach the first frame
        for frames in (self._pixels, self._features):
            for index in [index for index in frames if index < oldest]:
                del frames[index]
        passed = max(0, oldest - 1) - self._first
        if passed > 0:
            del self._times[:passed]
            self._first += passed

    def _warn_of_wide_windows(self, number: int, elapsed_sec: float) -> None:
        """Warn once of frames that come more slowly than the window rule asks for, after the length of a window."""
        rate_hz = self.window.rate_hz
        if self._warned or rate_hz is None or elapsed_sec <= (self.window.size - 1) / rate_hz:
            return
        if wide := wide_windows(self.window, number / elapsed_sec):
            warnings.warn(f"the stream {wide} (`observe` takes frames without an answer)", stacklevel=4)
            self._warned = True


def _checked_frame(frame: Any) -> np.ndarray:
    """Return a frame as an array; ValueError if it is no RGB picture."""
    try:
        array = np.asarray(frame)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor on a GPU, a ragged list
        raise ValueError(f"the frame is no array ({error}); push RGB uint8 frames of shape (H, W, 3)") from None
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ValueError(
            f"frame has dtype {array.dtype} and shape {array.shape}; push RGB uint8 frames of shape (H, W, 3)"
        )
    return array


def push_all(
    streams: Sequence[ProgressStream],
    frames: Sequence[np.ndarray],
    timestamp_sec: float | Sequence[float | None] | np.ndarray | None = None,
) -> list[Prediction]:
    """Push one frame to each of several streams and answer them together, as for a vector of environments.

    All or nothing: where a frame or a time cannot be used, or no answer comes, no stream takes its frame.

    Args:
        streams: They must share model, adapter and decoding; tasks and windows may differ.
        frames: One per stream.
        timestamp_sec: One time for all, or one per stream; see `ProgressStream.observe`.
    """
    streams, frames = list(streams), list(frames)
    if not streams:
        raise ValueError("push_all got no streams; give at least one, and one frame for each")
    one_for_all = isinstance(timestamp_sec, str) or not hasattr(timestamp_sec, "__len__")
    times: Any = [timestamp_sec] * len(streams) if one_for_all else timestamp_sec
    values: Sequence[Any]
    for name, values in (("frames", frames), ("times", times)):
        if len(values) != len(streams):
            raise ValueError(f"push_all got {len(streams)} streams and {len(values)} {name}; give one for each stream")
    if len(set(map(id, streams))) < len(streams):
        raise ValueError("push_all got one stream twice; push its frames one after the other")
    first = streams[0]
    for stream in streams:
        if (stream.model, stream.adapter, stream.decoding) != (first.model, first.adapter, first.decoding):
            raise ValueError("streams that are pushed together must share model, adapter and decoding")
    with first.model.adapter_switch(first.adapter):
        arrivals = []
        for number, (stream, frame, time) in enumerate(zip(streams, frames, times, strict=True)):
            try:
                arrivals.append(stream._arrive(frame, time))
            except ValueError as error:
                where = f"stream {number}: " if len(streams) > 1 else ""
                after = "; no stream took its frame" if len(streams) > 1 else ""
                raise ValueError(f"{where}{error}{after}") from None
        return _answer(streams, arrivals)


def _answer(streams: Sequence[ProgressStream], arrivals: Sequence[_Arrival]) -> list[Prediction]:
    """Answer the windows that end at the arrivals; the streams take them when all answers are there."""
    first, model = streams[0], streams[0].model
    encoded = _encode(streams, arrivals)
    windows = [
        [{**stream._features, **new}[index] for index in arrival.window]
        for stream, new, arrival in zip(streams, encoded, arrivals, strict=True)
    ]
    answers = first._limit.run(
        lambda *columns: decode_windows(model, columns[0], columns[1], first.decoding, columns[2], columns[3]),
        windows,
        [stream.prompt for stream in streams],
        [stream._memory.known_answers(0) for stream in streams],
        [arrival.window[-1] for arrival in arrivals],
    )
    predictions = []
    for stream, new, arrival, answer in zip(streams, encoded, arrivals, answers, strict=True):
        stream._memory.add(0, answer.tokens)  # its own last answer comes first, then those of the task's streams
        prediction = make_prediction(answer, arrival.window[-1], arrival.time, arrival.window)
        if stream.on_unparsed == "previous":
            (prediction,) = carry_forward([prediction], stream._previous)
        predictions.append(prediction)
        stream._previous = prediction.progress
        stream._features |= new
        for index in new:
            stream._pixels.pop(index, None)
        stream._forget(arrival.window)
        stream._take(arrival)
    return predictions


def _encode(streams: Sequence[ProgressStream], arrivals: Sequence[_Arrival]) -> list[dict[int, FrameFeatures]]:
    """Return the features that the windows lack, by frame number, in one call where pictures and pixels are alike."""
    encoded: list[dict[int, FrameFeatures]] = [{} for _ in streams]
    groups: dict[Any, list[tuple[int, int, np.ndarray]]] = {}
    for number, (stream, arrival) in enumerate(zip(streams, arrivals, strict=True)):
        pixels = {**stream._pixels, arrival.window[-1]: arrival.frame}
        for index in sorted(set(arrival.window) & pixels.keys()):
            group = groups.setdefault((pixels[index].shape, stream._budget), [])
            group.append((number, index, pixels[index]))
    for (_, budget), group in groups.items():
        features = streams[0].model.encode_frames(np.stack([frame for *_, frame in group]), pixel_budget=budget)
        for (number, index, _), frame in zip(group, features, strict=True):
            encoded[number][index] = frame
    return encoded
