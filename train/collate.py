"""Model inputs from samples and prepared frames: the step between the data set and the model.

Knows samples, prepared frames and token counts; does not know the trainer, LoRA or files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from dataset.sample_file import VqaSample
from dataset.video import VideoReader
from infer.model.model import ProgressModel
from infer.model.transformers_internals import ENCODED_IMAGES
from infer.model.window_inputs import FrameFeatures
from train.features import FrameKey, PreparedFrame


def needed_frames(samples: Sequence[VqaSample]) -> dict[str, set[int]]:
    """Return per video the frames in the windows of the samples."""
    needed: dict[str, set[int]] = {}
    for sample in samples:
        needed.setdefault(sample.video, set()).update(sample.window_frame_indices)
    return needed


class WindowCollator:
    """Turns rows of the data set into model inputs, with the loss on the answer only.

    Args:
        model: Tokenizer, chat template and device.
        frames: Every frame of the windows: features, or pixels with `as_pixels`.
        as_pixels: Give the forward pass pixels, because the vision tower is trained.
    """

    def __init__(self, model: ProgressModel, frames: Mapping[FrameKey, PreparedFrame], as_pixels: bool = False) -> None:
        self.model, self.frames, self.as_pixels = model, frames, as_pixels

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the keyword arguments of the forward pass, `labels` included."""
        prompts, completions = [row["prompt"] for row in rows], [row["completion"] for row in rows]
        keys = [[(row["video"], index) for index in row["window_frame_indices"]] for row in rows]
        if self.as_pixels:
            return self._with_pixels([[self.frames[key] for key in window] for window in keys], prompts, completions)
        distinct = {key for window in keys for key in window}
        features = {key: self.frames[key].features(self.model.device) for key in distinct}
        return self.model.inputs.build([[features[key] for key in window] for window in keys], prompts, completions)

    def _with_pixels(
        self, windows: Sequence[Sequence[PreparedFrame]], prompts: Sequence[str], completions: Sequence[str]
    ) -> dict[str, Any]:
        merge = self.model.image_processor.merge_size**2
        counted = [  # the builder needs the number of visual tokens only; the forward pass computes them
            [FrameFeatures(torch.empty(len(frame.values[0]) // merge, 0), (), frame.grid_thw) for frame in window]
            for window in windows
        ]
        inputs = self.model.inputs.build(counted, prompts, completions)
        inputs.pop(ENCODED_IMAGES)
        pixels = torch.cat([frame.values[0] for window in windows for frame in window])
        return {**inputs, "pixel_values": pixels.to(self.model.device, non_blocking=True)}


def image_token_counts(model: ProgressModel, videos: Iterable[str]) -> dict[str, int]:
    """Return per video the visual tokens of one frame within the pixel budget."""
    merge = model.image_processor.merge_size**2
    return {
        video: math.prod(model.preprocess([VideoReader(video).frame(0)])["image_grid_thw"][0].tolist()) // merge
        for video in videos
    }


def token_counts(model: ProgressModel, samples: Sequence[VqaSample], image_tokens: Mapping[str, int]) -> list[int]:
    """Return the tokens of every sample.

    Args:
        model: Tokenizer and chat template.
        samples: The samples.
        image_tokens: Per video the visual tokens of one of its frames.
    """
    return [
        model.inputs.sample_length(s.prompt, s.completion, [image_tokens[s.video]] * len(s.window_frame_indices))
        for s in samples
    ]


def refuse_long_samples(model: ProgressModel, samples: Sequence[VqaSample], max_length: int | None) -> None:
    """Refuse samples that are too long; cutting one would cut image tokens.

    Args:
        model: Tokenizer, chat template, pixel budget.
        samples: The samples.
        max_length: Most tokens of a sample; None takes the limit of the base.

    Raises:
        ValueError: A sample is too long; the message names the longest and what to lower.
    """
    limit = max_length or model.base.config.text_config.max_position_embeddings
    origin = "sft.max_length" if max_length else "the limit of the base"
    image_tokens = image_token_counts(model, needed_frames(samples))
    counts = token_counts(model, samples, image_tokens)
    longest = max(range(len(samples)), key=lambda number: counts[number])
    if counts[longest] <= limit:
        return
    sample, too_long = samples[longest], sum(count > limit for count in counts)
    images, per_image = len(sample.window_frame_indices), image_tokens[sample.video]
    raise ValueError(
        f"{too_long} of {len(samples)} samples are longer than {origin} = {limit} tokens; the longest (frame "
        f"{sample.frame_index} of {sample.video}) has {counts[longest]}: {images} images x {per_image} tokens and "
        f"{counts[longest] - images * per_image} of text. Lower data.window.size or image.max_pixels, or raise {origin}"
    )
