"""Predictions: a video and a task text in, one record per frame out.

Knows how to walk through a video, forward or reversed, with each frame encoded once and each answer drafted from its
neighbours'. Does not know labels or metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tqdm import tqdm

from dataset.prompts import build_prompt
from dataset.video import VideoError, VideoReader
from dataset.window import WindowSpec, reversed_window_indices, window_indices
from infer.decoding.answer_order import AnswerMemory, answer_block, blocks
from infer.decoding.answers import Decoding, Readout, WindowAnswer
from infer.model.batch_limit import BatchLimit
from infer.model.encoded_video import EncodedVideo
from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.records import (
    DEFAULT_MAX_NEW_TOKENS,
    DEFAULT_MAX_SAMPLED_FRAMES,
    Prediction,
    RecordFile,
    make_record,
)
from infer.video_paths import find_videos
from infer.vllm.server import DEFAULT_SERVER

if TYPE_CHECKING:
    from infer.vllm.client import VllmEngine

BASE_WINDOW_RATE_HZ = 6.25  # spacing of a base model's windows where neither adapter nor caller names one
OnUnparsed = Literal["null", "previous"]


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
    on_unparsed: OnUnparsed = "null",
    progress_bar: tqdm | None = None,
    adapter: str | None = None,
    readout: Readout = "text",
    drafting: bool = True,
    seed: int = 0,
    previous: float | None = None,
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
        max_new_tokens, temperature, readout, drafting, seed: See `infer.decoding.answers.Decoding`.
        batch_size: Windows decoded together; halved when memory runs out.
        on_unparsed: "previous" repeats the last percentage where an answer has none, and says so in
            `progress_source`; "null" leaves it None.
        progress_bar: Advanced by one per frame.
        adapter: Name of the adapter to answer with, if several are loaded; the active one by default.
        previous: Percentage before the first frame, for `on_unparsed` in a run that is continued.

    Raises:
        VideoError: A frame does not decode; the predictions that do not need it come first.
    """
    if on_unparsed not in ("null", "previous"):
        raise ValueError(f'on_unparsed is "{on_unparsed}"; use "null" or "previous"')
    decoding = Decoding(max_new_tokens, temperature, readout, drafting, seed)
    reader = video.reader
    order = list(frame_indices)[::-1] if reverse else list(frame_indices)
    last_frame = len(reader) - 1
    budget = model.pixel_budget_of(adapter)
    if reverse:
        shown = [reversed_window_indices(window, t, reader.fps, last_frame) for t in order]
    else:
        shown = [window_indices(window, t, reader.fps) for t in order]
        video.prefetch((frame for indices in shown for frame in indices), budget)
    limit, memory = BatchLimit(batch_size, "windows"), AnswerMemory(model.recent_answers(task))
    try:
        for start, stop in blocks(video, shown, batch_size, budget):
            broken = None
            try:
                video.load({frame for indices in shown[start:stop] for frame in indices}, budget)
            except VideoError as error:
                broken = error
                while not video.has((frame for indices in shown[start:stop] for frame in indices), budget):
                    stop -= 1
            answers = answer_block(
                model,
                video,
                shown[start:stop],
                build_prompt(task),
                decoding,
                limit,
                memory,
                use_adapter,
                adapter,
                budget,
            )
            for number, answer in enumerate(answers, start=start):
                t = order[number]
                carried = previous if on_unparsed == "previous" else None
                yield make_prediction(answer, t, float(reader.timestamps_sec[t]), shown[number], carried)
                previous = previous if answer.progress is None else answer.progress
                if progress_bar is not None:
                    progress_bar.update()
            if broken is not None:
                raise broken
            coming = [frame for indices in shown[stop : stop + 1] for frame in indices]
            if coming:
                video.forget(*(float("-inf"), max(coming)) if reverse else (min(coming), float("inf")))
    finally:
        video.close()


