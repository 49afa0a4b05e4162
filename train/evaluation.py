"""Evaluation during training: the held-out set predicted by the code of inference.

Knows episodes, predictions and metrics; does not know the trainer, nor where results are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataset.demonstration import Demonstration
from dataset.video import VideoReader
from dataset.window import WindowSpec
from infer.metrics.block import metric_block
from infer.metrics.progress import METRICS, mean_of_defined
from infer.model.encoded_video import EncodedVideo
from infer.model.model import ProgressModel
from infer.playback import predict_video
from infer.records import Prediction, in_the_text, percentages
from train.training_data import HeldOutEpisode


@dataclass(frozen=True)
class EpisodeEvaluation:
    """The predictions of the present model on one episode.

    Args:
        demonstration: The annotated episode.
        labels: Percent at the sampled frames, float64, shape (frames,).
        predictions: Forward playback, one per sampled frame.
        values: Their `progress`, float64, shape (frames,), forced numbers included; nan for none. As in the report.
        metrics: `infer.metrics.block.metric_block` of forward and reversed playback.
    """

    demonstration: Demonstration
    labels: np.ndarray
    predictions: list[Prediction]
    values: np.ndarray
    metrics: dict[str, float | None]


def evaluate_episodes(
    model: ProgressModel, episodes: Sequence[HeldOutEpisode], window: WindowSpec, numbers: Sequence[int]
) -> list[EpisodeEvaluation]:
    """Predict every sampled frame of the episodes of these numbers, forward and reversed, with the present adapter."""
    evaluations = []
    for episode in (episodes[number] for number in numbers):
        demonstration, frames = episode.demonstration, list(episode.frames)
        video = EncodedVideo(model, VideoReader(demonstration.video), keep_all=True)
        task = demonstration.annotation.task
        forward = list(predict_video(model, video, task, window, frames))
        backward = list(predict_video(model, video, task, window, frames, reverse=True))
        labels, values, parsed = episode.labels, percentages(forward), in_the_text([*forward, *backward])
        metrics = metric_block(labels, values, percentages(backward), parsed)
        evaluations.append(EpisodeEvaluation(demonstration, labels, forward, values, metrics))
    return evaluations


def mean_metrics(evaluations: Sequence[EpisodeEvaluation]) -> dict[str, float | None]:
    """Return every metric, averaged over the episodes where it is defined."""
    return {name: mean_of_defined([evaluation.metrics[name] for evaluation in evaluations]) for name in METRICS}
