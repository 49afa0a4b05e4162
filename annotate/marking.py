"""The marking: an annotation that may be unfinished, and its JSON form for the page and for its file.

Knows the fields that a person fills in; `dataset.annotation` defines what a finished annotation must be. Does not know
files.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from dataset.annotation import Annotation, Stage


@dataclass(frozen=True)
class Marking:
    """The state of one episode on the page.

    Args:
        task: The instruction the robot follows; may still be blank.
        stages: See `dataset.Stage`.
        success: Done (true), Not done (false), or None before somebody chose.
        reason: Why the task is done; optional.
        final_progress: Percent that a failure reached; None before somebody entered it.
    """

    task: str
    stages: tuple[Stage, ...] = ()
    success: bool | None = None
    reason: str = ""
    final_progress: float | None = None

    @classmethod
    def from_annotation(cls, annotation: Annotation) -> Marking:
        """Return the fields of a finished annotation that a person fills in."""
        return cls(
            task=annotation.task,
            stages=annotation.stages,
            success=annotation.success,
            reason=annotation.reason or "",
            final_progress=None if annotation.success else annotation.final_progress,
        )

    @classmethod
    def from_document(cls, document: Any) -> Marking:
        """Read the JSON form.

        Raises:
            ValueError: A key is missing, a value has the wrong type, or a stage is empty.
        """
        try:
            success, final = document["success"], document["final_progress"]
            if success not in (True, False, None):
                raise ValueError(f"success is {success!r}; use true, false or null")
            return cls(
                task=_text(document["task"]).strip(),
                stages=stages_from_rows(document["stages"]),
                success=success,
                reason=_text(document["reason"]).strip(),
                final_progress=None if final is None or success else float(final),
            )
        except KeyError as error:
            raise ValueError(f"the key {error} is missing") from None
        except TypeError as error:
            raise ValueError(f"a value has the wrong type ({error})") from None

    @property
    def kept_stages(self) -> tuple[Stage, ...]:
        """The stages that are not excluded, in order."""
        return tuple(stage for stage in self.stages if not stage.excluded)

    def as_if_finished(self) -> Marking:
        """Fill in what a person has not entered yet, to draw the progress curve; never to be saved."""
        success = self.success is not False or self.final_progress is None or not 0 <= self.final_progress < 100
        return replace(self, task=self.task or "?", success=success)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form; stages as rows."""
        return asdict(self) | {"stages": stages_to_rows(self.stages)}

    def to_annotation(self, **video: Any) -> Annotation:
        """Return the finished annotation.

        Args:
            video: The fields of `dataset.Annotation` that describe the video.

        Raises:
            ValueError: Something is missing or wrong; the message names it and how to correct it.
        """
        final = self.final_progress if self.success is False else 100.0
        problems = []
        if self.success is None:
            problems.append("choose Done or Not done")
        if final is None:
            problems.append("enter how many percent of the task were reached")
        try:
            annotation = Annotation(
                task=self.task.strip(),
                stages=self.stages,
                success=self.success is not False,
                reason=self.reason.strip() or None,
                final_progress=0.0 if final is None else final,
                **video,
            )
        except ValueError as error:
            problems.insert(0, str(error))
        if problems:
            raise ValueError("; ".join(problems))
        return annotation


def stages_to_rows(stages: tuple[Stage, ...]) -> list[dict[str, Any]]:
    """Return stages as JSON rows."""
    return [asdict(stage) for stage in stages]


def stages_from_rows(rows: Any) -> tuple[Stage, ...]:
    """Read JSON rows; a `ValueError` names a row that is no stage."""
    stages = []
    for number, row in enumerate(rows, start=1):
        for key in ("start", "end"):
            if type(row[key]) is not int:
                raise ValueError(f"stage {number}: {key} is {row[key]!r}; it must be a whole number of frames")
        falls_back_to = row.get("falls_back_to")
        if falls_back_to is not None and type(falls_back_to) is not int:
            raise ValueError(f"stage {number}: falls_back_to is {falls_back_to!r}; it must be the number of a stage")
        frames = row["start"], row["end"]
        extra = dict(row.get("extra") or {})
        excluded, weight = row["excluded"] is True, row.get("weight")
        stages.append(Stage(_text(row["subtask"]), *frames, excluded, falls_back_to, weight, extra))
    return tuple(stages)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a text is {value!r}; it must be a string")
    return value
