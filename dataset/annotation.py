"""Stages and annotations, the only files that a person makes: frozen types with all their validation.

Knows frame numbers, stage texts and the outcome of one demonstration. Does not know their JSON form (see
`annotation_file`), pixels (see `video`), label curves (see `labels`) or the wording of prompts (see `prompts`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAIN_CAMERA = "main"
DELETE_MARK = "/delete"  # as the text of a stage: excludes it, where a tool has no other mark; from ProcVLM's page


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an annotation.

    Args:
        place: The field, as a path into the JSON document: `fps`, `stages[1].end`.
        message: The value, what is wrong with it and the remedy.
    """

    place: str
    message: str


class AnnotationError(ValueError):
    """An annotation that breaks an invariant; `problems` holds every reason with its place, the text all of them."""

    def __init__(self, problems: list[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__(source + "; ".join(problem.message for problem in problems))


@dataclass(frozen=True)
class Stage:
    """One contiguous sub-task of a demonstration.

    Args:
        subtask: What is done, as the model lists it among the remaining actions; not blank.
        start: First frame, 0-based.
        end: Frame after the last one (half-open); `end > start`.
        excluded: The stage is left out: no samples, no weight, and no window spans it.
        falls_back_to: Set if the attempt fails at the end of this stage: the number (from 1, in the list of all
            stages) of the stage that must be done again, this one or an earlier one. The stages that follow repeat
            the work from there on.
        weight: How much of the task this stage is, beside the others: 3 is three times 1. None: 1 if another stage of
            the annotation has a weight, else by its length (see `dataset.labels.stage_shares`).
        extra: Fields of the file that this version does not know; kept when it is written again.
    """

    subtask: str
    start: int
    end: int
    excluded: bool = False
    falls_back_to: int | None = None
    weight: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        problems = stage_problems("stage", vars(self))
        if problems:
            raise AnnotationError(problems)


@dataclass(frozen=True)
class TaskPlan:
    """The steps of a task and where each begins on its scale, as a success shows them; see `dataset.task_plan`.

    Args:
        steps: A stage of the success for every step, in order.
        levels: Percent at the start of every step, and 100; K + 1 values for K steps, rising.
        source: The annotation of the success.
    """

    steps: tuple[Stage, ...]
    levels: tuple[float, ...]
    source: str = ""


@dataclass(frozen=True)
class Camera:
    """A further view of the same episode: its frame i was recorded at the same time as frame i of the main video.

    Args:
        name: Its name, for example "wrist"; "main" is the annotation's own video.
        video: Path of its video; relative paths are relative to the annotation file.
        fingerprint: As that of the main video.
        extra: As that of `Stage`.
    """

    name: str
    video: str
    fingerprint: str
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Annotation:
    """The stages and the outcome of one recorded demonstration.

    Invariants: stages are ordered, contiguous from frame 0 and inside the video; at least one is not excluded; frames
    after the last stage show the final state ("done" when `success`, else "not done").

    Args:
        video: Path of the video; relative paths are relative to the annotation file.
        fingerprint: `dataset.video.fingerprint` of that file, so that another file of the same name is detected.
        num_frames: Frames of the video.
        fps: Mean frames per second, > 0.
        task: The instruction that the robot follows.
        stages: See `Stage`.
        success: Whether the demonstration reaches its goal.
        reason: Why the task counts as done, a part of the answer to learn; optional.
        final_progress: Percent reached at the end of the last stage: 100 for a success, less for a failure.
        measured_progress: Percent per frame, shape (num_frames,), if a simulator or a sensor measured it. It
            replaces the curve that is interpolated between stage ends.
        cameras: Further views of the episode; they share the frame numbers, the stages and the labels.
        annotator: Who marked the stages; several people can annotate one video, each in a separate file.
        plan: Of a failure: the steps and the scale of its task, from a success that it was read with
            (`dataset.task_plan`). No part of the file.
        extra: As that of `Stage`.
    """

    video: str
    fingerprint: str
    num_frames: int
    fps: float
    task: str
    stages: tuple[Stage, ...]
    success: bool
    reason: str | None = None
    final_progress: float = 100.0
    measured_progress: tuple[float, ...] | None = None
    cameras: tuple[Camera, ...] = ()
    annotator: str | None = None
    plan: TaskPlan | None = field(default=None, compare=False)
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        problems = annotation_problems(vars(self))
        if problems:
            raise AnnotationError(problems)

    @property
    def kept_stages(self) -> tuple[Stage, ...]:
        """The stages that are not excluded, in order."""
        return tuple(stage for stage in self.stages if not stage.excluded)

    @property
    def last_stage_end(self) -> int:
        """First frame after the last stage: where the final state begins."""
        return self.stages[-1].end


def stage_problems(place: str, stage: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with one stage alone; absent fields are not checked."""
    problems = []
    subtask, start, end, weight = (stage.get(key) for key in ("subtask", "start", "end", "weight"))
    if weight is not None and not (weight > 0 and math.isfinite(weight)):
        message = f'{place} "{subtask}" has the weight {weight}; it must be a positive number, or be left out'
        problems.append(Problem(f"{place}.weight", message))
    if start is not None and end is not None and end <= start:
        problems.append(
            Problem(
                f"{place}.end",
                f'stage "{subtask}" is empty: it starts at frame {start} and ends at frame {end} '
                "(the end is the frame after its last one); give it at least one frame",
            )
        )
    elif subtask is not None and not stage.get("excluded") and not subtask.strip():
        frames = "a stage" if start is None or end is None else f"the stage of frames {start} to {end - 1}"
        problems.append(Problem(f"{place}.subtask", f"{frames} has no text; describe the sub-task"))
    return problems


def annotation_problems(values: Mapping[str, Any]) -> list[Problem]:
    """Return everything that is wrong with an annotation, with places; absent fields are not checked."""
    problems = []

    def add(place: str, message: str) -> None:
        problems.append(Problem(place, message))

    num_frames, fps, task, success = (values.get(key) for key in ("num_frames", "fps", "task", "success"))
    final_progress, measured = values.get("final_progress"), values.get("measured_progress")
    if num_frames is not None and num_frames < 1:
        add("num_frames", f"num_frames is {num_frames}; a video has at least one frame")
    if fps is not None and not (fps > 0 and math.isfinite(fps)):
        add("fps", f"fps is {fps}; it must be a positive number")
    if task is not None and not task.strip():
        add("task", "the task text is empty; write what the robot does")
    if "stages" in values:
        problems += _order_problems(values["stages"], num_frames) + _fall_back_problems(values["stages"], success)
    if success is True and final_progress is not None and final_progress != 100.0:
        add("final_progress", f"a success ends at 100 %, but final_progress is {final_progress}")
    if success is False and final_progress is not None and not 0.0 <= final_progress < 100.0:
        add("final_progress", f"a failure ends below 100 %, but final_progress is {final_progress}; use 0 to 99.99")
    if measured is not None:
        if num_frames is not None and len(measured) != num_frames:
            add(
                "measured_progress",
                f"measured_progress has {len(measured)} values for {num_frames} frames; give one per frame",
            )
        outside = [value for value in measured if not 0.0 <= value <= 100.0]
        if outside:
            add("measured_progress", f"measured_progress holds {outside[0]}; values are percent, 0 to 100")
    names = [MAIN_CAMERA]
    for place, camera in enumerate(values.get("cameras", ())):
        if not camera.name.strip() or camera.name in names:
            add(
                f"cameras[{place}].name",
                f'camera name "{camera.name}" is empty or used twice; use distinct names '
                f'("{MAIN_CAMERA}" is the main video)',
            )
        names.append(camera.name)
    return problems


def _order_problems(stages: tuple[Any, ...], num_frames: int | None) -> list[Problem]:
    problems = []
    if all(stage.excluded for stage in stages):
        problems.append(Problem("stages", "no stage is kept; mark at least one stage that is not excluded"))
    previous_end, previous_name = 0, None
    for place, stage in enumerate(stages):
        name = f'stage {place + 1} "{stage.subtask}"'
        if stage.start < previous_end:
            before = f"{previous_name} ends at frame {previous_end}" if previous_name else "the first frame, 0"
            message = f"{name} starts at frame {stage.start}, before {before}; stages must not overlap"
            problems.append(Problem(f"stages[{place}].start", message))
        elif stage.start > previous_end:
            message = (
                f"{name} starts at frame {stage.start}, but frames {previous_end} to {stage.start - 1} belong to no "
                "stage; stages must be contiguous from frame 0 (to leave frames out, mark a stage as excluded)"
            )
            problems.append(Problem(f"stages[{place}].start", message))
        if num_frames is not None and stage.end > num_frames:
            message = (
                f"{name} ends at frame {stage.end}, but the video has {num_frames} frames; "
                f"its end must be at most {num_frames}"
            )
            problems.append(Problem(f"stages[{place}].end", message))
        previous_end, previous_name = stage.end, name
    return problems


def _fall_back_problems(stages: tuple[Any, ...], success: bool | None) -> list[Problem]:
    problems = []
    for place, stage in enumerate(stages):
        target = stage.falls_back_to
        if target is None:
            continue
        name = f'stage {place + 1} "{stage.subtask}"'
        if stage.excluded:
            message = f"{name} is excluded and falls back to stage {target}; remove one of the two marks"
        elif not 1 <= target <= place + 1:
            message = f"{name} falls back to stage {target}; name a stage from 1 to {place + 1}, counted from 1"
        elif stages[target - 1].excluded:
            message = f"{name} falls back to stage {target}, which is excluded; name a stage that is kept"
        elif success and all(later.excluded for later in stages[place + 1 :]):
            message = (
                f"{name} fails (it falls back to stage {target}) and no stage follows, but the demonstration is a "
                "success; mark the stages that repeat the work, or remove the mark"
            )
        else:
            continue
        problems.append(Problem(f"stages[{place}].falls_back_to", message))
    return problems
