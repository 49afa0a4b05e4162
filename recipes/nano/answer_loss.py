"""The loss over answers: which tokens of an answer only the pictures can tell, and what they weigh.

Knows tokens and logits; does not know episodes or training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from infer.model.model import ProgressModel


@dataclass(frozen=True)
class AnswerLoss:
    """The loss of one batch.

    Args:
        weighted: What to minimise.
        mean: Plain mean over all answer tokens, nats.
        digits: Mean over the digits of the percentages, nats.
        opening: Mean over the first token of each answer and the beginning of its first step, nats.
    """

    weighted: torch.Tensor
    mean: float
    digits: float
    opening: float


def answer_loss(model: ProgressModel, batch: dict, decisive_weight: float) -> AnswerLoss:
    """Return the loss of a batch that `WindowInputs.build` made with completions.

    Most tokens of an answer can be told from those before them; the digits, the first token and the beginning of the
    first remaining step can only be told from the pictures, so they count `decisive_weight` times. Logits are computed
    for the answers only.
    """
    labels = batch.pop("labels")
    hidden = model.model.model(**batch).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    answer = targets != -100
    logits = model.model.lm_head(hidden[answer])
    losses = torch.nn.functional.cross_entropy(logits, targets[answer], reduction="none")
    digits = (torch.isin(targets, digit_tokens(model)) & after_therefore(model, targets))[answer]
    opening = opens_answer_or_step(model, targets)[answer]
    weights = torch.where(digits | opening, decisive_weight, 1.0)
    weighted = (losses * weights).sum() / weights.sum()
    return AnswerLoss(weighted, losses.mean().item(), losses[digits].mean().item(), losses[opening].mean().item())


def opens_answer_or_step(model: ProgressModel, targets: torch.Tensor) -> torch.Tensor:
    """Mark the first token of each answer and the three tokens after "1."; bool, shape of `targets`."""
    first = (targets != -100).cumsum(1) == 1
    one = targets == model.tokenizer.convert_tokens_to_ids("1")
    since_one = (one.cumsum(1) > 0).cumsum(1)  # 1 at the first "1", 2 at its full stop, 3 where the step's text begins
    return first | ((since_one >= 3) & (since_one <= 5))


def after_therefore(model: ProgressModel, targets: torch.Tensor) -> torch.Tensor:
    """Mark the last sentence of each answer, which holds the percentage; bool, shape of `targets`."""
    (therefore,) = model.tokenizer("Therefore", add_special_tokens=False)["input_ids"]
    return (targets == therefore).cumsum(1) > 0


def digit_tokens(model: ProgressModel) -> torch.Tensor:
    """Return the token ids of the ten digits."""
    return torch.tensor(model.tokenizer.convert_tokens_to_ids(list("0123456789")))
