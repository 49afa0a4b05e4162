"""Notes: what is missing or doubtful in a draft, each with the place on the page that it is about.

Knows drafts and the dataset's check; does not know the page's elements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from annotate.marking import Draft
from dataset.annotation import annotation_problems
from dataset.check import Finding, check_demonstrations
from dataset.demonstration import Demonstration

About = Literal["task", "stages", "outcome", "video"]
_PLACES: dict[str, About] = {  # by the field that a finding is about; all others are shown with the stages
    "task": "task", "video": "video",
    "final_progress": "outcome", "measured_progress": "outcome", "success": "outcome", "reason": "outcome",
}  # fmt: skip


@dataclass(frozen=True)
class Note:
    """One note.

    Args:
        level: "missing": the annotation is not finished without it; "error" stops training; "warning" does not.
        about: The place on the page.
        stage: 0-based number of the stage it is about; None where it is about no single one.
        message: What it is and how to mend it.
    """

    level: Literal["missing", "error", "warning"]
    about: About
    message: str
    stage: int | None = None


def missing_notes(draft: Draft) -> list[Note]:
    """Return what a person still has to say; empty when the annotation can be written."""
    notes = []
    if not draft.task.strip():
        notes.append(Note("missing", "task", "say what the robot shall do"))
    if all(stage.excluded for stage in draft.stages):
        notes.append(Note("missing", "stages", "mark at least one stage that is not left out"))
    if draft.success is None:
        notes.append(Note("missing", "outcome", "choose Done or Not done"))
    elif not draft.success and draft.final_progress is None:
        notes.append(Note("missing", "outcome", "say how far it came: a cutoff from 0 to 0.99"))
    elif not draft.success and draft.final_progress is not None and not 0.0 <= draft.final_progress < 100.0:
        cutoff = draft.final_progress / 100.0
        notes.append(Note("missing", "outcome", f"the cutoff is {cutoff:g}; a failure ends below 1: use 0 to 0.99"))
    for problem in annotation_problems({"stages": draft.stages, "success": draft.success}):
        if match := re.match(r"stages\[(\d+)\]", problem.place):
            notes.append(Note("missing", "stages", problem.message, int(match.group(1))))
    return notes


def check_notes(demonstration: Demonstration, alone: bool = False, **options: Any) -> list[Note]:
    """Return what the check says about one demonstration.

    Args:
        demonstration: What to check.
        alone: Leave out what only the whole set of demonstrations can have or lack.
        options: As of `dataset.check_demonstrations`.
    """
    findings = check_demonstrations([demonstration], **options)
    return [_place(finding) for finding in findings if not (alone and finding.where == "all")]


def _place(finding: Finding) -> Note:
    """Find the place on the page that shows the field a finding is about."""
    about = _PLACES.get(finding.field or "", "outcome" if finding.where == "all" else "stages")
    stage = None if finding.stage is None else finding.stage - 1
    return Note(finding.level, about, finding.message, stage)
