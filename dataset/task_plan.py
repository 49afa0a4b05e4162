"""Task plans: a failure takes the steps and the scale of its task from a success of it.

Knows annotations and the shares of their stages. Does not know files or pixels. Without a plan a failure lists only
what was marked in it, and its labels differ from a success's at the same state: the model would learn a contradiction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dataset.annotation import Annotation, Stage, TaskPlan
from dataset.labels import plan_steps, step_levels, step_places
from dataset.wording import same_text


@dataclass(frozen=True)
class ProposedEnd:
    """Where a failure may have ended: like the end of one step of a success.

    Args:
        step: Number of the step in the success, counted from 1.
        subtask: Its text.
        percent: The percent there, rounded to one decimal: a `final_progress`.
    """

    step: int
    subtask: str
    percent: float


def proposed_ends(success: Annotation) -> list[ProposedEnd]:
    """Return the ends that a failure of the same task can have: that of every step but the last ("like stage 3")."""
    steps, levels = plan_steps(success).steps, _plan_of(success).levels
    return [
        ProposedEnd(number, step.subtask, round(level, 1))
        for number, (step, level) in enumerate(zip(steps, levels[1:-1], strict=False), start=1)
    ]


def with_plan(annotation: Annotation, others: Sequence[Annotation], sources: Sequence[str] = ()) -> Annotation:
    """Return a failure with the plan of a success among `others`; the annotation itself where none fits.

    Of several successes of the same task whose steps contain those of the failure, the shortest one is taken: it has
    the fewest detours, and no name or order of files matters.

    Args:
        annotation: A demonstration; a success stays as it is.
        others: Further demonstrations.
        sources: Their files, for messages.
    """
    if annotation.success:
        return annotation
    bare, names = replace(annotation, plan=None), sources or [""] * len(others)
    steps = plan_steps(bare).steps
    fitting = [
        (other.num_frames, other.fingerprint, name, other)
        for other, name in zip(others, names, strict=True)
        if same_task_success(annotation, other) and step_places(steps, plan_steps(other).steps) is not None
    ]
    if not fitting:
        return bare
    *_, name, success = min(fitting, key=lambda row: row[:3])
    return replace(bare, plan=_plan_of(success, name))


def same_task_success(annotation: Annotation, other: Annotation) -> bool:
    """Return whether `other` is a success of the task of `annotation`."""
    return other.success and same_text(other.task, annotation.task)


def _plan_of(success: Annotation, source: str = "") -> TaskPlan:
    steps: tuple[Stage, ...] = plan_steps(success).steps
    measured = success.measured_progress
    if measured is None:
        return TaskPlan(steps, step_levels(success), source)
    starts = np.maximum.accumulate([measured[step.start] for step in steps])
    return TaskPlan(steps, (*starts.tolist(), 100.0), source)
