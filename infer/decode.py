"""Answers: greedy (or sampled) text for a batch of windows.

Knows token generation; does not know videos, windows' frame numbers or what an answer means.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import GenerationConfig

from infer.model import FrameFeatures, ProgressModel
from infer.records import DEFAULT_MAX_NEW_TOKENS


@torch.no_grad()
def answer_windows(
    model: ProgressModel,
    windows: Sequence[Sequence[FrameFeatures]],
    prompt: str,
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    temperature: float = 0.0,
) -> list[str]:
    """Return one raw answer per window.

    Args:
        model: Base or adapted model.
        windows: Per window the features of its frames, oldest first.
        prompt: The question, the same for all.
        max_new_tokens: Budget of one answer; a longer one is cut off there.
        temperature: 0 is greedy and repeatable; above it, answers are sampled.
    """
    inputs = model.build_inputs(windows, [prompt] * len(windows))
    sampling = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
    output = model.model.generate(
        **inputs,
        generation_config=GenerationConfig(
            max_new_tokens=max_new_tokens,
            eos_token_id=model.end_token_id,
            pad_token_id=model.tokenizer.pad_token_id,
            **sampling,
        ),
    )
    return model.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
