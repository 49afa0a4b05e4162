"""A probe that reads the progress from the features of one frame: a help for the vision tower while it learns to see.

Through the language model only the answers of a step teach the tower, and it stays blind for a long time; here every
frame of the step does. The probe is thrown away. Knows features and percentages; does not know episodes.
"""

from __future__ import annotations

import torch

from infer.model import ProgressModel

PROGRESS_BINS = 21


class FrameProbe(torch.nn.Module):
    """Two linear layers over the tokens of a frame and the mean embedding of its task."""

    def __init__(self, model: ProgressModel, image_side: int) -> None:
        super().__init__()
        hidden = model.model.config.text_config.hidden_size
        tokens = (image_side // 32) ** 2
        self.embedding = model.model.get_input_embeddings().weight
        self.read_frame = torch.nn.Linear(tokens * hidden, 256)
        self.read_task = torch.nn.Linear(hidden, 256)
        self.answer = torch.nn.Linear(256, PROGRESS_BINS)

    def parameters(self, recurse: bool = True):
        """Yield the probe's own parameters, without the model's embedding."""
        return (p for name, p in self.named_parameters(recurse=recurse) if name != "embedding")

    def loss(self, frames: list[tuple[torch.Tensor, list[int], float]]) -> torch.Tensor:
        """Return the cross-entropy over progress bins; a frame is its features, its task's tokens and its percent."""
        features = torch.stack([embedding.flatten() for embedding, _, _ in frames])
        tasks = torch.stack([self.embedding[tokens].mean(0) for _, tokens, _ in frames]).detach()
        bins = torch.tensor([round(progress / 100.0 * (PROGRESS_BINS - 1)) for _, _, progress in frames])
        hidden = torch.nn.functional.gelu(self.read_frame(features) + self.read_task(tasks))
        return torch.nn.functional.cross_entropy(self.answer(hidden), bins)
