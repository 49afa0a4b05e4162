"""Episodes read for the report: forward and reversed, by base and adapter, beside two rivals that look at nothing.

Knows annotated episodes, predictions and metrics; does not know verdicts, pages or files of a report.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from dataset.demonstration import Demonstration
from dataset.labels import label_curve
from dataset.video import VideoReader
from infer.decoding.settings import Decoding, Readout
from infer.metrics.block import Block, card_block
from infer.model.encoded_video import EncodedVideo
from infer.model.model import BASE, ProgressModel
from infer.playback import advance, predict_video
from infer.records import Prediction
from infer.report.shortcuts import ShortcutReading, count_shortcut_windows, evenly_spaced, read_shortcuts
from infer.request import FrameChoice, choose_window

RIVALS = ("clock", "constant")
CONSTANT = 50.0  # percent: the rival that always says the same
EXPECTED_WINDOWS = 32  # windows per episode whose expected value is read, for the reliability plot


@dataclass(frozen=True)
class EvaluationSpec:
    """How much is read, and how.

    Args:
        max_sampled_frames: Frames judged per episode; None for all.
        batch_size: Windows decoded together.
        readout: Where the judged percentages come from; see `infer.decoding.settings.Decoding`.
        shortcut_windows: Windows per episode and shortcut test; 0 leaves these tests out.
        seed: Seed of the shuffled windows.
    """

    max_sampled_frames: int | None = None
    batch_size: int = 32
    readout: Readout = "text"
    shortcut_windows: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shortcut_windows < 0:
            raise ValueError(f"shortcut_windows is {self.shortcut_windows}; use 0 (no such tests) or more")


@dataclass(frozen=True)
class EpisodeResult:
    """One episode, read forward and reversed by every reader.

    Args:
        demonstration: The annotated episode.
        frames: Source frames that were judged, rising.
        labels: Percent at those frames, float64; nan in excluded stages.
        predictions: Per model ("base", "adapter") the forward predictions.
        values: Per reader (models and `RIVALS`) the forward percentages, nan where an answer had none.
        backward: The same while the video is played backwards, in that order of playback.
        metrics: Per reader the metric block (`infer.metrics.block.card_block`).
        expected: Frame numbers and, by the judged model, their expected percentages (`readout` "expected").
        shortcuts: What the judged model says to windows that were tampered with; None where that was not asked.
        held_out: Whether the adapter never saw this recording.
        seconds: Per model the wall clock of both playbacks.
    """

    demonstration: Demonstration
    frames: list[int]
    labels: np.ndarray
    predictions: dict[str, list[Prediction]]
    values: dict[str, np.ndarray]
    backward: dict[str, np.ndarray]
    metrics: dict[str, Block]
    expected: tuple[list[int], np.ndarray]
    shortcuts: ShortcutReading | None
    held_out: bool
    seconds: dict[str, float]


def model_readers(model: ProgressModel) -> tuple[str, ...]:
    """Return the names of the models to compare; the last one is judged."""
    return ("base", "adapter") if model.has_adapter else ("base",)


def evaluate(
    model: ProgressModel,
    demonstrations: Sequence[Demonstration],
    spec: EvaluationSpec,
    trained_on: Sequence[str] = (),
) -> Iterator[EpisodeResult]:
    """Yield an `EpisodeResult` per demonstration, successes first; all passes over a video share its features.

    Args:
        model: A base, or a base with an adapter.
        demonstrations: Annotated episodes.
        spec: How much is read.
        trained_on: Paths of those episodes' annotations that the adapter has seen.
    """
    demonstrations = sorted(demonstrations, key=lambda demonstration: not demonstration.annotation.success)
    readers = [VideoReader(demonstration.video) for demonstration in demonstrations]
    choice = FrameChoice(max_sampled_frames=spec.max_sampled_frames)
    chosen = [choice.frames(len(reader)) for reader in readers]
    total = sum(map(len, chosen)) * 2 * len(model_readers(model))
    total += sum(count_shortcut_windows(len(frames), spec.shortcut_windows) for frames in chosen)
    if spec.readout == "text":
        total += sum(min(len(frames), EXPECTED_WINDOWS) for frames in chosen)
    with tqdm(total=total, desc="reading the episodes", unit="window") as bar:
        for demonstration, reader, frames in zip(demonstrations, readers, chosen, strict=True):
            yield _evaluate_one(model, demonstration, reader, frames, spec, demonstration.path not in trained_on, bar)


def _evaluate_one(
    model: ProgressModel,
    demonstration: Demonstration,
    reader: VideoReader,
    frames: list[int],
    spec: EvaluationSpec,
    held_out: bool,
    bar: tqdm,
) -> EpisodeResult:
    window, task = choose_window(model.progress_config), demonstration.annotation.task
    video = EncodedVideo(model, reader, keep_all=True)
    labels = label_curve(demonstration.annotation)[frames]
    decoding = Decoding(readout=spec.readout, batch_size=spec.batch_size)
    predictions, values, backward, blocks, seconds = {}, {}, {}, {}, {}
    for name in model_readers(model):
        started = time.perf_counter()
        adapter = None if name == "adapter" else BASE
        passes = {
            reverse: list(advance(bar, predict_video(model, video, task, window, frames, reverse, adapter, decoding)))
            for reverse in (False, True)
        }
        seconds[name] = time.perf_counter() - started
        predictions[name] = passes[False]
        values[name], backward[name] = percentages(passes[False]), percentages(passes[True])
        blocks[name] = card_block(
            demonstration.annotation, frames, labels, values[name], backward[name],
            [one.parsed_progress is not None for one in (*passes[False], *passes[True])],
            [one.model_output for one in passes[False]],
        )  # fmt: skip
    judged = model_readers(model)[-1]
    for name, rival in rival_values(len(frames)).items():
        values[name] = backward[name] = rival  # a clock rises whichever way the video runs
        blocks[name] = card_block(demonstration.annotation, frames, labels, rival, rival)
    expected = (frames, values[judged])
    if spec.readout == "text":
        few = evenly_spaced(frames, EXPECTED_WINDOWS)
        adapter = None if judged == "adapter" else BASE
        answers = predict_video(
            model, video, task, window, few, adapter=adapter, decoding=replace(decoding, readout="expected")
        )
        expected = (few, percentages(list(advance(bar, answers))))
    shortcuts = None
    if spec.shortcut_windows:
        asked = evenly_spaced(frames, spec.shortcut_windows)
        plain = dict(zip(frames, values[judged], strict=True))
        shortcuts = read_shortcuts(
            model, video, task, window, asked, np.array([plain[t] for t in asked]), judged == "adapter",
            spec.batch_size, spec.seed, bar,
        )  # fmt: skip
    return EpisodeResult(
        demonstration, frames, labels, predictions, values, backward, blocks, expected, shortcuts, held_out, seconds
    )


def rival_values(count: int) -> dict[str, np.ndarray]:
    """Return what the rivals say over one playback: a straight line from 0 to 100 in time, and `CONSTANT`; percent."""
    return {"clock": np.linspace(0.0, 100.0, count), "constant": np.full(count, CONSTANT)}


def percentages(predictions: Sequence[Prediction]) -> np.ndarray:
    """Return the predicted percentages, float64; nan where an answer had none."""
    return np.array([np.nan if one.progress is None else one.progress for one in predictions], dtype=np.float64)


@dataclass(frozen=True)
class TrainingReading:
    """The training demonstrations as the judged model reads them: what thresholds and calibration are fitted on.

    Args:
        labels: Percent, float64, shape (frames,); frames of all demonstrations joined, those without a label left out.
        values: Percentages that the texts say; nan for none.
        expected: Expected percentages (`readout` "expected"); nan for none.
    """

    labels: np.ndarray
    values: np.ndarray
    expected: np.ndarray


def read_training_demonstrations(
    model: ProgressModel, demonstrations: Sequence[Demonstration], spec: EvaluationSpec
) -> TrainingReading:
    """Read every frame (at most `spec.max_sampled_frames`) of the demonstrations that the adapter was trained on."""
    labels, values, expected = [], [], []
    decoding = Decoding(readout="expected", batch_size=spec.batch_size)
    plans = []
    for demonstration in demonstrations:
        reader = VideoReader(demonstration.video)
        curve = label_curve(demonstration.annotation)
        frames = FrameChoice(max_sampled_frames=spec.max_sampled_frames).frames(len(reader))
        plans.append((demonstration, reader, curve, [frame for frame in frames if np.isfinite(curve[frame])]))
    with tqdm(
        total=sum(len(plan[3]) for plan in plans), desc="reading the training demonstration", unit="window"
    ) as bar:
        for demonstration, reader, curve, frames in plans:
            task, window = demonstration.annotation.task, choose_window(model.progress_config)
            predictions = predict_video(model, EncodedVideo(model, reader), task, window, frames, decoding=decoding)
            answers = list(advance(bar, predictions))
            labels.append(curve[frames])
            values += [np.nan if one.parsed_progress is None else one.parsed_progress for one in answers]
            expected.append(percentages(answers))
    return TrainingReading(np.concatenate(labels), np.array(values, dtype=np.float64), np.concatenate(expected))
