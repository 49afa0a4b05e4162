"""Predictions: a video and a task text in, one record per frame out.

Knows how to walk through a video, forward or reversed, with each frame encoded once. Does not know labels or metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from dataset.prompts import build_prompt, parse_answer
from dataset.video import VideoReader
from dataset.window import WindowSpec, reversed_window_indices, window_indices
from infer.decode import answer_windows
from infer.errors import ModelError
from infer.model import FrameFeatures, ProgressModel
from infer.records import (
    DEFAULT_MAX_NEW_TOKENS,
    DEFAULT_MAX_SAMPLED_FRAMES,
    Prediction,
    make_records,
    write_records,
)

BASE_WINDOW_RATE_HZ = 6.25  # spacing of a base model's windows where neither adapter nor caller names one


class EncodedVideo:
    """A video whose frames are encoded when first needed.

    Args:
        model: The model whose vision tower encodes.
        reader: The video.
        keep_all: Keep every frame's features (several passes over one video, as in a report); otherwise only those
            that windows still to come can show, so that memory does not grow with the video.
    """

    def __init__(self, model: ProgressModel, reader: VideoReader, keep_all: bool = False) -> None:
        self.model, self.reader, self.keep_all = model, reader, keep_all
        self._features: dict[int, FrameFeatures] = {}

    def windows(self, indices: Sequence[Sequence[int]]) -> list[list[FrameFeatures]]:
        """Return the features of windows given by source frame numbers."""
        needed = {index for window in indices for index in window}
        missing = sorted(needed - self._features.keys())
        if missing:
            frames = (frame for _, frame in self.reader.iter_frames(missing))
            for start in range(0, len(missing), 16):
                chunk = missing[start : start + 16]
                pixels = np.stack([next(frames) for _ in chunk])
                self._features.update(zip(chunk, self.model.encode_frames(pixels), strict=True))
        windows = [[self._features[index] for index in window] for window in indices]
        if not self.keep_all:
            low, high = min(needed), max(needed)
            self._features = {i: features for i, features in self._features.items() if low <= i <= high}
        return windows


def predict_video(
    model: ProgressModel,
    video: EncodedVideo,
    task: str,
    window: WindowSpec,
    frame_indices: Sequence[int],
    reverse: bool = False,
    use_adapter: bool = True,
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    temperature: float = 0.0,
    batch_size: int = 32,
    on_unparsed: Literal["null", "previous"] = "null",
    progress_bar: tqdm | None = None,
) -> Iterator[Prediction]:
    """Predict the progress at `frame_indices`, in the order of playback.

    Args:
        model: Base or adapted model.
        video: The video, encoded by the same model.
        task: The task text.
        window: Which frames accompany the current one.
        frame_indices: Source frames to predict, rising.
        reverse: Play the video backwards: windows are rebuilt for that direction, frames come in falling order.
        use_adapter: False answers as the base model.
        max_new_tokens, temperature: See `infer.decode.answer_windows`.
        batch_size: Windows decoded together.
        on_unparsed: "previous" repeats the last percentage where an answer has none, and says so in
            `progress_source`; "null" leaves it None.
        progress_bar: Advanced by one per frame.
    """
    reader, prompt = video.reader, build_prompt(task)
    order = list(frame_indices)[::-1] if reverse else list(frame_indices)
    last_frame, previous = len(reader) - 1, None
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        if reverse:
            indices = [reversed_window_indices(window, t, reader.fps, last_frame) for t in batch]
        else:
            indices = [window_indices(window, t, reader.fps) for t in batch]
        with model.adapter_switch(use_adapter):
            answers = answer_windows(model, video.windows(indices), prompt, max_new_tokens, temperature)
        for t, shown, text in zip(batch, indices, answers, strict=True):
            answer = parse_answer(text)
            carry = answer.progress is None and on_unparsed == "previous" and previous is not None
            previous = previous if answer.progress is None else answer.progress
            yield Prediction(
                frame_index=t,
                timestamp_sec=round(float(reader.timestamps_sec[t]), 6),
                window_frame_indices=shown,
                progress=previous if carry else answer.progress,
                reasoning=answer.reasoning,
                model_output=text,
                parsed_progress=answer.progress,
                progress_source="previous" if carry else ("model" if answer.progress is not None else None),
            )
            if progress_bar is not None:
                progress_bar.update()


def sampled_frames(num_frames: int, max_sampled_frames: int | None, max_frames: int | None = None) -> list[int]:
    """Return the frames to predict: all, or `max_sampled_frames` spread evenly with the last one among them.

    Which frames are *shown* in a window does not depend on this: windows count source frames.

    Args:
        num_frames: Frames of the video.
        max_sampled_frames: Most frames to predict; None for all.
        max_frames: Look only at the first so many frames; None for all.
    """
    for name, value in (("max_frames", max_frames), ("max_sampled_frames", max_sampled_frames)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1 (leave it out for all frames)")
    end = min(num_frames, max_frames or num_frames)
    if max_sampled_frames is None or end <= max_sampled_frames:
        return list(range(end))
    return sorted({round(position) for position in np.linspace(end - 1, 0, max_sampled_frames)})


def choose_window(
    model: ProgressModel,
    window_size: int | None = None,
    window_stride: float | None = None,
    window_rate_hz: float | None = None,
    force: bool = False,
) -> WindowSpec:
    """Return the adapter's window rule; a request that contradicts it is refused unless `force`.

    A base model takes the request, with 8 frames at 6.25 Hz where it says nothing.
    """
    trained = model.progress_config.window if model.progress_config else None
    fallback = trained or WindowSpec(size=8, rate_hz=BASE_WINDOW_RATE_HZ)
    if window_stride is None and window_rate_hz is None:
        window_stride, window_rate_hz = fallback.stride, fallback.rate_hz
    asked = WindowSpec(window_size or fallback.size, window_stride, window_rate_hz, fallback.padding)
    if trained is not None and asked != trained and not force:
        raise ModelError(
            f"the adapter was trained with the window {trained.to_dict()}, but {asked.to_dict()} was asked for; leave "
            "the window flags out, or add --force to compare"
        )
    return asked


def infer_progress_from_video(
    model_path: str,
    video_path: str,
    task: str,
    window_size: int | None = None,
    use_lora: bool = False,
    output_path: str | None = None,
    max_frames: int | None = None,
    max_sampled_frames: int | None = DEFAULT_MAX_SAMPLED_FRAMES,
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    temperature: float = 0.0,
    torch_dtype: str = "auto",
    base_model: str | None = None,
    window_stride: float | None = None,
    window_rate_hz: float | None = None,
    batch_size: int = 32,
    on_unparsed: Literal["null", "previous"] = "null",
    force: bool = False,
    model: ProgressModel | None = None,
) -> list[dict[str, Any]]:
    """Load a model, predict one video and return its records (written to `output_path` as JSONL, too).

    Args:
        model_path: Base model, or with `use_lora` the adapter folder.
        video_path: The video.
        task: The task text.
        window_size, window_stride, window_rate_hz, force: See `choose_window`.
        output_path: JSONL to write, replaced in one step at the end; None writes nothing.
        max_frames, max_sampled_frames: See `sampled_frames`.
        max_new_tokens, temperature, batch_size, on_unparsed: See `predict_video`.
        torch_dtype, base_model: See `ProgressModel.load`.
        model: A loaded model to use instead of loading `model_path` again.

    Returns:
        One dict per predicted frame with the fields of `Prediction` and `video_path`, `task`, `sample_index`.
    """
    reader = VideoReader(video_path)  # before the model: a bad video is told at once
    if not task.strip():
        raise ValueError("the task text is empty; say what the robot shall do (--task)")
    model = model or ProgressModel.load(model_path, use_lora, base_model, torch_dtype)
    window = choose_window(model, window_size, window_stride, window_rate_hz, force)
    frames = sampled_frames(len(reader), max_sampled_frames, max_frames)
    with tqdm(total=len(frames), desc=Path(video_path).name, unit="frame") as bar:
        predictions = predict_video(
            model, EncodedVideo(model, reader), task, window, frames, max_new_tokens=max_new_tokens,
            temperature=temperature, batch_size=batch_size, on_unparsed=on_unparsed, progress_bar=bar,
        )  # fmt: skip
        records = make_records(video_path, task, predictions)
    if output_path is not None:
        write_records(output_path, records)
    return records
