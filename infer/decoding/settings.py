"""How answers are decoded and their percentage is obtained: the settings, without torch.

Built once, by the command line or the caller, and passed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from dataset.checked_numbers import check_number, check_whole

DEFAULT_MAX_NEW_TOKENS = 256

Readout = Literal["text", "expected"]


@dataclass(frozen=True)
class Decoding:
    """Settings of decoding.

    Args:
        max_new_tokens: Budget of one answer; a longer one is cut off there.
        temperature: 0 is greedy and repeatable; above it, answers are sampled.
        readout: "text" takes the number in the answer's text; "expected" the probability-weighted mean over all numbers
            that the model might have put there.
        drafting: Use neighbouring answers as answer drafts (`infer.decoding.greedy`): the same answers in less time.
        seed: Seed of sampled answers.
        batch_size: Windows decoded together; halved when memory runs out.

    Raises:
        ValueError: A value is out of its range, or two contradict each other.
    """

    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS
    temperature: float = 0.0
    readout: Readout = "text"
    drafting: bool = True
    seed: int = 0
    batch_size: int = 32

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "seed", "batch_size"):
            check_whole(name, getattr(self, name))
        check_number("temperature", self.temperature)
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}; an answer needs at least 1 token, about 60")
        if not self.temperature >= 0:
            raise ValueError(f"temperature is {self.temperature}; it must be 0 (greedy) or above")
        if self.readout not in ("text", "expected"):
            raise ValueError(f'readout is "{self.readout}"; use "text" or "expected"')
        if self.temperature > 0 and self.readout == "expected":
            raise ValueError(
                f'readout "expected" averages over the model\'s own distribution and needs greedy answers; set the '
                f"temperature to 0 instead of {self.temperature}"
            )
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it must be at least 1")

    def of_answers(self) -> dict[str, Any]:
        """Return the settings that answers depend on, by name; drafting and batch size do not change them."""
        settings = {"max_new_tokens": self.max_new_tokens, "temperature": self.temperature, "readout": self.readout}
        return settings | ({"seed": self.seed} if self.temperature > 0 else {})
