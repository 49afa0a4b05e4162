"""Checks: what is wrong with a set of demonstrations before GPU time is spent on it.

Knows annotations, videos and samples' windows; does not know models. Errors make training pointless or wrong, warnings
tell what the model will not learn, each with its remedy.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dataset.annotation import AnnotationError, Stage
from dataset.budget import TokenBudget
from dataset.demonstration import Demonstration, read_demonstration
from dataset.labels import SUCCESS_THRESHOLD, Labels, label_curve, plan_steps
from dataset.prompts import build_completion, build_prompt
from dataset.samples import demonstration_curve
from dataset.similarity import cached_hashes, longest_still_run
from dataset.video import VideoError, VideoReader
from dataset.window import WindowSpec

SHORT_STAGE_FRAMES = 3
LONG_TAIL_SHARE = 0.5  # a "finished" tail of more of the video than this was probably not looked at
STILL_SEC = 2.0  # nothing moves for so long ...
STILL_POINTS = 2.0  # ... while the label rises by more than this
ANNOTATOR_POINTS = 5.0  # mean difference of two people's labels, in points, from which they are said to disagree


@dataclass(frozen=True)
class Finding:
    """One thing a check found.

    Args:
        level: "error" stops, "warning" does not.
        where: The annotation file, or "all".
        message: What it is and how to mend it.
        stage: Number of the stage it concerns, counted from 1 over all stages; None where it is not about one.
        field: The field it concerns: "subtask", "end", "task", "video", ...; None where it is not about one.
    """

    level: Literal["error", "warning"]
    where: str
    message: str
    stage: int | None = None
    field: str | None = None

    @property
    def place(self) -> str:
        """Stage and field in words: "stage 2, end"; empty where it is about the whole file."""
        return ", ".join(part for part in (f"stage {self.stage}" if self.stage else "", self.field or "") if part)


def check_files(
    paths: Iterable[str | Path],
    search: Sequence[str | Path] = (),
    labels: Labels = "linear",
    window: WindowSpec | None = None,
    budget: TokenBudget | None = None,
) -> tuple[list[Demonstration], list[Finding]]:
    """Read annotation files and check them, pixels included; files that cannot be read become errors.

    Args:
        paths: Annotation files.
        search: Further folders in which moved videos are looked for.
        labels: How the recipe interpolates progress.
        window: The recipe's window rule; with `budget`, the tokens of a sample are checked.
        budget: What a sample may cost.

    Returns:
        The demonstrations that could be read, and the findings.
    """
    demonstrations: list[Demonstration] = []
    findings: list[Finding] = []
    for path in paths:
        try:
            demonstrations.append(read_demonstration(path, search))
        except AnnotationError as error:
            findings += [_from_problem(str(path), problem.place, problem.message) for problem in error.problems]
        except ValueError as error:
            field = "video" if isinstance(error, VideoError) else None
            message = str(error).removeprefix(f"annotation {path}: ")
            findings.append(Finding("error", str(path), message, field=field))
    return demonstrations, findings + check_demonstrations(
        demonstrations, labels=labels, window=window, budget=budget, pixels=True
    )


def check_demonstrations(
    demonstrations: Sequence[Demonstration],
    labels: Labels = "linear",
    window: WindowSpec | None = None,
    budget: TokenBudget | None = None,
    pixels: bool = False,
) -> list[Finding]:
    """Return what is wrong or missing in the demonstrations, taken one by one and together.

    Args:
        demonstrations: What to check.
        labels: As in `check_files`, also `window` and `budget`.
        window: See `labels`.
        budget: See `labels`.
        pixels: Also look at the pictures for still stretches, and use visual labels where `labels` says so; decodes
            each video once, later calls read the cache.
    """
    findings = []
    for demonstration in demonstrations:
        curve = demonstration_curve(demonstration, labels) if pixels else label_curve(demonstration.annotation)
        findings += _check_outcome(demonstration, curve) + _check_stages(demonstration)
        if pixels:
            findings += _check_still_stretches(demonstration, curve, labels)
        if window is not None and budget is not None:
            findings += _check_budget(demonstration, window, budget)
    return findings + _check_together(demonstrations)


def _check_outcome(demonstration: Demonstration, curve: np.ndarray) -> list[Finding]:
    """Check the end of a demonstration, its video's place and its labels as a whole."""
    annotation, findings = demonstration.annotation, []

    def warn(message: str, stage: int | None = None, field: str | None = None) -> None:
        findings.append(Finding("warning", demonstration.path, message, stage, field))

    last, tail = len(annotation.stages), annotation.num_frames - annotation.last_stage_end
    if demonstration.moved:
        warn(
            f"its video was found by content as {demonstration.video}, not as {annotation.video}; add "
            "--update_videos to record the new place",
            field="video",
        )
    if annotation.success and tail < 1:
        warn(
            "no frame after the last stage shows the finished task, so 100 % is never taught; end the last stage "
            "where the task is done, or record a second more",
            stage=last,
            field="end",
        )
    elif annotation.success and curve[-1] < SUCCESS_THRESHOLD:
        warn(
            f"a success whose labels end at {curve[-1]:.1f} %, below {SUCCESS_THRESHOLD:.0f} %; check "
            "measured_progress",
            field="measured_progress",
        )
    if annotation.success and np.nanmax(curve) < SUCCESS_THRESHOLD:
        warn(
            f"no label reaches {SUCCESS_THRESHOLD:.0f} %, where a task counts as done (the highest is "
            f"{np.nanmax(curve):.1f} %); let the last stage end where the task is done",
            stage=last,
            field="end",
        )
    if annotation.success and tail > LONG_TAIL_SHARE * annotation.num_frames:
        warn(
            f"{tail} of {annotation.num_frames} frames lie after the last stage and are taught as 100 %; mark the "
            "stages they belong to, or exclude them",
            stage=last,
            field="end",
        )
    if not annotation.success and annotation.measured_progress is None and tail > 0:
        warn(
            f"the {tail} frame(s) after the last stage of this failure are taught as {curve[-1]:.1f} %; "
            "change final_progress if they show another state",
            field="final_progress",
        )
    return findings


