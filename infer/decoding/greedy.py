"""Greedy answers for a batch of windows: token for token those of plain greedy decoding, in fewer steps.

An answer draft (`infer.decoding.answer_draft`) is appended to the question in the prefill, which gives the model's own
choice after each of its tokens. The longest prefix that agrees is kept, the model's next token is added, and the next
step continues from there with the rest of the draft. So every token is the model's own choice, and an answer that is
close to its draft takes a few steps instead of one per token. Source: speculative decoding, Leviathan et al. 2023, with
known answers in place of a small model.

Knows tokens and features; does not know videos, frame numbers or what an answer means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

import torch

from infer.decoding.answer_draft import AnswerDraft
from infer.decoding.cached_batch import CachedBatch
from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.model.window_inputs import FrameFeatures

LOGITS_AT_ONCE = 2**25  # numbers; a large vocabulary times many draft tokens is computed in parts
CPU_PREFILL_TOKENS = 600  # image tokens of one prefill on a CPU


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
    known_answers: Sequence[Sequence[Sequence[int]]] | None = None,
) -> list[GreedyAnswer]:
    """Decode one answer per window.

    Args:
        model: Base or adapted model.
        windows: Per answer the features of its frames, oldest first.
        prompts: Per answer the question.
        max_new_tokens: Budget of one answer, end token included.
        known_answers: Per answer those that its draft is made from, as tokens; None decodes without drafts.

    Raises:
        ModelError: The model's output is not a number.
    """
    drafts = [AnswerDraft(known) for known in (known_answers or [()] * len(windows))]
    answers = [GreedyAnswer() for _ in windows]
    left: list[int] = []  # the answers that need more steps: one per row of the batch
    parts: list[CachedBatch] = []
    for numbers in _prefill_parts(windows):
        part = CachedBatch(model, [windows[n] for n in numbers], [prompts[n] for n in numbers])
        proposals = [_without_frames(model, drafts[n].propose(()))[: max_new_tokens - 1] for n in numbers]
        states = part.append(proposals)
        rows = _settle(part, [answers[n] for n in numbers], proposals, states, 0, max_new_tokens)
        if rows:
            parts.append(part)
            left += [numbers[row] for row in rows]
    if not left:
        return answers
    batch = CachedBatch.merge(parts)
    while left:
        proposals = []
        for n in left:
            tokens = answers[n].tokens
            proposals.append(drafts[n].propose(tokens)[: max_new_tokens - len(tokens) - 1])
        states = batch.append([[answers[n].tokens[-1], *rest] for n, rest in zip(left, proposals, strict=True)])
        left = [left[row] for row in _settle(batch, [answers[n] for n in left], proposals, states, 1, max_new_tokens)]
    return answers


def _without_frames(model: ProgressModel, draft: list[int]) -> list[int]:
    """Cut a draft before an image token: in the prefill it would stand for a frame that has no features."""
    return draft[: draft.index(model.inputs.image_token_id)] if model.inputs.image_token_id in draft else draft


def _prefill_parts(windows: Sequence[Sequence[FrameFeatures]]) -> Iterator[list[int]]:
    """Yield window numbers in groups whose image tokens fit a processor's cache; larger prefills are slower there."""
    group: list[int] = []
    tokens = 0
    for number, window in enumerate(windows):
        size = sum(len(frame.embedding) for frame in window)
        on_cpu = window[0].embedding.device.type == "cpu"
        if group and on_cpu and tokens + size > CPU_PREFILL_TOKENS:
            yield group
            group, tokens = [], 0
        group.append(number)
        tokens += size
    yield group


def _settle(
    batch: CachedBatch,
    answers: Sequence[GreedyAnswer],
    proposals: Sequence[Sequence[int]],
    states: Sequence[torch.Tensor],
    fed: int,
    max_new_tokens: int,
) -> list[int]:
    """Extend each row's answer by what the model agrees with and its own next token; return the rows that go on.

    Args:
        batch: The rows; it keeps those that go on.
        answers: Per row the answer.
        proposals: Per row the draft tokens that were appended.
        states: Per row the hidden states before and at each of them.
        fed: Tokens of the answer itself that were appended in front of the draft: 0 in the prefill, then 1.
        max_new_tokens: Budget of one answer.
    """
    counts, rows = [], []
    for row, chosen in enumerate(_choices(batch.model, states)):
        answer, proposal = answers[row], proposals[row]
        agreed = 0
        while agreed < len(proposal) and proposal[agreed] == chosen[agreed]:
            agreed += 1
        _extend(answer, chosen[: agreed + 1], batch.model.end_token_ids)
        counts.append(fed + agreed)
        if not answer.ended and len(answer.tokens) < max_new_tokens:
            rows.append(row)
    if rows:
        batch.keep(counts, rows)
    return rows


def _extend(answer: GreedyAnswer, new: list[int], end_token_ids: Set[int]) -> None:
    answer.steps += 1
    end = next((place for place, token in enumerate(new) if token in end_token_ids), None)
    if end is not None:
        new = new[: end + 1]
        answer.ended = True
    answer.tokens += new


def _choices(model: ProgressModel, hidden: Sequence[torch.Tensor]) -> list[list[int]]:
    """Return per row the likeliest next token at each of its hidden states."""
    flat = torch.cat(list(hidden))
    parts = flat.split(logits_at_once(model))
    best, tokens = zip(*(model.base.lm_head(part).max(-1) for part in parts), strict=True)
    if not torch.cat(best).isfinite().all():
        raise ModelError(not_a_number(model))
    chosen = iter(torch.cat(tokens).tolist())
    return [[next(chosen) for _ in range(len(states))] for states in hidden]


def logits_at_once(model: ProgressModel) -> int:
    """Return for how many tokens logits may be in memory together."""
    return max(1, LOGITS_AT_ONCE // model.base.config.text_config.vocab_size)


def not_a_number(model: ProgressModel) -> str:
    """Return the error message for logits that are nan or infinite."""
    return (
        f"{model.base_name} answers with values that are no numbers (nan or infinite logits) in {model.base.dtype}; "
        "run it with --torch_dtype float32, and if that does not help the weights are damaged"
    )
