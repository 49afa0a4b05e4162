"""What a run learns from and what it is judged by: samples, held-out frames, and where both came from.

Knows annotations, samples and the recipe; no pixels, no model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset.annotation import Annotation
from dataset.annotation_file import read_annotation
from dataset.check import check_demonstrations
from dataset.demonstration import Demonstration, read_demonstrations
from dataset.sample_file import VqaSample, meta_path, read_samples
from dataset.samples import build_sample_set, demonstration_curve
from dataset.video import VideoReader, has_fingerprint
from infer.request import FrameChoice
from train.recipe import Recipe


@dataclass(frozen=True)
class HeldOutEpisode:
    """An annotated episode, and the frames of it that are judged.

    Args:
        demonstration: The episode.
        frames: Source frames, rising.
        labels: Percent at these frames, float64, shape (frames,); nan in excluded stages.
    """

    demonstration: Demonstration
    frames: tuple[int, ...]
    labels: np.ndarray


@dataclass(frozen=True)
class TrainingData:
    """Everything that a recipe's `data` and `evaluation` sections stand for.

    Args:
        samples: What is learnt, in frame order.
        demonstrations: The episodes behind the samples; empty when the samples came from a file.
        held_out: Episodes (or frames of the training episodes) that are judged during training.
        tasks: Task texts, each once.
        sources: One row per training episode: `annotation` and `video` (names without folders), `fingerprint`, `task`,
            `labels` ("measured", else "linear" or "visual" inside stages; None for samples without their annotation).
    """

    samples: list[VqaSample]
    demonstrations: list[Demonstration]
    held_out: list[HeldOutEpisode]
    tasks: tuple[str, ...]
    sources: list[dict[str, Any]]


def read_training_data(recipe: Recipe) -> TrainingData:
    """Read the samples that the recipe names, or make them from its annotations; print what the check finds.

    Raises:
        ValueError: A file is missing, damaged, or another one than was annotated; or the windows do not agree.
    """
    held_out = _held_out_episodes(recipe)
    if recipe.data.samples:
        samples, tasks, sources = _from_file(recipe, recipe.data.samples)
        return TrainingData(samples, [], held_out, tasks, sources)
    demonstrations = read_demonstrations(recipe.data.annotations)
    for finding in check_demonstrations(demonstrations):
        print(f"{finding.level}: {finding.where}: {finding.message}")
    samples = build_sample_set(demonstrations, recipe.data.window, recipe.data.sampling, recipe.data.labels)
    if recipe.evaluation.held_out_share:
        share = recipe.evaluation.held_out_share
        held_out = [_judged(recipe, d, hold_out_frames(d.annotation, share)) for d in demonstrations]
        judged = {(v, t) for one in held_out for v in one.demonstration.views.values() for t in one.frames}
        samples = [sample for sample in samples if (sample.video, sample.frame_index) not in judged]
        print(
            f"held out: {sum(len(one.frames) for one in held_out)} frames of the training demonstrations, spread over "
            "every stage; their neighbours are trained on, so this shows whether the run learns, not how it carries "
            "over to another episode"
        )
    sources = [
        _source(d.path, d.video, d.annotation.fingerprint, d.annotation.task, _label_kind(recipe, d.annotation))
        for d in demonstrations
    ]
    return TrainingData(samples, demonstrations, held_out, _distinct([s["task"] for s in sources]), sources)


def hold_out_frames(annotation: Annotation, share: float) -> tuple[int, ...]:
    """Return `share` of the frames of every kept stage and of the tail, spread evenly; at least one of each, rising."""
    parts = [(stage.start, stage.end) for stage in annotation.kept_stages]
    if annotation.last_stage_end < annotation.num_frames:
        parts.append((annotation.last_stage_end, annotation.num_frames))
    chosen: set[int] = set()
    for start, end in parts:
        count = max(1, round(share * (end - start)))
        middles = start + (np.arange(count) + 0.5) * (end - start) / count  # the middles of `count` equal pieces
        chosen.update(int(middle) for middle in middles)
    return tuple(sorted(chosen))


def _held_out_episodes(recipe: Recipe) -> list[HeldOutEpisode]:
    if not recipe.evaluation.annotations:
        return []
    demonstrations = read_demonstrations(recipe.evaluation.annotations)
    trained_on = {Path(path).resolve() for path in recipe.data.annotations}
    for demonstration in demonstrations:
        if Path(demonstration.path).resolve() in trained_on:
            raise ValueError(
                f"recipe: {demonstration.path} is in data.annotations and in evaluation.annotations; an episode that "
                "is trained on proves nothing, take it out of one of them (or use evaluation.held_out_share=0.1)"
            )
    choice = FrameChoice(max_sampled_frames=recipe.evaluation.max_sampled_frames)
    return [_judged(recipe, d, choice.frames(len(VideoReader(d.video)))) for d in demonstrations]


def _judged(recipe: Recipe, demonstration: Demonstration, frames: Sequence[int]) -> HeldOutEpisode:
    labels = demonstration_curve(demonstration, recipe.data.labels)[list(frames)]
    return HeldOutEpisode(demonstration, tuple(frames), labels)


def _from_file(recipe: Recipe, path: str) -> tuple[list[VqaSample], tuple[str, ...], list[dict[str, Any]]]:
    """Read samples that `python -m dataset` wrote, and make sure that they fit the recipe and the videos."""
    samples, window, tasks = read_samples(path)
    if window != recipe.data.window:
        raise ValueError(
            f"recipe: data.window is {recipe.data.window.to_dict()}, but {path} was made with {window.to_dict()}; make "
            "the samples again with this recipe"
        )
    if not samples:
        raise ValueError(f"samples {path}: the file holds no sample; make it again with `python -m dataset`")
    rows = json.loads(meta_path(path).read_text(encoding="utf-8"))["demonstrations"]
    for row in rows:
        if not has_fingerprint(row["video"], row["fingerprint"]):
            raise ValueError(
                f"samples {path}: {row['video']} is another file than the samples were made from; restore it, or make "
                "the samples again with `python -m dataset`"
            )
    sources = []
    for row in rows:
        there = Path(row["annotation"]).exists()  # samples may be trained on without the annotation they came from
        kind = _label_kind(recipe, read_annotation(row["annotation"])) if there else None
        sources.append(_source(row["annotation"], row["video"], row["fingerprint"], row["task"], kind))
    return samples, tasks, sources


def _label_kind(recipe: Recipe, annotation: Annotation) -> str:
    return "measured" if annotation.measured_progress is not None else recipe.data.labels


def _source(annotation: str, video: str, video_fingerprint: str, task: str, labels: str | None) -> dict[str, Any]:
    return {
        "annotation": Path(annotation).name,
        "video": Path(video).name,
        "fingerprint": video_fingerprint,
        "task": task,
        "labels": labels,
    }


def _distinct(tasks: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tasks))
