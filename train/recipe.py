"""Recipes: everything a training run is determined by, as YAML.

Knows the sections and their types; does not import torch, PEFT or TRL, so that a recipe is read and refused at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf

from dataset.annotation import write_text_atomically
from dataset.recipe import DataSection, build, load_document


@dataclass(frozen=True)
class ImageSection:
    """Pixel budget of one image; None leaves the base model's own."""

    min_pixels: int | None = None
    max_pixels: int | None = None


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Args:
        model: Base model: a hub id, or a folder (relative ones are looked up here, then in the checkout).
        data: Demonstrations, windows, samples.
        image: Pixel budget.
        lora: Fields of `peft.LoraConfig`, untouched.
        sft: Fields of `trl.SFTConfig`, untouched; `output_dir` becomes the adapter folder.
    """

    model: str = MISSING
    data: DataSection = field(default_factory=lambda: MISSING)
    image: ImageSection = field(default_factory=ImageSection)
    lora: dict[str, Any] = field(default_factory=dict)
    sft: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sft.get("output_dir"):
            raise ValueError("recipe: `sft.output_dir` is missing; name the folder that the adapter goes to")
        if not self.data.annotations and not self.data.samples:
            raise ValueError(
                "recipe: no demonstrations; give data.annotations=[data/demo.json] (or data.samples=FILE.jsonl)"
            )
        if self.data.annotations and self.data.samples:
            raise ValueError("recipe: both `data.annotations` and `data.samples` are set; keep one of them")


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `key.sub=value` overrides.

    Raises:
        ValueError: It is missing, no YAML, or holds an unknown key or a wrong type; the message names the key.
    """
    document = load_document(path, overrides)
    if isinstance((document.get("data") or {}).get("annotations"), str):
        document.data.annotations = [document.data.annotations]
    return build(Recipe, document)


def save_recipe(path: str | Path, recipe: Recipe) -> None:
    """Write the effective recipe as YAML that `read_recipe` reads back."""
    write_text_atomically(path, OmegaConf.to_yaml(OmegaConf.create(asdict(recipe))))
