"""The embedded base with random weights in place of its own: gibberish answers that vary with what is seen."""

from __future__ import annotations

import torch
from material import NANO

from infer.model.model import ProgressModel
from infer.model.source import ModelSource


def random_model(seed: int) -> ProgressModel:
    """Return a model whose answers wander from token to token, differently for each window."""
    model = ProgressModel.load(ModelSource(str(NANO)))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.model.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn(weight.shape, generator=generator) * (2.0 / weight.shape[-1] ** 0.5))
    return model