def _check_stages(demonstration: Demonstration) -> list[Finding]:
    """Check the stages' lengths and texts."""
    annotation, findings = demonstration.annotation, []

    def warn(message: str, stage: int | None = None, field: str | None = None) -> None:
        findings.append(Finding("warning", demonstration.path, message, stage, field))

    plan = plan_steps(annotation)
    for (number, stage), step in zip(_numbered(annotation.stages), plan.step_of_stage, strict=True):
        if stage.end - stage.start < SHORT_STAGE_FRAMES:
            warn(
                f'stage "{stage.subtask}" has {stage.end - stage.start} frame(s); merge it with its neighbour or move '
                "its boundary",
                number,
                "end",
            )
        if _plain(stage.subtask) == _plain(annotation.task):
            warn(
                f'stage "{stage.subtask}" is the whole task; split it into the steps that a person would name',
                number,
                "subtask",
            )
        if _plain(stage.subtask) != _plain(plan.steps[step].subtask):
            warn(
                f'stage "{stage.subtask}" is attempted again as "{plan.steps[step].subtask}"; use one text for both '
                "attempts, or mend the stage that is fallen back to",
                number,
                "falls_back_to",
            )
    for text, count in Counter(_plain(stage.subtask) for stage in plan.steps).items():
        if count > 1:
            warn(
                f'{count} stages read "{text}"; they stay separate steps, but tell them apart if they differ',
                next(number for number, stage in _numbered(annotation.stages) if _plain(stage.subtask) == text),
                "subtask",
            )
    if annotation.success and len(annotation.kept_stages) == 1:
        warn("there is one stage only; two or more give a far better curve", 1)
    return findings


