"""Samples and frame features to model inputs: what happens between the data set and the training step.

Knows samples and encoded frames; does not know the trainer, LoRA or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from dataset.samples import VqaSample
from dataset.video import VideoReader
from infer.model import FrameFeatures, ProgressModel

FrameKey = tuple[str, int]


def encode_sample_frames(model: ProgressModel, samples: Sequence[VqaSample]) -> dict[FrameKey, FrameFeatures]:
    """Encode every distinct frame that the samples show, once; keys are (video, frame index)."""
    needed: dict[str, set[int]] = {}
    for sample in samples:
        needed.setdefault(sample.video, set()).update(sample.window_frame_indices)
    features: dict[FrameKey, FrameFeatures] = {}
    with tqdm(total=sum(map(len, needed.values())), desc="encoding frames", unit="frame") as bar:
        for video, indices in needed.items():
            frames = VideoReader(video).iter_frames(indices)
            while chunk := [pair for _, pair in zip(range(16), frames, strict=False)]:
                encoded = model.encode_frames(np.stack([frame for _, frame in chunk]))
                features.update({(video, i): one for (i, _), one in zip(chunk, encoded, strict=True)})
                bar.update(len(chunk))
    return features


class WindowCollator:
    """Turns rows of the samples' data set into model inputs, with the loss on the answer only."""

    def __init__(self, model: ProgressModel, features: dict[FrameKey, FrameFeatures]) -> None:
        self.model, self.features = model, features

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the keyword arguments of the model's forward pass, `labels` included."""
        windows = [[self.features[row["video"], index] for index in row["window_frame_indices"]] for row in rows]
        return self.model.build_inputs(windows, [r["prompt"] for r in rows], [r["completion"] for r in rows])
