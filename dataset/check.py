"""Checks: find what is wrong with a set of demonstrations before GPU time is spent on it.

Knows annotations, videos and the windows of samples. Does not know models. An error makes training useless or wrong. A
warning names something that the model will not learn, or will learn wrongly. Both contain the remedy.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dataset.annotation import MAIN_CAMERA, AnnotationError, Stage
from dataset.budget import TokenBudget
from dataset.check_failures import check_failures
from dataset.demonstration import Demonstration, read_demonstration, video_notices, with_plans, with_unique_names
from dataset.finding import Finding
from dataset.inputs import Paths, find_annotations
from dataset.labels import SUCCESS_THRESHOLD, Labels, label_curve, plan_steps
from dataset.prompts import build_completion, build_prompt
from dataset.samples import demonstration_curve
from dataset.similarity import cached_hashes, longest_still_run
from dataset.video import VideoError, VideoReader
from dataset.window import WindowSpec, wide_windows
from dataset.wording import differing_texts, plain_text

SHORT_STAGE_FRAMES = 3
LONG_TAIL_SHARE = 0.5  # a longer "finished" tail was probably not annotated
STILL_SEC = 2.0  # a still stretch is at least this long
STILL_POINTS = 2.0  # and its labels rise by more than this, in points
ANNOTATOR_POINTS = 5.0  # two annotators disagree from this mean difference of their labels on


def check_files(
    paths: Paths,
    search: Sequence[str | Path] = (),
    labels: Labels = "linear",
    window: WindowSpec | None = None,
    budget: TokenBudget | None = None,
) -> tuple[list[Demonstration], list[Finding]]:
    """Read annotation files and check them, pixels included; files that cannot be read become errors.

    Args:
        paths: Annotation files, folders and globs; see `dataset.inputs`.
        search: Further folders to search for videos that have moved.
        labels: How the recipe interpolates progress.
        window: The recipe's window rule: the rate of the videos is compared with it, and with `budget` the tokens of a
            sample are checked.
        budget: The largest number of tokens of a sample.

    Returns:
        The demonstrations that could be read, and the findings.
    """
    demonstrations: list[Demonstration] = []
    findings: list[Finding] = []
    for path in find_annotations(paths):
        try:
            demonstrations.append(read_demonstration(path, search))
        except AnnotationError as error:
            findings += [_from_problem(str(path), problem.place, problem.message) for problem in error.problems]
        except ValueError as error:
            field = "video" if isinstance(error, VideoError) else None
            message = str(error).removeprefix(f"annotation {path}: ")
            findings.append(Finding("error", str(path), message, field=field))
    demonstrations = with_plans(with_unique_names(demonstrations))
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
    """Check demonstrations one by one and together.

    Args:
        demonstrations: What to check.
        labels: As in `check_files`, also `window` and `budget`.
        window: See `labels`.
        budget: See `labels`.
        pixels: Also find still stretches in the pictures, and use visual labels if `labels` is "visual". Decodes each
            video once; later calls read the cache.
    """
    findings, curves = [], []
    for demonstration in demonstrations:
        curve = demonstration_curve(demonstration, labels) if pixels else label_curve(demonstration.annotation)
        curves.append(curve)
        findings += _check_outcome(demonstration, curve) + _check_stages(demonstration)
        if pixels:
            findings += _check_videos(demonstration) + _check_still_stretches(demonstration, curve, labels)
        if window is not None:
            findings += _check_rate(demonstration, window)
        if window is not None and budget is not None:
            findings += _check_budget(demonstration, window, budget)
    findings += check_failures(demonstrations, curves if pixels else None)
    return findings + _check_task_texts(demonstrations) + _check_together(demonstrations)


def _check_outcome(demonstration: Demonstration, curve: np.ndarray) -> list[Finding]:
    """Check the end of a demonstration, the path of its video and the range of its labels."""
    annotation, findings = demonstration.annotation, []

    def warn(message: str, stage: int | None = None, field: str | None = None) -> None:
        findings.append(Finding("warning", demonstration.path, message, stage, field))

    last, tail = len(annotation.stages), annotation.num_frames - annotation.last_stage_end
    if demonstration.moved:
        warn(
            f"the video is not at {annotation.video}; a file with the same content is at {demonstration.video}. Add "
            "--update_videos to write the new path into the annotation",
            field="video",
        )
    if annotation.success and tail < 1:
        warn(
            "no frame follows the last stage, so no sample has the label 100 %; end the last stage where the task is "
            "done, or record one more second",
            stage=last,
            field="end",
        )
    elif annotation.success and curve[-1] < SUCCESS_THRESHOLD:
        warn(
            f"the demonstration is a success, but its labels end at {curve[-1]:.1f} %, below "
            f"{SUCCESS_THRESHOLD:.0f} %; check measured_progress",
            field="measured_progress",
        )
    if annotation.success and np.nanmax(curve) < SUCCESS_THRESHOLD:
        warn(
            f"the highest label is {np.nanmax(curve):.1f} %; a task counts as done from {SUCCESS_THRESHOLD:.0f} % on. "
            "End the last stage where the task is done",
            stage=last,
            field="end",
        )
    if annotation.success and tail > LONG_TAIL_SHARE * annotation.num_frames:
        warn(
            f"{tail} of {annotation.num_frames} frames follow the last stage and have the label 100 %; mark their "
            "stages, or exclude them",
            stage=last,
            field="end",
        )
    if not annotation.success and annotation.measured_progress is None and tail > 0:
        warn(
            f"the {tail} frame(s) after the last stage of this failure have the label {curve[-1]:.1f} %; change "
            "final_progress if they show another state",
            field="final_progress",
        )
    return findings


def _check_stages(demonstration: Demonstration) -> list[Finding]:
    """Check the lengths and texts of the stages."""
    annotation, findings = demonstration.annotation, []

    def warn(message: str, stage: int | None = None, field: str | None = None) -> None:
        findings.append(Finding("warning", demonstration.path, message, stage, field))

    plan = plan_steps(annotation)
    for (number, stage), step in zip(_numbered(annotation.stages), plan.step_of_stage, strict=True):
        if stage.end - stage.start < SHORT_STAGE_FRAMES:
            warn(
                f'stage "{stage.subtask}" has {stage.end - stage.start} frame(s); merge it with a neighbour, or move '
                "its end",
                number,
                "end",
            )
        if plain_text(stage.subtask) == plain_text(annotation.task):
            warn(
                f'stage "{stage.subtask}" has the same text as the task; split it into the steps of the task',
                number,
                "subtask",
            )
        if plain_text(stage.subtask) != plain_text(plan.steps[step].subtask):
            warn(
                f'stage "{stage.subtask}" is repeated as "{plan.steps[step].subtask}"; use one text for both attempts, '
                "or correct the stage number in falls_back_to",
                number,
                "falls_back_to",
            )
    for text, count in Counter(plain_text(stage.subtask) for stage in plan.steps).items():
        if count > 1:
            warn(
                f'{count} stages have the text "{text}" and count as separate steps; if the steps differ, use '
                "different texts",
                next(number for number, stage in _numbered(annotation.stages) if plain_text(stage.subtask) == text),
                "subtask",
            )
    if annotation.success and len(annotation.kept_stages) == 1:
        warn("there is only one stage; with two or more stages the labels follow the task more closely", 1)
    return findings


def _check_videos(demonstration: Demonstration) -> list[Finding]:
    """Say where a player may show other pictures than are read."""
    return [
        Finding("warning", demonstration.path, notice, field="video" if camera == MAIN_CAMERA else "cameras")
        for camera, notice in video_notices(demonstration)
    ]


def _check_still_stretches(demonstration: Demonstration, curve: np.ndarray, labels: Labels) -> list[Finding]:
    """Find stages with a long still stretch: nearly equal frames with different labels."""
    annotation, findings = demonstration.annotation, []
    hashes = cached_hashes(VideoReader(demonstration.video))
    for number, stage in _numbered(annotation.stages):
        first, length = longest_still_run(hashes[stage.start : stage.end])
        first, last = stage.start + first, stage.start + first + length - 1
        rise = curve[last] - curve[first]
        if length >= STILL_SEC * annotation.fps and rise > STILL_POINTS:
            remedy = "exclude them" if labels == "visual" else "exclude them, or use data.labels=visual"
            message = (
                f"frames {first} to {last} look alike ({length / annotation.fps:.1f} s), but their labels rise by "
                f"{rise:.1f} points; {remedy}"
            )
            findings.append(Finding("warning", demonstration.path, message, number))
    return findings


def _check_rate(demonstration: Demonstration, window: WindowSpec) -> list[Finding]:
    """Find a video with fewer frames per second than the window rule asks for."""
    wide = wide_windows(window, demonstration.timing)
    return [Finding("warning", demonstration.path, f"the video {wide}", field="video")] if wide else []


def _check_budget(demonstration: Demonstration, window: WindowSpec, budget: TokenBudget) -> list[Finding]:
    """Compare the longest sample (all steps remaining) with the context of the model."""
    annotation = demonstration.annotation
    height, width = VideoReader(demonstration.video).frame(0).shape[:2]
    texts = tuple(stage.subtask for stage in plan_steps(annotation).steps)
    text = build_prompt(annotation.task) + build_completion(0.0, texts)
    tokens = budget.window_tokens(window.size, width, height, text)
    if tokens <= budget.context:
        return []
    message = (
        f"a window of {window.size} frames of {width}x{height} costs about {tokens} tokens; the limit is "
        f"{budget.context}. Lower image.max_pixels (now {budget.max_pixels}) or data.window.size"
    )
    return [Finding("error", demonstration.path, message, field="video")]


def _check_task_texts(demonstrations: Sequence[Demonstration]) -> list[Finding]:
    """Find task texts that are one task to a person and two to the model."""
    texts = {demonstration.annotation.task: demonstration.path for demonstration in reversed(demonstrations)}
    first = {plain_text(text): text for text in texts}  # the last one stays: that of the first demonstration
    findings = []
    for demonstration in demonstrations:
        task = demonstration.annotation.task
        other = first[plain_text(task)]
        if task != other:
            message = (
                f"{differing_texts(task, other)} the task of {texts[other]}; the model would learn two tasks. "
                "Write the text in the same way in both files"
            )
            findings.append(Finding("error", demonstration.path, message, field="task"))
    return findings


def _check_together(demonstrations: Sequence[Demonstration]) -> list[Finding]:
    """Check the demonstrations together: wording, videos annotated twice, no success at all."""
    findings = []
    stage_lists: dict[str, dict[tuple[str, ...], str]] = {}
    by_recording: dict[str, Demonstration] = {}
    for demonstration in demonstrations:
        annotation = demonstration.annotation
        texts = tuple(stage.subtask for stage in plan_steps(annotation).steps)
        wordings = stage_lists.setdefault(annotation.task, {})
        if annotation.success and wordings and texts not in wordings:
            message = (
                f"its stages differ from those of {next(iter(wordings.values()))} for the same task; use the same texts"
            )
            findings.append(Finding("warning", demonstration.path, message, field="stages"))
        if annotation.success:
            wordings.setdefault(texts, demonstration.path)
        earlier = by_recording.setdefault(annotation.fingerprint, demonstration)
        if earlier is not demonstration:
            findings.append(_compare_annotators(earlier, demonstration))
    if demonstrations and not any(demonstration.annotation.success for demonstration in demonstrations):
        findings.append(
            Finding(
                "warning",
                "all",
                "no demonstration is a success, so no sample shows the finished task; add a successful one",
            )
        )
    return findings


def _compare_annotators(first: Demonstration, second: Demonstration) -> Finding:
    """Return the finding that one video was annotated twice, with the mean difference of the labels."""
    difference = np.abs(label_curve(first.annotation) - label_curve(second.annotation))
    names = [demonstration.annotation.annotator or "an unnamed person" for demonstration in (first, second)]
    distance = float(np.nanmean(difference)) if np.isfinite(difference).any() else float("nan")
    verdict = "they agree" if distance < ANNOTATOR_POINTS else "they disagree: correct the boundaries first"
    message = (
        f"{first.path} annotates the same video: the labels of {names[0]} and {names[1]} differ by {distance:.1f} "
        f"points on average, {verdict}. Train on one of the two files; with both, every frame counts twice"
    )
    return Finding("warning", second.path, message, field="annotator")


def _from_problem(path: str, place: str, message: str) -> Finding:
    match = re.match(r"stages\[(\d+)\](?:\.(\w+))?", place)
    stage, field = (int(match.group(1)) + 1, match.group(2)) if match else (None, place or None)
    return Finding("error", path, message, stage, field)


def _numbered(stages: Sequence[Stage]) -> list[tuple[int, Stage]]:
    """Return the kept stages with their numbers, counted from 1 over all stages."""
    return [(number, stage) for number, stage in enumerate(stages, start=1) if not stage.excluded]
