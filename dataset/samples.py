"""Samples: which frames of an annotated demonstration are asked about, with which window, and the answer to learn.

Knows annotations, windows, labels and prompts; no pixels: a sample is one line of JSON. Does not know tokens or models.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dataset.annotation import Annotation
from dataset.demonstration import Demonstration, read_demonstrations
from dataset.files import write_text_atomically
from dataset.progress import label_curve, remaining_subtasks
from dataset.prompts import PROMPT_VERSION, build_completion, build_prompt
from dataset.window import WindowSpec, reversed_window_indices, window_indices

__all__ = [
    "Demonstration",
    "SamplingSpec",
    "VqaSample",
    "build_samples",
    "meta_path",
    "read_demonstrations",
    "read_samples",
    "write_samples",
]


@dataclass(frozen=True)
class VqaSample:
    """One question about one window, with its answer.

    Args:
        video: Path of the video, seen from the working directory.
        episode: Name of the demonstration; samples of one demonstration share it.
        frame_index: The current frame; `window_frame_indices[-1] == frame_index`.
        window_frame_indices: Source frames shown, oldest first.
        prompt: The question.
        completion: The answer to learn.
        progress: Its percentage, 0 to 100.
        direction: "forward", "reversed" (played backwards) or "single" (the current frame alone).
    """

    video: str
    episode: str
    frame_index: int
    window_frame_indices: tuple[int, ...]
    prompt: str
    completion: str
    progress: float
    direction: str = "forward"

    def __post_init__(self) -> None:
        if not self.window_frame_indices or self.window_frame_indices[-1] != self.frame_index:
            raise ValueError(
                f"the window {list(self.window_frame_indices)} does not end at the current frame {self.frame_index}"
            )


@dataclass(frozen=True)
class SamplingSpec:
    """Which samples one demonstration gives.

    Args:
        every: Every n-th frame is asked about; >= 1.
        finished_frames: Finished frames of a success, spread over its tail, at most so many; each `finished_repeats`
            times, so that success is taught although its tail is short.
        finished_repeats: See `finished_frames`.
        single_frame_share: Share of the frames asked about that get a second sample of the frame alone, 0 to 1.
        reversed_share: Share that get a second sample played backwards, 0 to 1. Its label is that of the frame: it
            teaches that progress is read from the scene and not from the clock.
        seed: Seed of the draws.
    """

    every: int = 1
    finished_frames: int = 10
    finished_repeats: int = 3
    single_frame_share: float = 0.0
    reversed_share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"data.sampling.every is {self.every}; it must be at least 1")
        for name in ("finished_frames", "finished_repeats"):
            if getattr(self, name) < 0:
                raise ValueError(f"data.sampling.{name} is {getattr(self, name)}; it must not be negative")
        for name in ("single_frame_share", "reversed_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"data.sampling.{name} is {getattr(self, name)}; it is a share, 0 to 1")


def build_samples(demonstration: Demonstration, window: WindowSpec, sampling: SamplingSpec) -> list[VqaSample]:
    """Return the samples of one demonstration, in frame order; the same seed gives the same samples."""
    annotation = demonstration.annotation
    rng = np.random.default_rng([sampling.seed, annotation.num_frames])
    curve = label_curve(annotation)
    samples = []
    for t in _frames_to_ask(annotation, sampling):
        samples.append(_sample(demonstration, curve, t, "forward", window))
        if rng.random() < sampling.single_frame_share:
            samples.append(_sample(demonstration, curve, t, "single", window))
        if rng.random() < sampling.reversed_share:
            samples.append(_sample(demonstration, curve, t, "reversed", window))
    return samples


def _frames_to_ask(annotation: Annotation, sampling: SamplingSpec) -> list[int]:
    """Return frames of kept stages and of the tail, rising; finished frames repeated as the spec says."""
    kept = [t for stage in annotation.kept_stages for t in range(stage.start, stage.end)]
    tail = range(annotation.last_stage_end, annotation.num_frames)
    asked = kept[:: sampling.every]
    if annotation.success:
        count = min(sampling.finished_frames, len(tail))
        finished = sorted({tail[round(position)] for position in np.linspace(len(tail) - 1, 0, count)}) if count else []
        return asked + [t for t in finished for _ in range(sampling.finished_repeats)]
    return asked + list(tail[:: sampling.every])


def _sample(demonstration: Demonstration, curve: np.ndarray, t: int, direction: str, window: WindowSpec) -> VqaSample:
    annotation = demonstration.annotation
    first, last = _segment(annotation, t)
    if direction == "single":
        indices: tuple[int, ...] = (t,)
    elif direction == "reversed":
        indices = reversed_window_indices(window, t, annotation.fps, last)
    else:
        indices = window_indices(window, t, annotation.fps, first)
    progress = float(curve[t])
    finished = annotation.success and progress == 100.0
    remaining = () if finished else remaining_subtasks(annotation, t)
    return VqaSample(
        video=demonstration.video,
        episode=demonstration.episode,
        frame_index=t,
        window_frame_indices=indices,
        prompt=build_prompt(annotation.task),
        completion=build_completion(progress, remaining, annotation.reason),
        progress=progress,
        direction=direction,
    )


def _segment(annotation: Annotation, t: int) -> tuple[int, int]:
    """Return first and last frame of the stretch around `t` without an excluded stage: windows stay inside it."""
    first = max((stage.end for stage in annotation.stages if stage.excluded and stage.end <= t), default=0)
    last = min(
        (stage.start for stage in annotation.stages if stage.excluded and stage.start > t),
        default=annotation.num_frames,
    )
    return first, last - 1


def write_samples(
    path: str | Path, samples: list[VqaSample], window: WindowSpec, demonstrations: Iterable[Demonstration]
) -> None:
    """Write samples as JSONL and, beside it, `<name>.meta.json` with what training must know about them.

    Writing replaces: nothing is ever appended to an earlier set.
    """
    path = Path(path)
    meta = {
        "prompt_version": PROMPT_VERSION,
        "window": window.to_dict(),
        "num_samples": len(samples),
        "demonstrations": [
            {"annotation": d.path, "video": d.video, "fingerprint": d.annotation.fingerprint, "task": d.annotation.task}
            for d in demonstrations
        ],
    }
    write_text_atomically(path, "".join(json.dumps(asdict(s), ensure_ascii=False) + "\n" for s in samples))
    write_text_atomically(meta_path(path), json.dumps(meta, indent=2, ensure_ascii=False) + "\n")


def meta_path(path: str | Path) -> Path:
    """Return the path of the description beside a samples file."""
    return Path(path).with_suffix(".meta.json")


def read_samples(path: str | Path) -> tuple[list[VqaSample], WindowSpec, tuple[str, ...]]:
    """Read samples with their window rule and their task texts.

    Raises:
        ValueError: A file is missing or damaged; the message names it and the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        meta = json.loads(meta_path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"samples {error.filename}: no such file; make them with `python -m dataset`") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{meta_path(path)}: no valid JSON ({error}); make the samples again") from None
    samples = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            samples.append(VqaSample(**{**row, "window_frame_indices": tuple(row["window_frame_indices"])}))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"samples {path}, line {number}: {error}; make the samples again") from None
    tasks = tuple(dict.fromkeys(row["task"] for row in meta["demonstrations"]))
    return samples, WindowSpec(**meta["window"]), tasks
