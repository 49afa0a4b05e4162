"""The inputs of the model: the features of a window's frames, and its texts as tokens.

Knows the chat template, image tokens and positions; does not know weights, videos or what an answer says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Qwen3VLForConditionalGeneration

from infer.model.errors import ModelError
from infer.model.transformers_internals import ENCODED_IMAGES, encoded_images, rope_positions

_IMAGE_TOKEN = "<|image_pad|>"
_CACHED_POSITIONS = 64  # shapes of windows whose positions are kept


@dataclass(frozen=True)
class FrameFeatures:
    """What the vision tower makes of one frame.

    Args:
        embedding: Float tensor, shape (tokens, hidden).
        deepstack: One float tensor per DeepStack layer, shape (tokens, hidden) each.
        grid_thw: Patches in time, height and width; tokens = t * h * w / merge^2.
    """

    embedding: torch.Tensor
    deepstack: tuple[torch.Tensor, ...]
    grid_thw: tuple[int, int, int]

    def copy(self) -> FrameFeatures:
        """Return features with memory of their own."""
        return FrameFeatures(self.embedding.clone(), tuple(layer.clone() for layer in self.deepstack), self.grid_thw)

    def to(self, device: torch.device | str) -> FrameFeatures:
        """Return the features on a device."""
        return FrameFeatures(
            self.embedding.to(device), tuple(layer.to(device) for layer in self.deepstack), self.grid_thw
        )


class WindowInputs:
    """Builds the inputs of one base model, with encoded frames in place of pixels (`ENCODED_IMAGES`).

    Attributes:
        image_token_id: The token that stands for one visual token of an image.
    """

    def __init__(self, base: Qwen3VLForConditionalGeneration, tokenizer: Any, base_name: str) -> None:
        if tokenizer.pad_token_id is None:
            raise ModelError(f"the tokenizer of {base_name} has no padding token; it is not a Qwen3-VL tokenizer")
        self._base, self._tokenizer, self._base_name = base, tokenizer, base_name
        self.image_token_id = tokenizer.convert_tokens_to_ids(_IMAGE_TOKEN)
        self._end_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
        self._prompt_ids: dict[tuple[str, int], list[int]] = {}
        self._positions: dict[tuple[Any, ...], torch.Tensor] = {}

    def build(
        self,
        windows: Sequence[Sequence[FrameFeatures]],
        prompts: Sequence[str],
        completions: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Return the model's keyword arguments for windows and texts, padded on the left.

        Args:
            windows: Per sample the features of its frames, oldest first.
            prompts: Per sample the question.
            completions: Per sample the answer to train on; None for inference.

        Returns:
            `input_ids`, `attention_mask`, `mm_token_type_ids` (batch, length), `image_grid_thw` (images, 3),
            `ENCODED_IMAGES`, and with completions `labels` (batch, length): -100 everywhere but the answer.
        """
        rows, answer_lengths = [], []
        for number, (window, prompt) in enumerate(zip(windows, prompts, strict=True)):
            row = self._expand_images(self._tokenize_prompt(prompt, len(window)), window)
            answer = [] if completions is None else self._tokenize_completion(completions[number])
            rows.append(row + answer)
            answer_lengths.append(len(answer))
        length = max(len(row) for row in rows)
        limit = self._base.config.text_config.max_position_embeddings
        if length > limit:
            raise ModelError(
                f"question and answer take {length} tokens, but {self._base_name} reads at most {limit}; shorten the "
                "task text, use fewer frames in a window or lower the pixel budget"
            )
        input_ids = torch.full((len(rows), length), self._tokenizer.pad_token_id, dtype=torch.long)
        attention_mask = torch.zeros_like(input_ids)
        labels = torch.full_like(input_ids, -100)
        for index, (row, answer_length) in enumerate(zip(rows, answer_lengths, strict=True)):
            input_ids[index, length - len(row) :] = torch.tensor(row)
            attention_mask[index, length - len(row) :] = 1
            if answer_length:
                labels[index, length - answer_length :] = input_ids[index, length - answer_length :]
        images = [frame for window in windows for frame in window]
        inputs = {
            "input_ids": input_ids.to(self._base.device),
            "attention_mask": attention_mask.to(self._base.device),
            "mm_token_type_ids": (input_ids == self.image_token_id).long().to(self._base.device),
            "image_grid_thw": torch.tensor([frame.grid_thw for frame in images], device=self._base.device),
            ENCODED_IMAGES: encoded_images([f.embedding for f in images], [f.deepstack for f in images]),
        }
        if completions is not None:
            inputs["labels"] = labels.to(self._base.device)
        return inputs

    def sample_length(self, prompt: str, completion: str, image_tokens: Sequence[int]) -> int:
        """Return the tokens of one training sample: prompt, answer and, per image of its window, its visual tokens."""
        text = len(self._tokenize_prompt(prompt, len(image_tokens))) - len(image_tokens)
        return text + sum(image_tokens) + len(self._tokenize_completion(completion))

    def positions(self, window: Sequence[FrameFeatures], prompt: str) -> torch.Tensor:
        """Return the M-RoPE positions of one window and its question, int64, shape (3, length).

        They depend on the shapes of the images and on the text only, so that a video needs them once.
        """
        key = (prompt, tuple(frame.grid_thw for frame in window))
        if key not in self._positions:
            if len(self._positions) >= _CACHED_POSITIONS:
                self._positions.clear()
            row = torch.tensor([self._expand_images(self._tokenize_prompt(prompt, len(window)), window)])
            grids = torch.tensor([frame.grid_thw for frame in window])
            positions = rope_positions(self._base, row, (row == self.image_token_id).long(), grids)
            self._positions[key] = positions[:, 0].to(self._base.device)
        return self._positions[key]

    def _tokenize_prompt(self, prompt: str, num_images: int) -> list[int]:
        """Render one user turn (images, then text) and open the assistant's; one image token per image."""
        key = (prompt, num_images)
        if key not in self._prompt_ids:
            for token in self._tokenizer.all_special_tokens:
                if token in prompt:
                    raise ModelError(f'the task text holds "{token}", a control token of the model; reword the task')
            content = [*({"type": "image"} for _ in range(num_images)), {"type": "text", "text": prompt}]
            text = self._tokenizer.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
            ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            if ids.count(self.image_token_id) != num_images:
                raise ModelError(f"the chat template of {self._base_name} does not place images; use a Qwen3-VL model")
            self._prompt_ids[key] = ids
        return self._prompt_ids[key]

    def _expand_images(self, prompt_ids: list[int], window: Sequence[FrameFeatures]) -> list[int]:
        """Repeat each image token once per visual token of its frame."""
        counts = iter([len(frame.embedding) for frame in window])
        return [
            token
            for prompt_token in prompt_ids
            for token in ([prompt_token] * next(counts) if prompt_token == self.image_token_id else [prompt_token])
        ]

    def _tokenize_completion(self, completion: str) -> list[int]:
        return [*self._tokenizer(completion, add_special_tokens=False)["input_ids"], self._end_token_id]
