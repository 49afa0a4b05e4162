"""A probe that reads single frames' features: a help for the vision tower while it learns to see, thrown away after.

Through the language model only the answers of a step teach the tower, and it stays blind for a long time; here every
frame of the step does. Knows features and what is true of their frames; does not know episodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from nano_batches import FrameTruth

from infer.metrics.success import auroc
from infer.model.model import ProgressModel

PROGRESS_BINS = 21
Frame = tuple[torch.Tensor, FrameTruth]  # features, shape (tokens, hidden), and what is true of the frame


class FrameProbe(torch.nn.Module):
    """Reads progress, "is the object held" and the places of hand and object from a frame and its task."""

    def __init__(self, model: ProgressModel, tokens: int) -> None:
        super().__init__()
        hidden = model.model.config.text_config.hidden_size
        self.embedding = model.model.get_input_embeddings().weight
        self.read_frame = torch.nn.Linear(tokens * hidden, 256)
        self.read_task = torch.nn.Linear(hidden, 256)
        self.progress = torch.nn.Linear(256, PROGRESS_BINS)
        self.held = torch.nn.Linear(256, 1)
        self.places = torch.nn.Linear(256, 4)

    def parameters(self, recurse: bool = True):
        """Yield the probe's own parameters, without the model's embedding."""
        return (p for name, p in self.named_parameters(recurse=recurse) if name != "embedding")

    def forward(self, frames: Sequence[Frame]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits of the progress bins (frames, bins) and of "held" (frames,), and the places (frames, 4)."""
        features = torch.stack([embedding.flatten() for embedding, _ in frames])
        tasks = torch.stack([self.embedding[truth.task_tokens].mean(0) for _, truth in frames]).detach()
        hidden = torch.nn.functional.gelu(self.read_frame(features) + self.read_task(tasks))
        return self.progress(hidden), self.held(hidden)[:, 0], self.places(hidden)

    def loss(self, frames: Sequence[Frame]) -> torch.Tensor:
        """Return the cross-entropy over progress bins, plus that of "held" and the error of the places where known.

        A place that is off by a tenth of the picture costs as much as half a nat.
        """
        progress, held, places = self(frames)
        bins = torch.tensor([round(truth.progress / 100.0 * (PROGRESS_BINS - 1)) for _, truth in frames])
        loss = torch.nn.functional.cross_entropy(progress, bins)
        known = torch.tensor([truth.held for _, truth in frames])
        there = ~known.isnan()
        if there.any():
            loss = loss + torch.nn.functional.binary_cross_entropy_with_logits(held[there], known[there])
        seen = true_places(frames)
        there = ~seen.isnan()
        if there.any():
            loss = loss + 5.0 * (places[there] - seen[there]).abs().mean()
        return loss

    @torch.no_grad()
    def evaluate(self, frames: Sequence[Frame]) -> dict[str, float]:
        """Return how well it reads frames.

        Mean error of the expected progress (points), the AUROC of "held", and the mean error of the places of hand and
        object (shares of the picture, per coordinate; nan where no frame names them).
        """
        progress, held, places = self(frames)
        expected = (progress.softmax(-1) @ torch.linspace(0, 100, PROGRESS_BINS)).numpy()
        truths = np.array([[truth.progress, truth.held] for _, truth in frames])
        there = np.isfinite(truths[:, 1])
        errors = (places - true_places(frames)).abs().nanmean(0)
        return {
            "probe_error": round(float(np.abs(expected - truths[:, 0]).mean()), 2),
            "held_auroc": round(auroc(truths[there, 1] > 0.5, held.numpy()[there]) or 0.0, 4),
            "hand_error": round(errors[:2].mean().item(), 4),
            "object_error": round(errors[2:].mean().item(), 4),
        }


def true_places(frames: Sequence[Frame]) -> torch.Tensor:
    """Return where hand and object are: x, y, x, y, shape (frames, 4); nan where unknown."""
    return torch.tensor([[*truth.hand, *truth.thing] for _, truth in frames], dtype=torch.float32)
