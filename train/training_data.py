"""What a run trains on and is evaluated on: samples, held-out frames, and where both came from.

Knows annotations, samples and the recipe; no pixels, no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataset.annotation import Annotation
from dataset.check import check_demonstrations
from dataset.demonstration import Demonstration, read_demonstrations, video_notices
from dataset.labels import label_curve
from dataset.recording_identity import camera_fingerprints, seen_in_training
from dataset.sample_file import VqaSample, from_dataset, to_dataset
from dataset.samples import build_sample_set
from dataset.video import VideoReader, set_default_backend
from infer.request import FrameChoice
from train.recipe import Recipe

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class HeldOutEpisode:
    """An annotated episode, and the frames of it that the model is evaluated on.

    Args:
        demonstration: The episode.
        frames: Source frames, rising.
        labels: Percent at these frames, float64, shape (frames,): measured or linear, as in the report, for every
            `data.labels`; nan in excluded stages.
    """

    demonstration: Demonstration
    frames: tuple[int, ...]
    labels: np.ndarray


@dataclass(frozen=True)
class TrainingData:
    """Everything that a recipe's `data` and `evaluation` sections stand for.

    Args:
        dataset: The samples to learn, in frame order, as the trainer takes them; see `dataset.sample_file`.
        demonstrations: The demonstrations that the samples were made from.
        held_out: Episodes (or frames of the training demonstrations) that the model is evaluated on during training.
        tasks: Task texts, each once.
        sources: One row per training demonstration: `annotation` and `video` (names without folders), `fingerprint`,
            `cameras` (the fingerprint of every further one), `task`, `labels` ("measured", else "linear" or "visual").
    """

    dataset: Dataset
    demonstrations: list[Demonstration]
    held_out: list[HeldOutEpisode]
    tasks: tuple[str, ...]
    sources: list[dict[str, Any]]

    @cached_property
    def samples(self) -> list[VqaSample]:
        """The rows of `dataset`."""
        return from_dataset(self.dataset)


def read_training_data(recipe: Recipe) -> TrainingData:
    """Make the samples of the recipe's annotations; print what the check finds.

    Raises:
        ValueError: A file is missing, damaged, or not the one that was annotated.
    """
    set_default_backend(recipe.data.video_backend)
    demonstrations = read_demonstrations(recipe.data.annotations)
    held_out = _held_out_episodes(recipe, demonstrations)
    for finding in check_demonstrations(demonstrations, window=recipe.data.window):
        print(f"{finding.level}: {finding.where}: {finding.message}")
    for demonstration in demonstrations:
        for _, notice in video_notices(demonstration):
            print(f"warning: {demonstration.path}: {notice}")
    samples = build_sample_set(demonstrations, recipe.data.window, recipe.data.sampling, recipe.data.labels)
    if recipe.evaluation.held_out_share:
        share = recipe.evaluation.held_out_share
        held_out = [_held_out(d, hold_out_frames(d.annotation, share)) for d in demonstrations]
        frames = _same_pictures(demonstrations, held_out)
        samples = [sample for sample in samples if (sample.video, sample.frame_index) not in frames]
        print(
            f"held out: {sum(len(episode.frames) for episode in held_out)} frames of the training demonstrations, "
            "spread over every stage. Their neighbours are trained on, so the evaluation shows whether the run learns, "
            "not how it does on another episode"
        )
    return make_training_data(recipe, samples, demonstrations, held_out)


def make_training_data(
    recipe: Recipe,
    samples: Sequence[VqaSample],
    demonstrations: Sequence[Demonstration],
    held_out: Sequence[HeldOutEpisode] = (),
) -> TrainingData:
    """Return the data of a run from samples that exist already: `read_training_data`'s, or a part of them."""
    sources = [
        {
            "annotation": Path(demonstration.path).name,
            "video": Path(demonstration.video).name,
            "fingerprint": demonstration.annotation.fingerprint,
            "cameras": camera_fingerprints(demonstration),
            "task": demonstration.annotation.task,
            "labels": "measured" if demonstration.annotation.measured_progress is not None else recipe.data.labels,
        }
        for demonstration in demonstrations
    ]
    tasks = tuple(dict.fromkeys(demonstration.annotation.task for demonstration in demonstrations))
    return TrainingData(to_dataset(samples), list(demonstrations), list(held_out), tasks, sources)


def hold_out_frames(annotation: Annotation, share: float) -> tuple[int, ...]:
    """Return `share` of the frames of every kept stage and of the tail, spread evenly; at least one of each, rising."""
    ranges = [(stage.start, stage.end) for stage in annotation.kept_stages]
    if annotation.last_stage_end < annotation.num_frames:
        ranges.append((annotation.last_stage_end, annotation.num_frames))
    chosen: set[int] = set()
    for start, end in ranges:
        count = max(1, round(share * (end - start)))
        middles = start + (np.arange(count) + 0.5) * (end - start) / count  # the middles of `count` equal pieces
        chosen.update(int(middle) for middle in middles)
    return tuple(sorted(chosen))


def _held_out_episodes(recipe: Recipe, trained_on: Sequence[Demonstration]) -> list[HeldOutEpisode]:
    if not recipe.evaluation.annotations:
        return []
    demonstrations = read_demonstrations(recipe.evaluation.annotations, beside=trained_on)
    for training in trained_on:
        source = {"fingerprint": training.annotation.fingerprint, "cameras": camera_fingerprints(training)}
        for path in seen_in_training(demonstrations, [source]):
            raise ValueError(
                f"recipe: {path} of evaluation.annotations is a recording that {training.path} of data.annotations "
                "trains on (a camera of both has the same content); an episode that is trained on proves nothing; take "
                "it out of one of them (or use evaluation.held_out_share=0.1)"
            )
    choice = FrameChoice(max_sampled_frames=recipe.evaluation.max_sampled_frames)
    return [_held_out(d, choice.frames(len(VideoReader(d.video)))) for d in demonstrations]


def _same_pictures(demonstrations: Sequence[Demonstration], held_out: Sequence[HeldOutEpisode]) -> set[tuple[str, int]]:
    """Return the held-out frames as (video, frame), in every demonstration that is a recording of the episode."""
    same: set[tuple[str, int]] = set()
    for episode in held_out:
        source = {
            "fingerprint": episode.demonstration.annotation.fingerprint,
            "cameras": camera_fingerprints(episode.demonstration),
        }
        paths = seen_in_training(demonstrations, [source])
        same |= {(d.video, t) for d in demonstrations if d.path in paths for t in episode.frames}
    return same


def _held_out(demonstration: Demonstration, frames: Sequence[int]) -> HeldOutEpisode:
    return HeldOutEpisode(demonstration, tuple(frames), label_curve(demonstration.annotation)[list(frames)])
