"""Findings: what a check says, where, and how serious it is.

Knows nothing of what is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Args:
        level: "error" stops, "warning" does not.
        where: The annotation file, or "all".
        message: What is wrong and how to correct it.
        stage: Number of the stage, counted from 1 over all stages; None if it does not concern a single stage.
        field: The field: "subtask", "end", "task", "video", ...; None if it does not concern a single field.
    """

    level: Literal["error", "warning"]
    where: str
    message: str
    stage: int | None = None
    field: str | None = None

    @property
    def place(self) -> str:
        """Stage and field in words, such as "stage 2, end"; empty if it concerns the whole file."""
        return ", ".join(word for word in (f"stage {self.stage}" if self.stage else "", self.field or "") if word)
