"""Notes: what is missing or doubtful in a draft, each with the place on the page that it is about.

Knows drafts and the dataset's check; does not know the page's elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from annotate.draft import Draft
from dataset.annotation import Annotation
from dataset.check import Finding, check_demonstrations
from dataset.samples import Demonstration

LONG_TAIL_SHARE, LONG_TAIL_SEC = 1 / 3, 2.0

About = Literal["task", "stages", "outcome", "video"]


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
    elif draft.success is False and draft.final_progress is None:
        notes.append(Note("missing", "outcome", "say how far it came: a cutoff from 0 to 0.99"))
    elif draft.success is False and not 0.0 <= draft.final_progress < 100.0:
        cutoff = draft.final_progress / 100.0
        notes.append(Note("missing", "outcome", f"the cutoff is {cutoff:g}; a failure ends below 1: use 0 to 0.99"))
    return notes


def check_notes(path: str, annotation: Annotation, video: str) -> list[Note]:
    """Return what the check says about one annotation, and a word about a long unlabelled end.

    Args:
        path: The annotation file.
        annotation: What it says.
        video: Path of the video, seen from the working directory.
    """
    demonstration = Demonstration(path, annotation, video)
    notes = [_place(finding, annotation) for finding in check_demonstrations([demonstration])]
    tail = annotation.num_frames - annotation.last_stage_end
    if annotation.success and tail > max(LONG_TAIL_SHARE * annotation.num_frames, LONG_TAIL_SEC * annotation.fps):
        notes.append(
            Note(
                "warning",
                "stages",
                f"the last stage ends at frame {annotation.last_stage_end - 1}; the {tail} frames after it "
                f"({tail / annotation.fps:.1f} s) are taught as finished: mark more stages if the robot works there",
            )
        )
    return notes


def _place(finding: Finding, annotation: Annotation) -> Note:
    """Find the place that a finding is about: the stage it quotes, else the end, else the list of stages."""
    for number, stage in enumerate(annotation.stages):
        if not stage.excluded and f'stage "{stage.subtask}"' in finding.message:
            return Note(finding.level, "stages", finding.message, number)
    about: About = "outcome" if "100 %" in finding.message or "failure" in finding.message else "stages"
    return Note(finding.level, about, finding.message)
