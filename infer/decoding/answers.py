"""Answers for a batch of windows, and their percentages from text or probabilities.

Knows questions, features and the wording of an answer; does not know videos or frame numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from transformers import GenerationConfig, LogitsProcessorList

from dataset.prompts import end_of_open_tag, with_opening
from infer.decoding.cached_batch import CachedBatch
from infer.decoding.digits import DigitTokens, read_digits
from infer.decoding.greedy import greedy_answers
from infer.decoding.seeded_draws import SeededDraws
from infer.decoding.settings import DEFAULT_MAX_NEW_TOKENS, Decoding
from infer.decoding.window_answer import ProgressSource, WindowAnswer, written_answer
from infer.model.model import ProgressModel
from infer.model.transformers_internals import any_mask_attention
from infer.model.window_inputs import FrameFeatures

_digit_tokens = lru_cache(maxsize=4)(DigitTokens)  # it goes through the whole vocabulary


def decode_windows(
    model: ProgressModel,
    windows: Sequence[Sequence[FrameFeatures]],
    prompts: Sequence[str],
    decoding: Decoding,
    known_answers: Sequence[Sequence[Sequence[int]]] | None = None,
    streams: Sequence[int] | None = None,
) -> list[WindowAnswer]:
    """Return one answer per window.

    Args:
        model: Base or adapted model.
        windows: Per window the features of its frames, oldest first.
        prompts: Per window the question.
        decoding: The settings; `batch_size` is up to the caller.
        known_answers: Per window the answers that an answer draft is made from, as tokens, the likeliest first.
        streams: Per window the number, 0 or more, of its stream of random numbers: with the seed it decides a sampled
            answer, whatever else is in the batch. By default the place in the batch.

    Raises:
        ModelError: The model's output is not a number, or the tokenizer does not spell numbers digit by digit where the
            read-out needs that.
    """
    if decoding.temperature > 0:
        return [written_answer(text) for text in _generate(model, windows, prompts, decoding, streams)]
    known_answers = known_answers if decoding.drafting else None
    greedy = greedy_answers(model, windows, prompts, decoding.max_new_tokens, known_answers)
    answers = [written_answer(_text(model, answer.tokens), tuple(answer.tokens)) for answer in greedy]
    forced = [n for n, answer in enumerate(greedy) if not answer.ended and answers[n].parsed is None]
    best_only = decoding.readout == "text"
    sources: dict[ProgressSource, list[int]] = {"forced": forced}
    if not best_only:
        sources["expected"] = [n for n, answer in enumerate(answers) if answer.parsed is not None]
    for source, numbers in sources.items():
        questions = ([windows[n] for n in numbers], [prompts[n] for n in numbers])
        read = _read_percentages(model, *questions, [answers[n] for n in numbers], source, best_only)
        for number, answer in zip(numbers, read, strict=True):
            answers[number] = answer
    return answers


def _text(model: ProgressModel, tokens: Sequence[int]) -> str:
    return model.tokenizer.decode(list(tokens), skip_special_tokens=True)


def _read_percentages(
    model: ProgressModel,
    windows: Sequence[Sequence[FrameFeatures]],
    prompts: Sequence[str],
    answers: Sequence[WindowAnswer],
    source: ProgressSource,
    best_only: bool,
) -> list[WindowAnswer]:
    """Return the answers with percentages from the model's probabilities; see `read_digits` for `best_only`."""
    if not answers:
        return []
    openings = [_opening(model, answer.tokens) for answer in answers]
    with any_mask_attention(model.base):
        batch = CachedBatch(model, windows, prompts)
        estimates = read_digits(batch, openings, _digit_tokens(model.tokenizer), best_only)
    return [
        replace(
            answer,
            progress=round(estimate.mean, 4),
            std=None if best_only else round(estimate.std, 4),
            mass=None if best_only else round(estimate.mass, 4),
            source=source,
        )
        for answer, estimate in zip(answers, estimates, strict=True)
    ]


def _opening(model: ProgressModel, tokens: Sequence[int]) -> list[int]:
    """Return the tokens of an answer up to and including the tag before its number.

    Where the answer was cut off inside the progress sentence, or before it, the sentence is completed: its text and the
    text that it follows become tokens together, as the model would have written them.
    """
    kept = [token for token in tokens if token not in model.end_token_ids]
    text = _text(model, kept)
    end = end_of_open_tag(text)
    wanted = text[:end] if end is not None else with_opening(text)
    whole = _beginning(model, kept, wanted)
    if _text(model, whole) == wanted:
        return whole
    line = max(wanted.rfind("\n", 0, len(_text(model, whole))) + 1, 0)  # no token of a line reaches into the next one
    whole = _beginning(model, kept, wanted[:line])
    rest = wanted[len(_text(model, whole)) :]
    return whole + model.tokenizer(rest, add_special_tokens=False)["input_ids"]


def _beginning(model: ProgressModel, tokens: Sequence[int], text: str) -> list[int]:
    """Return the most tokens whose text is a beginning of `text`."""
    low, high = 0, len(tokens)
    while low < high:
        middle = (low + high + 1) // 2
        if text.startswith(_text(model, tokens[:middle])):
            low = middle
        else:
            high = middle - 1
    return list(tokens[:low])


@torch.no_grad()
def _generate(
    model: ProgressModel,
    windows: Sequence[Sequence[FrameFeatures]],
    prompts: Sequence[str],
    decoding: Decoding,
    streams: Sequence[int] | None = None,
) -> list[str]:
    inputs = model.inputs.build(windows, prompts)
    draws = LogitsProcessorList()
    if decoding.temperature > 0:
        draws.append(SeededDraws(decoding.seed, streams or range(len(windows)), decoding.temperature))
    output = model.model.generate(
        **inputs,
        logits_processor=draws,
        generation_config=GenerationConfig(
            max_new_tokens=decoding.max_new_tokens,
            eos_token_id=sorted(model.end_token_ids) or None,
            pad_token_id=model.tokenizer.pad_token_id,
            do_sample=False,
        ),
    )
    return model.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def answer_windows(
    model: ProgressModel,
    windows: Sequence[Sequence[FrameFeatures]],
    prompt: str,
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    temperature: float = 0.0,
) -> list[str]:
    """Return one raw answer per window by transformers' own `generate`: slow; the rest is tested against it."""
    return _generate(model, windows, [prompt] * len(windows), Decoding(max_new_tokens, temperature))
