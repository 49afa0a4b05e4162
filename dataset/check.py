"""Checks: what is wrong with a set of demonstrations before GPU time is spent on it.

Knows annotations and samples; does not know models. Errors make training pointless or wrong, warnings tell what the
model will not learn, each with its remedy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dataset.progress import SUCCESS_THRESHOLD, label_curve
from dataset.samples import Demonstration

SHORT_STAGE_FRAMES = 3


@dataclass(frozen=True)
class Finding:
    """One thing a check found.

    Args:
        level: "error" stops, "warning" does not.
        where: The annotation file, or "all".
        message: What it is and how to mend it.
    """

    level: Literal["error", "warning"]
    where: str
    message: str


def check_demonstrations(demonstrations: Sequence[Demonstration]) -> list[Finding]:
    """Return what is wrong or missing in the demonstrations, taken one by one and together."""
    findings = [finding for demonstration in demonstrations for finding in _check_one(demonstration)]
    stage_lists: dict[str, dict[tuple[str, ...], str]] = {}
    for demonstration in demonstrations:
        texts = tuple(stage.subtask for stage in demonstration.annotation.kept_stages)
        known = stage_lists.setdefault(demonstration.annotation.task, {})
        if demonstration.annotation.success and known and texts not in known:
            findings.append(
                Finding(
                    "warning",
                    demonstration.path,
                    f"its stages differ from those of {next(iter(known.values()))} for the same task; use one wording",
                )
            )
        if demonstration.annotation.success:
            known.setdefault(texts, demonstration.path)
    if not any(demonstration.annotation.success for demonstration in demonstrations):
        findings.append(
            Finding("warning", "all", "no demonstration succeeds, so success is never taught; add a successful one")
        )
    return findings


def _check_one(demonstration: Demonstration) -> list[Finding]:
    annotation, findings = demonstration.annotation, []

    def warn(message: str) -> None:
        findings.append(Finding("warning", demonstration.path, message))

    kept = annotation.kept_stages
    curve = label_curve(annotation)
    if annotation.success and annotation.last_stage_end >= annotation.num_frames:
        warn(
            "no frame after the last stage shows the finished task, so 100 % is never taught; end the last stage "
            "where the task is done, or record a second more"
        )
    elif annotation.success and curve[-1] < SUCCESS_THRESHOLD:
        warn(
            f"a success whose labels end at {curve[-1]:.1f} %, below {SUCCESS_THRESHOLD:.0f} %; check measured_progress"
        )
    for stage in kept:
        if stage.end - stage.start < SHORT_STAGE_FRAMES:
            warn(
                f'stage "{stage.subtask}" has {stage.end - stage.start} frame(s); merge it with its neighbour or move '
                "its boundary"
            )
        if stage.subtask.strip().lower() == annotation.task.strip().lower():
            warn(f'stage "{stage.subtask}" is the whole task; split it into the steps that a person would name')
    for text, count in Counter(stage.subtask.strip().lower() for stage in kept).items():
        if count > 1:
            warn(f'{count} stages read "{text}"; they stay separate steps, but tell them apart if they differ')
    if len(kept) == 1:
        warn("there is one stage only; two or more give a far better curve")
    if not annotation.success and annotation.measured_progress is None and len(curve) > annotation.last_stage_end:
        tail = annotation.num_frames - annotation.last_stage_end
        warn(f"the {tail} frames after the last stage of this failure are taught as {curve[-1]:.1f} %; is that so?")
    return findings
