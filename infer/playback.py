"""Predictions along a recording, played forward or reversed: each frame encoded once, each answer with a draft.

Knows how to walk through one recording with a loaded model; does not know labels, metrics or files of records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from dataset.prompts import build_prompt
from dataset.video import VideoError, VideoReader
from dataset.window import WindowSpec, reversed_window_indices, window_indices
from infer.decoding.answer_order import AnswerMemory, answer_block, blocks
from infer.decoding.settings import Decoding
from infer.model.adapter_folder import ProgressConfig
from infer.model.encoded_video import EncodedVideo
from infer.model.identity import Identity, identity_in_memory
from infer.model.model import ProgressModel
from infer.records import Prediction, make_prediction


def predict_video(
    model: ProgressModel,
    video: EncodedVideo,
    task: str,
    window: WindowSpec,
    frame_indices: Sequence[int],
    reverse: bool = False,
    adapter: str | None = None,
    decoding: Decoding = Decoding(),
) -> Iterator[Prediction]:
    """Predict the progress at the sampled frames, in the order of playback.

    Args:
        model: Base or adapted model.
        video: The recording, encoded by the same model.
        task: The task text.
        window: Which frames accompany a sampled one.
        frame_indices: The sampled frames: source frames, rising.
        reverse: Play the recording backwards: windows are built for that direction, frames come in falling order.
        adapter: Name of the adapter to answer with; None takes the one that is active now, `infer.model.model.BASE` the
            base alone.
        decoding: How answers are decoded, and how many at a time.

    Raises:
        VideoError: A frame does not decode; the predictions that do not need it come first.
    """
    adapter = model.active_adapter if adapter is None else adapter
    order = list(frame_indices)[::-1] if reverse else list(frame_indices)
    return _predict(model, video, task, window, order, reverse, adapter, decoding)


def _predict(
    model: ProgressModel,
    video: EncodedVideo,
    task: str,
    window: WindowSpec,
    order: Sequence[int],
    reverse: bool,
    adapter: str | None,
    decoding: Decoding,
) -> Iterator[Prediction]:
    reader = video.reader
    last_frame = len(reader) - 1
    budget = model.pixel_budget_of(adapter)
    if reverse:
        windows = [reversed_window_indices(window, t, reader.timing, last_frame) for t in order]
    else:
        windows = [window_indices(window, t, reader.timing) for t in order]
        video.prefetch((frame for indices in windows for frame in indices), budget)
    limit, memory = (
        model.batch_limit(decoding.batch_size, "windows", window, budget),
        AnswerMemory(model.recent_answers(task)),
    )
    prompt = build_prompt(task)
    try:
        for start, stop in blocks(video, windows, decoding.batch_size, budget):
            broken = None
            try:
                video.load({frame for indices in windows[start:stop] for frame in indices}, budget)
            except VideoError as error:
                broken = error
                while not video.has((frame for indices in windows[start:stop] for frame in indices), budget):
                    stop -= 1
            answers = answer_block(model, video, windows[start:stop], prompt, decoding, limit, memory, adapter)
            for number, answer in enumerate(answers, start=start):
                t = order[number]
                yield make_prediction(answer, t, float(reader.timestamps_sec[t]), windows[number])
            if broken is not None:
                raise broken
            if stop < len(windows):
                following = windows[stop]
                video.forget(*(float("-inf"), max(following)) if reverse else (min(following), float("inf")))
    finally:
        video.close()


def advance(bar: tqdm, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
    """Pass predictions on, and advance a progress bar by one for each."""
    for prediction in predictions:
        bar.update()
        yield prediction


@dataclass(frozen=True)
class TransformersEngine:
    """A loaded model as `infer.predict` needs it.

    Args:
        model: Base or adapted model.
        adapter: Name of the adapter that answers, also if another one becomes active.
    """

    model: ProgressModel
    adapter: str | None

    @property
    def progress_config(self) -> ProgressConfig | None:
        """How that adapter was trained; None without one."""
        return self.model.config_of(self.adapter)

    @property
    def identity(self) -> Identity:
        """Which model it is."""
        with self.model.adapter_switch(self.adapter):
            return identity_in_memory(self.model)

    @property
    def max_pixels(self) -> int:
        """Largest area of a picture."""
        return self.model.pixel_budget[1]

    def predict(
        self, reader: VideoReader, task: str, window: WindowSpec, frame_indices: Sequence[int], decoding: Decoding
    ) -> Iterator[Prediction]:
        """Predict the sampled frames of a recording in order; see `predict_video`."""
        video = EncodedVideo(self.model, reader)
        return predict_video(self.model, video, task, window, frame_indices, adapter=self.adapter, decoding=decoding)
