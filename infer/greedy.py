"""Greedy answers for a batch of windows, token for token those of plain greedy decoding, with drafts to save steps.

A draft is a guess at the whole answer. It stands behind the question in the prefill, which tells what the model would
say after each of its tokens; the longest prefix that agrees is kept, the model's own next token is added, and the next
step goes on from there with what is left of the draft. So every token is the model's own choice, and an answer that is
nearly known takes a few steps instead of one per token.

Knows tokens and features; does not know videos, frame numbers or what an answer means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from infer.continuation import Continuation
from infer.draft import AnswerDraft
from infer.errors import ModelError
from infer.model import FrameFeatures, ProgressModel

LOGITS_AT_ONCE = 2**25  # numbers; a large vocabulary times many drafted tokens is worked off in parts


@dataclass
class GreedyAnswer:
    """One answer while and after it is decoded.

    Args:
        tokens: The model's tokens, end token included when it came.
        steps: Forward passes that this answer took part in, the prefill included.
        ended: Whether the end token came within the budget.
    """

    tokens: list[int] = field(default_factory=list)
    steps: int = 0
    ended: bool = False


@torch.no_grad()
def greedy_answers(
    model: ProgressModel,
    windows: Sequence[Sequence[FrameFeatures]],
    prompts: Sequence[str],
    max_new_tokens: int,
    references: Sequence[Sequence[Sequence[int]]] | None = None,
) -> list[GreedyAnswer]:
    """Decode one answer per window.

    Args:
        model: Base or adapted model.
        windows: Per answer the features of its frames, oldest first.
        prompts: Per answer the question.
        max_new_tokens: Budget of one answer, end token included.
        references: Per answer the known answers to draft from (`infer.draft.AnswerDraft`); None for plain decoding.

    Raises:
        ModelError: The model's output is not a number.
    """
    drafts = [AnswerDraft(known) for known in (references or [()] * len(windows))]
    answers = [GreedyAnswer() for _ in windows]
    batch = Continuation(model, windows, prompts)
    active = list(range(len(windows)))  # the answer that each row of the batch belongs to
    proposals = [draft.propose(())[: max_new_tokens - 1] for draft in drafts]
    hidden = batch.append(proposals)
    fed = 0  # tokens of a row's input before its proposal: none, then the one that was chosen last
    while True:
        counts, rows = [], []
        for row, chosen in enumerate(_choices(model, hidden)):
            answer, proposal = answers[active[row]], proposals[row]
            agreed = 0
            while agreed < len(proposal) and proposal[agreed] == chosen[agreed]:
                agreed += 1
            _extend(answer, chosen[: agreed + 1], model.end_token_id)
            counts.append(fed + agreed)
            if not answer.ended and len(answer.tokens) < max_new_tokens:
                rows.append(row)
        if not rows:
            return answers
        batch.keep(counts, rows)
        active = [active[row] for row in rows]
        proposals = []
        for number in active:
            tokens = answers[number].tokens
            proposals.append(drafts[number].propose(tokens)[: max_new_tokens - len(tokens) - 1])
        hidden = batch.append([
            [answers[number].tokens[-1], *proposal] for number, proposal in zip(active, proposals, strict=True)
        ])  # fmt: skip
        fed = 1


def _extend(answer: GreedyAnswer, new: list[int], end_token_id: int) -> None:
    answer.steps += 1
    if end_token_id in new:
        new = new[: new.index(end_token_id) + 1]
        answer.ended = True
    answer.tokens += new


def _choices(model: ProgressModel, hidden: Sequence[torch.Tensor]) -> list[list[int]]:
    """Return per row the likeliest next token at each of its hidden states."""
    flat = torch.cat(list(hidden))
    size = max(1, LOGITS_AT_ONCE // model.base.config.text_config.vocab_size)
    best, tokens = zip(*(model.base.lm_head(part).max(-1) for part in flat.split(size)), strict=True)
    if not torch.cat(best).isfinite().all():
        raise ModelError(not_a_number(model))
    chosen = iter(torch.cat(tokens).tolist())
    return [[next(chosen) for _ in range(len(states))] for states in hidden]


def not_a_number(model: ProgressModel) -> str:
    """Say what is known when logits are nan or infinite."""
    return (
        f"{model.base_name} answers with values that are no numbers (nan or infinite logits) in {model.base.dtype}; "
        "run it with --torch_dtype float32, and if that does not help the weights are damaged"
    )