def make_prediction(
    answer: WindowAnswer, frame_index: int, timestamp_sec: float, shown: tuple[int, ...], carried: float | None
) -> Prediction:
    """Return the prediction that an answer makes; `carried` stands in where the answer has no percentage."""
    carry = answer.progress is None and carried is not None
    return Prediction(
        frame_index=frame_index,
        timestamp_sec=round(timestamp_sec, 6),
        window_frame_indices=shown,
        progress=carried if carry else answer.progress,
        reasoning=answer.reasoning,
        model_output=answer.text,
        parsed_progress=answer.parsed,
        progress_source="previous" if carry else answer.source,
        progress_std=answer.std,
    )


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
    model: ProgressModel | VllmEngine,
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
    video_path: str | Path | Sequence[str | Path],
    task: str,
    window_size: int | None = None,
    use_lora: bool = False,
    output_path: str | Path | None = None,
    max_frames: int | None = None,
    max_sampled_frames: int | None = DEFAULT_MAX_SAMPLED_FRAMES,
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    temperature: float = 0.0,
    torch_dtype: str = "auto",
    base_model: str | None = None,
    window_stride: float | None = None,
    window_rate_hz: float | None = None,
    batch_size: int = 32,
    on_unparsed: OnUnparsed = "null",
    force: bool = False,
    model: ProgressModel | None = None,
    readout: Readout = "text",
    resume: bool = False,
    seed: int = 0,
    device: str | None = None,
    engine: Literal["transformers", "vllm"] = "transformers",
    server: str = DEFAULT_SERVER,
    server_model: str | None = None,
) -> list[dict[str, Any]]:
    """Load a model, predict one or more videos and return their records (written to `output_path` as JSONL, too).

    Args:
        model_path: Base model, or with `use_lora` the adapter folder.
        video_path: A video, a folder of videos, a glob, or a list of these; the model is loaded once.
        task: The task text, the same for all.
        window_size, window_stride, window_rate_hz, force: See `choose_window`.
        output_path: JSONL that grows while predictions are made; None writes nothing.
        max_frames, max_sampled_frames: See `sampled_frames`.
        max_new_tokens, temperature, batch_size, on_unparsed, readout, seed: See `predict_video`.
        torch_dtype, base_model, device: See `ProgressModel.load`.
        model: A loaded model to use instead of loading `model_path` again.
        engine: "vllm" asks a server that `python -m infer.vllm` started; see `infer.vllm.client`.
        server, server_model: Its URL, and the model's name there.
        resume: Keep the rows that `output_path` holds already and predict what is missing.

    Returns:
        One dict per predicted frame with the fields of `Prediction` and `video_path`, `task`, `sample_index`.

    Raises:
        ValueError: Something cannot be used as asked. A video that breaks in the middle is told after all others are
            done; its records up to there are kept.
    """
    readers = {str(path): VideoReader(path) for path in find_videos(video_path)}  # before the model: told at once
    if not task.strip():
        raise ValueError("the task text is empty; say what the robot shall do (--task)")
    Decoding(max_new_tokens, temperature, readout)
    if resume and output_path is None:
        raise ValueError("resume needs an output_path: the file of the run to go on with")
    output = RecordFile(output_path, resume) if output_path is not None else None
    plans = {path: sampled_frames(len(reader), max_sampled_frames, max_frames) for path, reader in readers.items()}
    if engine == "vllm":
        from infer.vllm.client import VllmEngine, predict_on_server

        if readout != "text":
            raise ModelError(f'readout "{readout}" needs the probabilities of all digits; use --engine transformers')
        asked: ProgressModel | VllmEngine = VllmEngine(server, model_path, use_lora, base_model, server_model)
    elif engine != "transformers":
        raise ModelError(f'engine "{engine}" is unknown; use "transformers" or "vllm"')
    else:
        asked = model or ProgressModel.load(model_path, use_lora, base_model, torch_dtype, device)
    if asked.progress_config and task not in asked.progress_config.tasks:
        known = '" and "'.join(asked.progress_config.tasks)
        print(f'warning: the adapter was trained on "{known}", not on "{task}": do not trust its values')
    window = choose_window(asked, window_size, window_stride, window_rate_hz, force)
    records: list[dict[str, Any]] = []
    broken: list[VideoError] = []
    with output or nullcontext():
        for path, reader in readers.items():
            frames = plans[path]
            done = _earlier_rows(output, path, task, frames, window, reader) if output else []
            records += done
            missing = frames[len(done) :]
            if not missing:
                continue
            with tqdm(total=len(frames), initial=len(done), desc=Path(path).name, unit="frame") as bar:
                options: dict[str, Any] = {
                    "max_new_tokens": max_new_tokens, "temperature": temperature, "batch_size": batch_size,
                    "on_unparsed": on_unparsed, "seed": seed, "previous": done[-1]["progress"] if done else None,
                    "progress_bar": bar,
                }  # fmt: skip
                if isinstance(asked, ProgressModel):
                    video = EncodedVideo(asked, reader)
                    predictions = predict_video(asked, video, task, window, missing, readout=readout, **options)
                else:
                    predictions = predict_on_server(asked, reader, task, window, missing, **options)
                rows = (make_record(path, task, n, one) for n, one in enumerate(predictions, start=len(done)))
                try:
                    for row in rows if output is None else output.write_through(rows):
                        records.append(row)
                except VideoError as error:
                    broken.append(error)
    if broken:
        raise VideoError(f"{'; '.join(map(str, broken))} (the records up to there were kept)")
    return records


def _earlier_rows(
    output: RecordFile, path: str, task: str, frames: Sequence[int], window: WindowSpec, reader: VideoReader
) -> list[dict[str, Any]]:
    """Return the rows of an interrupted run; refuse those of another task, window or choice of frames."""
    rows = [row for row in output.earlier if row.get("video_path") == path]
    for number, row in enumerate(rows):
        same = number < len(frames) and row["frame_index"] == frames[number] and row.get("task") == task
        if not same or tuple(row["window_frame_indices"]) != window_indices(window, frames[number], reader.fps):
            raise ValueError(
                f"{output.path}: row {number} of {path} is frame {row['frame_index']} of the task "
                f'"{row.get("task")}", which is not what this run would write; resume with the same task, window and '
                "frames, or leave --resume out to start again"
            )
    return rows
