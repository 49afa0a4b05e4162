"""Samples: which frames of an annotated demonstration become samples, with which window, and the answer to learn.

The one place where samples are made: for training, for the page's preview and for files. Knows annotations, windows,
labels and prompts; pixels only through the cached similarity that visual labels need. Does not know tokens or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from dataset.wording import same_text

SPEED_RANGE = 2.0  # "speed" samples play between half and twice the speed
CHANGE_EARLIER_FRAMES = ("reversed", "held", "rewind", "speed")  # kinds that differ from "forward" there only


@dataclass(frozen=True)
class SamplingSpec:
    """Which samples one demonstration gives.

    A sampled frame gives one sample as recorded. Every `*_share` is the share of the sampled frames, 0 to 1, that give
    one more sample of another kind. Its label is exact without more annotation: progress depends on the last frame of
    the window, not on what came before. A window of one frame has nothing before its last: there, only
    `single_frame_share` and `wrong_task_share` have an effect.

    Args:
        every: Every n-th frame is sampled; >= 1.
        finished_frames: Most frames of the finished tail of a success, evenly spread. Each gives `finished_repeats`
            samples, because the tail is short and success must be taught.
        finished_repeats: See `finished_frames`.
        single_frame_share: The frame alone, without earlier ones.
        reversed_share: Played backwards: teaches that progress follows the scene and not the passing of time.
        seed: Seed of the random choices.
        held_share: The robot pauses: the last places of the window repeat the frame.
        rewind_share: Played forward past the frame, then back to it.
        speed_share: Played at half to twice the speed.
        wrong_task_share: The question names another task: the answer is that nothing of it is visible, 0 %.
        wrong_tasks: Tasks that no demonstration shows, for `wrong_task_share`. The tasks of the other demonstrations
            are used as well.
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

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"data.sampling.every is {self.every}; it must be at least 1")
        for name in ("finished_frames", "finished_repeats"):
            if getattr(self, name) < 0:
                raise ValueError(f"data.sampling.{name} is {getattr(self, name)}; it must not be negative")
        for name in vars(self):
            if name.endswith("_share") and not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"data.sampling.{name} is {getattr(self, name)}; it is a share, 0 to 1")


def build_sample_set(
    demonstrations: Sequence[Demonstration], window: WindowSpec, sampling: SamplingSpec, labels: Labels = "linear"
) -> list[VqaSample]:
    """Return the samples of all demonstrations; the tasks of the others serve as wrong tasks of each."""
    tasks = dict.fromkeys(demonstration.annotation.task for demonstration in demonstrations)
    return [
        sample
        for demonstration in demonstrations
        for sample in build_samples(
            demonstration,
            window,
            sampling,
            curve=demonstration_curve(demonstration, labels),
            other_tasks=[task for task in tasks if not same_text(task, demonstration.annotation.task)],
        )
    ]


