"""Evaluation: episodes predicted forward and reversed by base and adapter, beside two baselines that use no picture.

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
from infer.records import Prediction, in_the_text, percentages
from infer.report.other_tasks import COUNT as OTHER_TASKS
from infer.report.other_tasks import POOL
from infer.report.shortcuts import ShortcutAnswers, ShortcutPlan, count_shortcut_windows, evenly_spaced, run_shortcuts
from infer.request import FrameChoice, choose_window

BASELINES = {"clock": "time baseline", "constant": "constant baseline"}  # name in `report.json`: name for people
CONSTANT = 50.0  # percent: the value of the constant baseline
EXPECTED_WINDOWS = 32  # windows per episode with an expected value, for the reliability plot


@dataclass(frozen=True)
class EvaluationSpec:
    """The settings of an evaluation.

    Args:
        max_sampled_frames: Most frames sampled per episode; None for all.
        batch_size: Windows decoded together.
        readout: Source of the percentages; see `infer.decoding.settings.Decoding`.
        shortcut_windows: Windows per episode and shortcut test; 0 runs no tests.
        seed: Seed of the shuffled windows.
        other_tasks: Texts of the shortcut test that asks about another task.
    """

    max_sampled_frames: int | None = None
    batch_size: int = 32
    readout: Readout = "text"
    shortcut_windows: int = 8
    seed: int = 0
    other_tasks: tuple[str, ...] = POOL[:OTHER_TASKS]

    def __post_init__(self) -> None:
        if self.shortcut_windows < 0:
            raise ValueError(f"shortcut_windows is {self.shortcut_windows}; use 0 (no tests) or more")


@dataclass(frozen=True)
class EpisodeResult:
    """The predictions and figures of one episode, forward and reversed, of every predictor.

    Args:
        demonstration: The annotated episode.
        frames: The sampled frames, rising.
        labels: Percent at these frames, float64; nan in excluded stages.
        predictions: Per model ("base", "adapter") the forward predictions; the last model is the evaluated one.
        values: Per predictor (models and `BASELINES`) the forward percentages, nan where an answer has none.
        backward: The same of the reversed playback, in that order.
        metrics: Per predictor the metric block (`infer.metrics.block.card_block`).
        expected: Frame numbers and the expected percentages of the evaluated model (`readout` "expected").
        shortcuts: Answers of the evaluated model to changed windows; None where the tests were not run: by choice, and
            on episodes that were trained on.
        held_out: Whether the adapter was not trained on this recording.
        seconds: Per model the wall time of both playbacks.
    """

    demonstration: Demonstration
    frames: list[int]
    labels: np.ndarray
    predictions: dict[str, list[Prediction]]
    values: dict[str, np.ndarray]
    backward: dict[str, np.ndarray]
    metrics: dict[str, Block]
    expected: tuple[list[int], np.ndarray]
    shortcuts: ShortcutAnswers | None
    held_out: bool
    seconds: dict[str, float]


def model_names(model: ProgressModel) -> tuple[str, ...]:
    """Return the names of the models to compare; the last one is evaluated."""
    return ("base", "adapter") if model.has_adapter else ("base",)


def evaluate(
    model: ProgressModel,
    demonstrations: Sequence[Demonstration],
    spec: EvaluationSpec,
    trained_on: Sequence[str] = (),
) -> Iterator[EpisodeResult]:
    """Yield an `EpisodeResult` per demonstration, successes first; each frame is encoded once for all predictions.

    Args:
        model: A base, or a base with an adapter.
        demonstrations: Annotated episodes.
        spec: The settings.
        trained_on: Paths of the annotations whose recordings the adapter was trained on.
    """
    demonstrations = sorted(demonstrations, key=lambda demonstration: not demonstration.annotation.success)
    readers = [VideoReader(demonstration.video) for demonstration in demonstrations]
    choice = FrameChoice(max_sampled_frames=spec.max_sampled_frames)
    chosen = [choice.frames(len(reader)) for reader in readers]
    total = sum(map(len, chosen)) * 2 * len(model_names(model))
    held_out = [demonstration.path not in trained_on for demonstration in demonstrations]
    total += sum(
        count_shortcut_windows(len(frames), spec.shortcut_windows)
        for frames, is_held_out in zip(chosen, held_out, strict=True)
        if is_held_out
    )
    if spec.readout == "text":
        total += sum(min(len(frames), EXPECTED_WINDOWS) for frames in chosen)
    with tqdm(total=total, desc="evaluating the episodes", unit="window") as bar:
        for demonstration, reader, frames, is_held_out in zip(demonstrations, readers, chosen, held_out, strict=True):
            yield _evaluate_episode(model, demonstration, reader, frames, spec, is_held_out, bar)


def _evaluate_episode(
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
    for name in model_names(model):
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
            in_the_text([*passes[False], *passes[True]]),
            [prediction.model_output for prediction in passes[False]],
        )  # fmt: skip
    for name, baseline in baseline_values(len(frames)).items():
        values[name] = backward[name] = baseline  # time rises in both directions of playback
        blocks[name] = card_block(demonstration.annotation, frames, labels, baseline, baseline)
    evaluated = model_names(model)[-1]
    adapter = None if evaluated == "adapter" else BASE
    expected = (frames, values[evaluated])
    if spec.readout == "text":
        few = evenly_spaced(frames, EXPECTED_WINDOWS)
        predictions_of_few = predict_video(
            model, video, task, window, few, adapter=adapter, decoding=replace(decoding, readout="expected")
        )
        expected = (few, percentages(list(advance(bar, predictions_of_few))))
    shortcuts = None
    if spec.shortcut_windows and held_out:
        tested = evenly_spaced(frames, spec.shortcut_windows)
        plain = dict(zip(frames, values[evaluated], strict=True))
        success = demonstration.annotation.success
        plan = ShortcutPlan(task, window, tuple(tested), spec.other_tasks, success, spec.batch_size, spec.seed)
        shortcuts = run_shortcuts(model, video, plan, np.array([plain[t] for t in tested]), adapter, bar)
    return EpisodeResult(
        demonstration, frames, labels, predictions, values, backward, blocks, expected, shortcuts, held_out, seconds
    )


def baseline_values(count: int) -> dict[str, np.ndarray]:
    """Return the values of the baselines over one playback, percent: a straight line from 0 to 100, and `CONSTANT`."""
    return {"clock": np.linspace(0.0, 100.0, count), "constant": np.full(count, CONSTANT)}


@dataclass(frozen=True)
class TrainingPredictions:
    """Predictions of the evaluated model on the training demonstrations: they give the second success threshold.

    Args:
        labels: Percent, float64, shape (frames,); frames of all demonstrations, without those that have no label.
        values: Percentages as in `EpisodeResult.values`; nan for none.
    """

    labels: np.ndarray
    values: np.ndarray


def predict_training_demonstrations(
    model: ProgressModel, demonstrations: Sequence[Demonstration], spec: EvaluationSpec
) -> TrainingPredictions:
    """Predict every frame (at most `spec.max_sampled_frames`) of the demonstrations that the adapter was trained on."""
    window, decoding = choose_window(model.progress_config), Decoding(batch_size=spec.batch_size)
    choice = FrameChoice(max_sampled_frames=spec.max_sampled_frames)
    labels, plans = [], []
    predictions: list[Prediction] = []
    for demonstration in demonstrations:
        reader, curve = VideoReader(demonstration.video), label_curve(demonstration.annotation)
        frames = [frame for frame in choice.frames(len(reader)) if np.isfinite(curve[frame])]
        plans.append((demonstration.annotation.task, reader, frames))
        labels.append(curve[frames])
    total = sum(len(frames) for _, _, frames in plans)
    with tqdm(total=total, desc="predicting the training demonstrations", unit="window") as bar:
        for task, reader, frames in plans:
            video = EncodedVideo(model, reader)
            predictions += advance(bar, predict_video(model, video, task, window, frames, decoding=decoding))
    return TrainingPredictions(np.concatenate(labels), percentages(predictions))
