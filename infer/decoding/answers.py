"""Answers for a batch of windows: text, percentage, and how the percentage was read.

Knows questions, features and the wording of an answer; does not know videos or frame numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from transformers import GenerationConfig

from dataset.prompts import PROGRESS_OPENING, parse_answer
from infer.decoding.cached_batch import Continuation
from infer.decoding.digits import DigitTokens, Reading, read_digits
from infer.decoding.greedy import greedy_answers
from infer.model.model import ProgressModel
from infer.model.window_inputs import FrameFeatures
from infer.records import DEFAULT_MAX_NEW_TOKENS, ProgressSource

Readout = Literal["text", "expected"]
_TAG = "<progress>"
_digit_tokens = lru_cache(maxsize=4)(DigitTokens)  # it looks at the whole vocabulary


@dataclass(frozen=True)
class Decoding:
    """How answers are decoded and their percentage is read.

    Args:
        max_new_tokens: Budget of one answer; a longer one is cut off there.
        temperature: 0 is greedy and repeatable; above it, answers are sampled.
        readout: "text" takes the number that the answer says; "expected" the probability-weighted mean over all numbers
            that the model might have put there.
        drafting: Draft answers from known ones (`infer.decoding.greedy`): the same answers in less time.
        seed: Seed of sampled answers.
    """

    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS
    temperature: float = 0.0
    readout: Readout = "text"
    drafting: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
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


@dataclass(frozen=True)
class WindowAnswer:
    """The answer to one window.

    Args:
        text: The raw answer.
        parsed: The percentage that the text says; None where it says none.
        reasoning: The answer without its progress sentence.
        progress: Percent as the read-out gives it; None where the answer ended without a percentage.
        std: Standard deviation of `progress`, points; None where it is not a mean.
        source: Where `progress` comes from; "forced": the answer ran past its budget, so the model was made to fill in
            the tag.
        tokens: The answer's tokens, a draft for its neighbours; empty where none is known.
    """

    text: str
    parsed: float | None
    reasoning: str
    progress: float | None
    std: float | None
    source: ProgressSource | None
    tokens: tuple[int, ...] = ()


def decode_windows(
    model: ProgressModel,
    windows: Sequence[Sequence[FrameFeatures]],
    prompts: Sequence[str],
    decoding: Decoding,
    references: Sequence[Sequence[Sequence[int]]] | None = None,
) -> list[WindowAnswer]:
    """Return one answer per window.

    Args:
        model: Base or adapted model.
        windows: Per window the features of its frames, oldest first.
        prompts: Per window the question.
        decoding: How to decode and read.
        references: Per window known answers to draft from, as tokens, the likeliest first.

    Raises:
        ModelError: The model's output is not a number, or the tokenizer does not spell numbers digit by digit where a
            read-out needs that.
    """
    if decoding.temperature > 0:
        return [written_answer(text) for text in _sample(model, windows, prompts, decoding)]
    greedy = greedy_answers(model, windows, prompts, decoding.max_new_tokens, references if decoding.drafting else None)
    answers = [written_answer(_text(model, answer.tokens), tuple(answer.tokens)) for answer in greedy]
    forced = [n for n, answer in enumerate(greedy) if not answer.ended and answers[n].parsed is None]
    _read(model, windows, prompts, answers, forced, "forced", decoding)
    if decoding.readout == "expected":
        rest = [n for n, answer in enumerate(answers) if answer.parsed is not None]
        _read(model, windows, prompts, answers, rest, "expected", decoding)
    return answers


def written_answer(text: str, tokens: tuple[int, ...] = ()) -> WindowAnswer:
    """Return an answer as its text says it."""
    answer = parse_answer(text)
    source: ProgressSource | None = None if answer.progress is None else "model"
    return WindowAnswer(text, answer.progress, answer.reasoning, answer.progress, None, source, tokens)


def _text(model: ProgressModel, tokens: Sequence[int]) -> str:
    return model.tokenizer.decode(list(tokens), skip_special_tokens=True)


def _read(
    model: ProgressModel,
    windows: Sequence[Sequence[FrameFeatures]],
    prompts: Sequence[str],
    answers: list[WindowAnswer],
    numbers: Sequence[int],
    source: ProgressSource,
    decoding: Decoding,
) -> None:
    """Read the percentage of some of `answers` from the model's probabilities and put it in."""
    if not numbers:
        return
    openings = [_opening(model, answers[number].tokens) for number in numbers]
    best_only = decoding.readout == "text"
    with _tree_attention(model):
        batch = Continuation(model, [windows[n] for n in numbers], [prompts[n] for n in numbers])
        readings: list[Reading] = read_digits(batch, openings, _digit_tokens(model.tokenizer), best_only)
    for number, reading in zip(numbers, readings, strict=True):
        old = answers[number]
        std = None if best_only else round(reading.std, 4)
        answers[number] = WindowAnswer(
            old.text, old.parsed, old.reasoning, round(reading.mean, 4), std, source, old.tokens
        )


def _opening(model: ProgressModel, tokens: Sequence[int]) -> list[int]:
    """Return the tokens of an answer up to and including its last tag; without one, the tag's sentence is added."""
    text = _text(model, tokens).lower()
    place = text.rfind(_TAG)
    still_open = "</" not in text[place + len(_TAG) :]
    if place >= 0 and (still_open or parse_answer(text).progress is not None):
        low, high = 1, len(tokens)  # the shortest beginning that holds the whole tag
        while low < high:
            middle = (low + high) // 2
            if len(_text(model, tokens[:middle])) >= place + len(_TAG):
                high = middle
            else:
                low = middle + 1
        if len(_text(model, tokens[:low])) == place + len(_TAG):
            return list(tokens[:low])
    kept = [token for token in tokens if token != model.end_token_id]
    return kept + model.tokenizer("\n" + PROGRESS_OPENING, add_special_tokens=False)["input_ids"]


@contextmanager
def _tree_attention(model: ProgressModel):
    """Use attention that takes any mask inside the block; FlashAttention knows causal ones only."""
    chosen = model.base.config._attn_implementation
    if not chosen.startswith("flash"):
        yield
        return
    model.base.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        model.base.set_attn_implementation(chosen)


@torch.no_grad()
def _sample(
    model: ProgressModel, windows: Sequence[Sequence[FrameFeatures]], prompts: Sequence[str], decoding: Decoding
) -> list[str]:
    inputs = model.inputs.build(windows, prompts)
    sampling = (
        {"do_sample": True, "temperature": decoding.temperature} if decoding.temperature > 0 else {"do_sample": False}
    )
    with torch.random.fork_rng(enabled=decoding.temperature > 0):
        torch.manual_seed(decoding.seed)
        output = model.model.generate(
            **inputs,
            generation_config=GenerationConfig(
                max_new_tokens=decoding.max_new_tokens,
                eos_token_id=model.end_token_id,
                pad_token_id=model.tokenizer.pad_token_id,
                **sampling,
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
    """Return one raw answer per window by transformers' own `generate`: slow and plain, the measure of all else."""
    return _sample(model, windows, [prompt] * len(windows), Decoding(max_new_tokens, temperature))