def demonstration_curve(demonstration: Demonstration, labels: Labels = "linear") -> np.ndarray:
    """Return the label curve of a demonstration, percent, shape (num_frames,).

    "visual" labels decode the main camera's video, or use its cached hashes.
    """
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
        demonstration: The annotated demonstration.
        window: Which frames accompany the sampled one.
        sampling: Which frames are sampled, and how.
        curve: Its labels, percent, shape (num_frames,); the linear ones by default.
        other_tasks: Tasks that it does not show, in addition to `sampling.wrong_tasks`.

    Raises:
        ValueError: `sampling.wrong_task_share` is set, and no other task is known.
    """
    annotation = demonstration.annotation
    curve = label_curve(annotation) if curve is None else curve
    wrong_tasks = [task for task in (*sampling.wrong_tasks, *other_tasks) if not same_text(task, annotation.task)]
    if sampling.wrong_task_share and not wrong_tasks:
        raise ValueError(
            f"data.sampling.wrong_task_share is {sampling.wrong_task_share}, but {demonstration.path} has the only "
            'task; name others in data.sampling.wrong_tasks=["..."]'
        )
    # Two generators, so that one more kind of sample does not change the other kinds.
    rng = np.random.default_rng([sampling.seed, annotation.num_frames])
    extra_rng = np.random.default_rng([sampling.seed, annotation.num_frames, 1])
    sampled = _sampled_frames(annotation, sampling)
    answers = {t: _answer(annotation, float(curve[t]), t) for t in set(sampled)}
    episode, prompt = demonstration.name, build_prompt(annotation.task)
    impossible = CHANGE_EARLIER_FRAMES if window.size == 1 else ()

    def sample(t: int, direction: str) -> VqaSample:
        window_frames = _window(demonstration, t, direction, window, extra_rng)
        video, progress = demonstration.video, float(curve[t])
        return VqaSample(video, episode, t, window_frames, prompt, answers[t], progress, direction)

    samples = []
    for t in sampled:
        samples.append(sample(t, "forward"))
        for direction, share in (("single", sampling.single_frame_share), ("reversed", sampling.reversed_share)):
            if rng.random() < share and direction not in impossible:
                samples.append(sample(t, direction))
        for direction, share in (
            ("held", sampling.held_share),
            ("rewind", sampling.rewind_share),
            ("speed", sampling.speed_share),
        ):
            if extra_rng.random() < share and direction not in impossible:
                samples.append(sample(t, direction))
        if extra_rng.random() < sampling.wrong_task_share:
            task = wrong_tasks[extra_rng.integers(len(wrong_tasks))]
            samples.append(_about_another_task(sample(t, "forward"), task))
    return samples


def _sampled_frames(annotation: Annotation, sampling: SamplingSpec) -> list[int]:
    """Return frames of kept stages and of the tail, rising; finished frames are repeated `finished_repeats` times."""
    kept = [t for stage in annotation.kept_stages for t in range(stage.start, stage.end)]
    tail = range(annotation.last_stage_end, annotation.num_frames)
    sampled = kept[:: sampling.every]
    if annotation.success:
        count = min(sampling.finished_frames, len(tail))
        finished = sorted({tail[round(position)] for position in np.linspace(len(tail) - 1, 0, count)}) if count else []
        return sampled + [t for t in finished for _ in range(sampling.finished_repeats)]
    return sampled + list(tail[:: sampling.every])


def _answer(annotation: Annotation, progress: float, t: int) -> str:
    """Return the answer to learn at frame `t`. Only a success at 100 % is done; everything else has steps left."""
    finished = annotation.success and progress == 100.0
    return build_completion(progress, () if finished else remaining_subtasks(annotation, t), annotation.reason)


def _window(
    demonstration: Demonstration, t: int, direction: str, window: WindowSpec, rng: np.random.Generator
) -> tuple[int, ...]:
    first, last = _segment(demonstration.annotation, t)
    timing = demonstration.timing
    if direction == "single":
        return (t,)
    if direction == "reversed":
        return reversed_window_indices(window, t, timing, last)
    if direction == "held":
        return held_window_indices(window, t, timing, first, held=int(rng.integers(1, window.size)))
    if direction == "rewind":
        return rewind_window_indices(window, t, timing, first, last, turn=int(rng.integers(1, window.size)))
    if direction == "speed":
        return window_indices(window, t, timing, first, stretch=float(SPEED_RANGE ** rng.uniform(-1.0, 1.0)))
    return window_indices(window, t, timing, first)


def _about_another_task(sample: VqaSample, task: str) -> VqaSample:
    completion = build_absent_completion()
    return replace(sample, prompt=build_prompt(task), completion=completion, progress=0.0, direction="wrong_task")


def _segment(annotation: Annotation, t: int) -> tuple[int, int]:
    """Return first and last frame of the segment around `t` without an excluded stage; windows stay inside it."""
    first = max((stage.end for stage in annotation.stages if stage.excluded and stage.end <= t), default=0)
    last = min(
        (stage.start for stage in annotation.stages if stage.excluded and stage.start > t),
        default=annotation.num_frames,
    )
    return first, last - 1
