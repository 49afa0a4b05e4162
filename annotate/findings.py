"""Findings for the page: what is missing or wrong in a marking, each with the place on the page that it is about.

Knows markings and the dataset's check; does not know the page's elements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from annotate.marking import Marking
from dataset.annotation import annotation_problems
from dataset.check import check_demonstrations
from dataset.demonstration import Demonstration
from dataset.finding import Finding

About = Literal["task", "stages", "outcome", "video"]
_PLACES: dict[str, About] = {  # by the field that a finding is about; all others are shown with the stages
    "task": "task", "video": "video",
    "final_progress": "outcome", "measured_progress": "outcome", "success": "outcome", "reason": "outcome",
}  # fmt: skip


@dataclass(frozen=True)
class PageFinding:
    """One finding with its place on the page.

    Args:
        level: "missing": the annotation is not finished without it; "error" stops training; "warning" does not.
        about: The place on the page.
        stage: 0-based number of the stage it is about; None where it is about no single stage.
        message: What it is and how to correct it.
    """

    level: Literal["missing", "error", "warning"]
    about: About
    message: str
    stage: int | None = None


def find_missing(marking: Marking) -> list[PageFinding]:
    """Return what a person still has to fill in; empty when the annotation can be written."""
    findings = []
    if not marking.task.strip():
        findings.append(PageFinding("missing", "task", "write the task: the instruction that the robot follows"))
    if all(stage.excluded for stage in marking.stages):
        findings.append(PageFinding("missing", "stages", "mark at least one stage that is not left out"))
    if outcome := _missing_outcome(marking):
        findings.append(PageFinding("missing", "outcome", outcome))
    for problem in annotation_problems({"stages": marking.stages, "success": marking.success}):
        if match := re.match(r"stages\[(\d+)\]", problem.place):
            findings.append(PageFinding("missing", "stages", problem.message, int(match.group(1))))
    return findings


def outdated_annotation(file: Path) -> PageFinding:
    """Return the finding that an unfinished marking leaves an earlier annotation on disk."""
    message = (
        f"{file.name} still holds what was finished before, and training reads it; finish this marking to replace it"
    )
    return PageFinding("warning", "stages", f"{message}, or press Start over to take it away")


def check_demonstration(demonstration: Demonstration, alone: bool = False, **options: Any) -> list[PageFinding]:
    """Return what the dataset's check finds in one demonstration.

    Args:
        demonstration: What to check.
        alone: Leave out what only a whole set of demonstrations can have or lack.
        options: As of `dataset.check_demonstrations`.
    """
    findings = check_demonstrations([demonstration], **options)
    return [_on_page(finding) for finding in findings if not (alone and finding.where == "all")]


def _missing_outcome(marking: Marking) -> str | None:
    final = marking.final_progress
    if marking.success is None:
        return "choose Done or Not done"
    if marking.success:
        return None
    if final is None:
        return "enter how many percent of the task were reached, 0 to 99"
    if not 0.0 <= final < 100.0:
        return f"{final:g} % of the task were reached; a failure ends below 100 %: use 0 to 99"
    return None


def _on_page(finding: Finding) -> PageFinding:
    """Find the place on the page that shows the field a finding is about."""
    about = _PLACES.get(finding.field or "", "outcome" if finding.where == "all" else "stages")
    stage = None if finding.stage is None else finding.stage - 1
    return PageFinding(finding.level, about, finding.message, stage)
