"""The answer to one window: text, percentage and where the percentage comes from. Imports no torch.

Knows the wording of an answer; does not know models or frame numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dataset.prompts import parse_answer

ProgressSource = Literal["model", "expected", "forced", "previous"]


@dataclass(frozen=True)
class WindowAnswer:
    """The answer to one window.

    Args:
        text: The raw answer.
        parsed: The percentage in the text; None where there is none.
        reasoning: The answer without its progress sentence.
        progress: Percent as the read-out gives it; None where the answer ended without a percentage.
        std: Standard deviation of `progress`, points; None where it is not a mean.
        mass: Share of the probability that the mean follows to the last digit, 0 to 1; None where it is not a mean.
        source: Where `progress` comes from; "forced": the answer ran past its budget, so the model was made to fill in
            the tag.
        tokens: The answer's tokens, an answer draft for its neighbours; empty where the engine does not give them.
    """

    text: str
    parsed: float | None
    reasoning: str
    progress: float | None
    std: float | None
    source: ProgressSource | None
    tokens: tuple[int, ...] = ()
    mass: float | None = None


def written_answer(text: str, tokens: tuple[int, ...] = ()) -> WindowAnswer:
    """Return the answer whose percentage is the number in its text."""
    answer = parse_answer(text)
    source: ProgressSource | None = None if answer.progress is None else "model"
    return WindowAnswer(text, answer.progress, answer.reasoning, answer.progress, None, source, tokens)
