"""Samples: which frames of an annotated demonstration are asked about, with which window, and the answer to learn.

Knows annotations, windows, labels and prompts; no pixels but through the cached similarity of visual labels. Does not
know tokens or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dataset.annotation import Annotation
from dataset.demonstration import Demonstration
from dataset.labels import Labels, label_curve, remaining_subtasks
from dataset.prompts import build_absent_completion, build_completion, build_prompt
from dataset.sample_file import VqaSample
from dataset.similarity import frame_similarity
from dataset.video import VideoReader
from dataset.window import (
    WindowSpec,
    held_window_indices,
    reversed_window_indices,
    rewind_window_indices,
    window_indices,
)

SPEED_RANGE = 2.0  # "speed" samples play between half and twice the speed


@dataclass(frozen=True)
class SamplingSpec:
    """Which samples one demonstration gives.

    Every `*_share` is the share of the frames asked about that get one more sample, 0 to 1. Its label is exact without
    further work of a person: the window ends at the frame, whatever was played before it.

    Args:
        every: Every n-th frame is asked about; >= 1.
        finished_frames: Finished frames of a success, spread over its tail, at most so many; each `finished_repeats`
            times, so that success is taught although its tail is short.
        finished_repeats: See `finished_frames`.
        single_frame_share: The frame alone.
        reversed_share: Played backwards: teaches that progress is read from the scene and not from the clock.
        seed: Seed of the draws.
        held_share: The robot pauses: the last places of the window repeat the frame.
        rewind_share: Played forward past the frame, then back to it.
        speed_share: Played at half to twice the speed.
        wrong_task_share: Asked about another task: the answer is that nothing of it is visible, 0 %.
        wrong_tasks: Tasks that no demonstration shows, for `wrong_task_share`; those of the other demonstrations are
            used as well.
        window_jitter: The spacing of every recorded window is changed by up to this share of itself, 0 to below 1.
        balance_stages: Every kept stage gets equally many frames asked about, evenly spread: long stages lose some,
            short ones repeat some.
        cameras: "main", or "all" to give the same samples from every camera of the episode.
    """

    every: int = 1
    finished_frames: int = 10
    finished_repeats: int = 3
    single_frame_share: float = 0.0
    reversed_share: float = 0.0
    seed: int = 0
    held_share: float = 0.0
    rewind_share: float = 0.0
    speed_share: float = 0.0
    wrong_task_share: float = 0.0
    wrong_tasks: tuple[str, ...] = ()
    window_jitter: float = 0.0
    balance_stages: bool = False
    cameras: Literal["main", "all"] = "main"

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"data.sampling.every is {self.every}; it must be at least 1")
        for name in ("finished_frames", "finished_repeats"):
            if getattr(self, name) < 0:
                raise ValueError(f"data.sampling.{name} is {getattr(self, name)}; it must not be negative")
        for name in vars(self):
            if name.endswith("_share") and not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"data.sampling.{name} is {getattr(self, name)}; it is a share, 0 to 1")
        if not 0.0 <= self.window_jitter < 1.0:
            raise ValueError(f"data.sampling.window_jitter is {self.window_jitter}; use 0 to 0.99")
        if self.cameras not in ("main", "all"):
            raise ValueError(f'data.sampling.cameras is "{self.cameras}"; use "main" or "all"')


def build_sample_set(
    demonstrations: Sequence[Demonstration], window: WindowSpec, sampling: SamplingSpec, labels: Labels = "linear"
) -> list[VqaSample]:
    """Return the samples of all demonstrations; `wrong_task_share` asks each about the tasks of the others."""
    tasks = dict.fromkeys(demonstration.annotation.task for demonstration in demonstrations)
    return [
        sample
        for demonstration in demonstrations
        for sample in build_samples(
            demonstration,
            window,
            sampling,
            curve=demonstration_curve(demonstration, labels),
            other_tasks=[task for task in tasks if task != demonstration.annotation.task],
        )
    ]


def demonstration_curve(demonstration: Demonstration, labels: Labels = "linear") -> np.ndarray:
    """Return the label curve of a demonstration; "visual" reads the main camera's video, or its cached hashes."""
    needs_pixels = labels == "visual" and demonstration.annotation.measured_progress is None
    similarity = frame_similarity(VideoReader(demonstration.video)) if needs_pixels else None
    return label_curve(demonstration.annotation, labels, similarity)