def _check_still_stretches(demonstration: Demonstration, curve: np.ndarray, labels: Labels) -> list[Finding]:
    """Warn of stages in which the picture stands still for long: near-duplicate frames with different labels."""
    annotation, findings = demonstration.annotation, []
    hashes = cached_hashes(VideoReader(demonstration.video))
    for number, stage in _numbered(annotation.stages):
        first, length = longest_still_run(hashes[stage.start : stage.end])
        first, last = stage.start + first, stage.start + first + length - 1
        rise = curve[last] - curve[first]
        if length >= STILL_SEC * annotation.fps and rise > STILL_POINTS:
            remedy = "exclude them" if labels == "visual" else "exclude them, or let data.labels=visual give them less"
            message = (
                f"frames {first} to {last} look alike ({length / annotation.fps:.1f} s), but their labels rise by "
                f"{rise:.1f} points; {remedy}"
            )
            findings.append(Finding("warning", demonstration.path, message, number))
    return findings


def _check_budget(demonstration: Demonstration, window: WindowSpec, budget: TokenBudget) -> list[Finding]:
    """Compare the largest sample, its whole plan still to do, with what the model reads."""
    annotation = demonstration.annotation
    height, width = VideoReader(demonstration.video).frame(0).shape[:2]
    texts = tuple(stage.subtask for stage in plan_steps(annotation).steps)
    text = build_prompt(annotation.task) + build_completion(0.0, texts)
    tokens = budget.window_tokens(window.size, width, height, text)
    if tokens <= budget.context:
        return []
    message = (
        f"a window of {window.size} frames of {width}x{height} costs about {tokens} tokens, the model reads "
        f"{budget.context}; lower image.max_pixels (now {budget.max_pixels}) or data.window.size"
    )
    return [Finding("error", demonstration.path, message, field="video")]


def _check_together(demonstrations: Sequence[Demonstration]) -> list[Finding]:
    """Check what only several demonstrations show: wording, double annotations, whether success is there at all."""
    findings = []
    stage_lists: dict[str, dict[tuple[str, ...], str]] = {}
    by_recording: dict[str, Demonstration] = {}
    for demonstration in demonstrations:
        annotation = demonstration.annotation
        texts = tuple(stage.subtask for stage in plan_steps(annotation).steps)
        known = stage_lists.setdefault(annotation.task, {})
        if annotation.success and known and texts not in known:
            message = f"its stages differ from those of {next(iter(known.values()))} for the same task; use one wording"
            findings.append(Finding("warning", demonstration.path, message, field="stages"))
        if annotation.success:
            known.setdefault(texts, demonstration.path)
        earlier = by_recording.setdefault(annotation.fingerprint, demonstration)
        if earlier is not demonstration:
            findings.append(_compare_annotators(earlier, demonstration))
    if demonstrations and not any(demonstration.annotation.success for demonstration in demonstrations):
        findings.append(
            Finding("warning", "all", "no demonstration succeeds, so success is never taught; add a successful one")
        )
    return findings


def _compare_annotators(first: Demonstration, second: Demonstration) -> Finding:
    """Say that one video was annotated twice, and how far the two labels lie apart."""
    difference = np.abs(label_curve(first.annotation) - label_curve(second.annotation))
    names = [demonstration.annotation.annotator or "an unnamed person" for demonstration in (first, second)]
    apart = float(np.nanmean(difference)) if np.isfinite(difference).any() else float("nan")
    verdict = "agree" if apart < ANNOTATOR_POINTS else "do not agree; settle the boundaries first"
    message = (
        f"the same video as {first.path}: {names[0]} and {names[1]} lie {apart:.1f} points apart on average and "
        f"{verdict}; train on one of the two files, or its frames count double"
    )
    return Finding("warning", second.path, message, field="annotator")


def _from_problem(path: str, place: str, message: str) -> Finding:
    match = re.match(r"stages\[(\d+)\](?:\.(\w+))?", place)
    stage, field = (int(match.group(1)) + 1, match.group(2)) if match else (None, place or None)
    return Finding("error", path, message, stage, field)


def _numbered(stages: Sequence[Stage]) -> list[tuple[int, Stage]]:
    """Return the kept stages with their numbers, counted from 1 over all stages."""
    return [(number, stage) for number, stage in enumerate(stages, start=1) if not stage.excluded]


def _plain(text: str) -> str:
    return text.strip().rstrip(".").lower()
