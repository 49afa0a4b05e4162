"""A probe that reads single frames' features: a help for the vision tower while it learns to see, thrown away after.

Through the language model only the answers of a step teach the tower, and it stays blind for a long time; here every
frame of the step does. Knows features and what is true of their frames; does not know episodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from nano_batches import FrameTruth

from infer.model import ProgressModel
from infer.success import auroc

PROGRESS_BINS = 21
Frame = tuple[torch.Tensor, FrameTruth]  # features, shape (tokens, hidden), and what is true of the frame


class FrameProbe(torch.nn.Module):
    """Reads progress and "is the object in the gripper" from the tokens of a frame and the mean embedding of its task."""

    def __init__(self, model: ProgressModel, tokens: int) -> None:
        super().__init__()
        hidden = model.model.config.text_config.hidden_size
        self.embedding = model.model.get_input_embeddings().weight
        self.read_frame = torch.nn.Linear(tokens * hidden, 256)
        self.read_task = torch.nn.Linear(hidden, 256)
        self.progress = torch.nn.Linear(256, PROGRESS_BINS)
        self.held = torch.nn.Linear(256, 1)

    def parameters(self, recurse: bool = True):
        """Yield the probe's own parameters, without the model's embedding."""
        return (p for name, p in self.named_parameters(recurse=recurse) if name != "embedding")

    def forward(self, frames: Sequence[Frame]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits of the progress bins, shape (frames, bins), and of "held", shape (frames,)."""
        features = torch.stack([embedding.flatten() for embedding, _ in frames])
        tasks = torch.stack([self.embedding[truth.task_tokens].mean(0) for _, truth in frames]).detach()
        hidden = torch.nn.functional.gelu(self.read_frame(features) + self.read_task(tasks))
        return self.progress(hidden), self.held(hidden)[:, 0]

    def loss(self, frames: Sequence[Frame]) -> torch.Tensor:
        """Return the cross-entropy over progress bins plus that of "held" where it is known."""
        progress, held = self(frames)
        bins = torch.tensor([round(truth.progress / 100.0 * (PROGRESS_BINS - 1)) for _, truth in frames])
        known = torch.tensor([truth.held for _, truth in frames])
        there = ~known.isnan()
        loss = torch.nn.functional.cross_entropy(progress, bins)
        if there.any():
            loss = loss + torch.nn.functional.binary_cross_entropy_with_logits(held[there], known[there])
        return loss

    @torch.no_grad()
    def judge(self, frames: Sequence[Frame]) -> dict[str, float]:
        """Return how well it reads frames: mean error of the expected progress (points) and the AUROC of "held"."""
        progress, held = self(frames)
        expected = (progress.softmax(-1) @ torch.linspace(0, 100, PROGRESS_BINS)).numpy()
        truths = np.array([[truth.progress, truth.held] for _, truth in frames])
        there = np.isfinite(truths[:, 1])
        return {
            "probe_error": round(float(np.abs(expected - truths[:, 0]).mean()), 2),
            "held_auroc": round(auroc(truths[there, 1] > 0.5, held.numpy()[there]) or 0.0, 4),
        }