def build_samples(
    demonstration: Demonstration,
    window: WindowSpec,
    sampling: SamplingSpec,
    curve: np.ndarray | None = None,
    other_tasks: Sequence[str] = (),
) -> list[VqaSample]:
    """Return the samples of one demonstration, in frame order; the same seed gives the same samples.

    Args:
        demonstration: What to ask about.
        window: Which frames accompany the one asked about.
        sampling: Which frames are asked about, and how.
        curve: Its labels, percent, shape (num_frames,); the linear ones by default.
        other_tasks: Tasks it does not show, beside `sampling.wrong_tasks`.

    Raises:
        ValueError: Wrong tasks are asked for and there is none.
    """
    annotation = demonstration.annotation
    curve = label_curve(annotation) if curve is None else curve
    wrong_tasks = [task for task in (*sampling.wrong_tasks, *other_tasks) if task != annotation.task]
    if sampling.wrong_task_share and not wrong_tasks:
        raise ValueError(
            f"data.sampling.wrong_task_share is {sampling.wrong_task_share}, but {demonstration.path} has the only "
            'task; name others in data.sampling.wrong_tasks=["..."]'
        )
    # Two streams, so that asking for a further kind of sample leaves the others as they were.
    rng = np.random.default_rng([sampling.seed, annotation.num_frames])
    extra_rng = np.random.default_rng([sampling.seed, annotation.num_frames, 1])
    asked = _frames_to_ask(annotation, sampling)
    answers = {t: _answer(annotation, float(curve[t]), t) for t in set(asked)}
    episode, prompt = demonstration.episode, build_prompt(annotation.task)

    def sample(t: int, direction: str) -> VqaSample:
        window_frames = _window(annotation, t, direction, window, sampling, extra_rng)
        video, progress = demonstration.video, float(curve[t])
        return VqaSample(video, episode, t, window_frames, prompt, answers[t], progress, direction)

    samples = []
    for t in asked:
        samples.append(sample(t, "forward"))
        for direction, share in (("single", sampling.single_frame_share), ("reversed", sampling.reversed_share)):
            if rng.random() < share:
                samples.append(sample(t, direction))
        for direction, share in (
            ("held", sampling.held_share),
            ("rewind", sampling.rewind_share),
            ("speed", sampling.speed_share),
        ):
            if extra_rng.random() < share:
                samples.append(sample(t, direction))
        if extra_rng.random() < sampling.wrong_task_share:
            task = wrong_tasks[extra_rng.integers(len(wrong_tasks))]
            samples.append(_about_another_task(sample(t, "forward"), task))
    if sampling.cameras == "all":
        videos = demonstration.views.values()
        return [replace(sample, video=video) for sample in samples for video in videos]
    return samples


def _frames_to_ask(annotation: Annotation, sampling: SamplingSpec) -> list[int]:
    """Return frames of kept stages and of the tail, rising; finished frames repeated as the spec says."""
    kept = [t for stage in annotation.kept_stages for t in range(stage.start, stage.end)]
    tail = range(annotation.last_stage_end, annotation.num_frames)
    asked = kept[:: sampling.every]
    if sampling.balance_stages:
        asked = _balanced(annotation, asked)
    if annotation.success:
        count = min(sampling.finished_frames, len(tail))
        finished = sorted({tail[round(position)] for position in np.linspace(len(tail) - 1, 0, count)}) if count else []
        return asked + [t for t in finished for _ in range(sampling.finished_repeats)]
    return asked + list(tail[:: sampling.every])


def _balanced(annotation: Annotation, asked: list[int]) -> list[int]:
    """Return about as many frames, equally many from every kept stage that has any, evenly spread inside it."""
    by_stage = [[t for t in asked if stage.start <= t < stage.end] for stage in annotation.kept_stages]
    by_stage = [frames for frames in by_stage if frames]
    share = max(round(len(asked) / len(by_stage)), 1)
    return [frames[k * len(frames) // share] for frames in by_stage for k in range(share)]


def _answer(annotation: Annotation, progress: float, t: int) -> str:
    """Return the answer to learn at frame `t`: only a success at 100 % is done, all else has steps left."""
    finished = annotation.success and progress == 100.0
    return build_completion(progress, () if finished else remaining_subtasks(annotation, t), annotation.reason)


def _window(
    annotation: Annotation,
    t: int,
    direction: str,
    window: WindowSpec,
    sampling: SamplingSpec,
    rng: np.random.Generator,
) -> tuple[int, ...]:
    first, last = _segment(annotation, t)
    fps = annotation.fps
    if direction == "single":
        return (t,)
    if direction == "reversed":
        return reversed_window_indices(window, t, fps, last)
    if direction == "held" and window.size > 1:
        return held_window_indices(window, t, fps, first, held=int(rng.integers(1, window.size)))
    if direction == "rewind" and window.size > 1:
        return rewind_window_indices(window, t, fps, first, last, turn=int(rng.integers(1, window.size)))
    if direction == "speed":
        return window_indices(window, t, fps, first, stretch=float(SPEED_RANGE ** rng.uniform(-1.0, 1.0)))
    jitter = rng.uniform(-1.0, 1.0) * sampling.window_jitter if sampling.window_jitter else 0.0
    return window_indices(window, t, fps, first, stretch=1.0 + jitter)


def _about_another_task(sample: VqaSample, task: str) -> VqaSample:
    completion = build_absent_completion()
    return replace(sample, prompt=build_prompt(task), completion=completion, progress=0.0, direction="wrong_task")


def _segment(annotation: Annotation, t: int) -> tuple[int, int]:
    """Return first and last frame of the stretch around `t` without an excluded stage: windows stay inside it."""
    first = max((stage.end for stage in annotation.stages if stage.excluded and stage.end <= t), default=0)
    last = min(
        (stage.start for stage in annotation.stages if stage.excluded and stage.start > t),
        default=annotation.num_frames,
    )
    return first, last - 1
