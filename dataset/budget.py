"""Token budget: how many tokens a window takes in a model of the Qwen3-VL family, and how many the model can take.

Knows pixel counts and a model's public configuration files. Loads no model and no tokenizer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRAINED_LENGTH = 8192  # tokens per sample in ProcVLM's own one-shot recipe (arXiv 2605.08774)
CHARACTERS_PER_TOKEN = 3.0  # a low estimate for English: the count of tokens is too high rather than too low
CHAT_TOKENS = 16  # turn marks around question and answer


@dataclass(frozen=True)
class TokenBudget:
    """The limits of one sample.

    Args:
        context: Most tokens of question and answer together.
        min_pixels: Smaller images are enlarged to this area.
        max_pixels: Larger images are reduced to this area.
        factor: Side in pixels of the square that becomes one token (patch size times merge size).
    """

    context: int = TRAINED_LENGTH
    min_pixels: int = 1024
    max_pixels: int = 262144
    factor: int = 32

    def image_tokens(self, width: int, height: int) -> int:
        """Return the tokens of one image, start and end mark included.

        Sides are rounded to multiples of `factor`, then scaled into the pixel range, as Qwen2-VL's processor does.
        """
        sides = [max(self.factor, round(side / self.factor) * self.factor) for side in (height, width)]
        area = sides[0] * sides[1]
        if area > self.max_pixels:
            shrink = math.sqrt(width * height / self.max_pixels)
            sides = [max(self.factor, math.floor(s / shrink / self.factor) * self.factor) for s in (height, width)]
        elif area < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (width * height))
            sides = [math.ceil(s * grow / self.factor) * self.factor for s in (height, width)]
        return sides[0] * sides[1] // self.factor**2 + 2

    def window_tokens(self, size: int, width: int, height: int, text: str) -> int:
        """Return about how many tokens a window of `size` images with its question and answer has."""
        return size * self.image_tokens(width, height) + math.ceil(len(text) / CHARACTERS_PER_TOKEN) + CHAT_TOKENS


def read_token_budget(recipe: Mapping[str, Any]) -> TokenBudget:
    """Return the budget of a recipe: its `image` section, and the configuration of its model if that is a folder.

    Args:
        recipe: The whole document; only `model` and `image` are read.
    """
    values: dict[str, int] = {}
    folder = Path(str(recipe.get("model") or ""))
    if recipe.get("model") and (folder / "config.json").is_file():
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        context = config.get("text_config", config).get("max_position_embeddings")
        if context:
            values["context"] = int(context)
        if (folder / "preprocessor_config.json").is_file():
            images = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
            size = images.get("size", {})
            pixels = {"min_pixels": size.get("shortest_edge"), "max_pixels": size.get("longest_edge")}
            values |= {key: int(value) for key, value in pixels.items() if value}
            if "patch_size" in images and "merge_size" in images:
                values["factor"] = images["patch_size"] * images["merge_size"]
    image = recipe.get("image") or {}
    values |= {key: int(image[key]) for key in ("min_pixels", "max_pixels") if image.get(key)}
    return TokenBudget(**values)
