"""The plain way to read progress from a video, as a measure: nothing is shared between windows.

Every window is put through the processor on its own (resize, normalise, chat template, tokenise), every image in it is
encoded again by the vision tower, and transformers' `generate` decodes the batch. Kept for comparison only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import GenerationConfig

from infer.model.model import ProgressModel


@torch.no_grad()
def naive_answers(
    model: ProgressModel, windows: Sequence[Sequence[np.ndarray]], prompt: str, max_new_tokens: int
) -> list[str]:
    """Answer one batch of windows.

    Args:
        model: Supplies network, tokenizer and image processor; none of its own methods are used.
        windows: Per window its RGB frames, oldest first.
        prompt: The question.
        max_new_tokens: Budget of one answer.
    """
    rows = [process(model, window, prompt) for window in windows]
    length = max(len(row["input_ids"]) for row in rows)
    ids = torch.full((len(rows), length), model.tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, length - len(row["input_ids"]) :] = torch.tensor(row["input_ids"])
        mask[number, length - len(row["input_ids"]) :] = 1
    output = model.model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        mm_token_type_ids=(ids == model.inputs.image_token_id).long().to(model.device),
        pixel_values=torch.cat([row["pixel_values"] for row in rows]).to(model.device),
        image_grid_thw=torch.cat([row["image_grid_thw"] for row in rows]).to(model.device),
        generation_config=GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=sorted(model.end_token_ids) or None,
            pad_token_id=model.tokenizer.pad_token_id,
        ),
    )
    return model.tokenizer.batch_decode(output[:, length:], skip_special_tokens=True)


def process(model: ProgressModel, frames: Sequence[np.ndarray], prompt: str) -> dict:
    """Do for one window what a Qwen3-VL processor does."""
    images = model.image_processor(images=list(frames), return_tensors="pt")
    content = [*({"type": "image"} for _ in frames), {"type": "text", "text": prompt}]
    text = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    merge = model.image_processor.merge_size**2
    for grid in images["image_grid_thw"]:
        text = text.replace("<|image_pad|>", "<|placeholder|>" * int(grid.prod() // merge), 1)
    text = text.replace("<|placeholder|>", "<|image_pad|>")
    return {"input_ids": model.tokenizer(text, add_special_tokens=False)["input_ids"], **images}
