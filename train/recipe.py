"""Recipes: all settings of a training run, as YAML.

Knows the sections and their types. Imports no torch, PEFT or TRL: an error in a recipe is reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf

from dataset.files import write_text_atomically
from dataset.recipe import DataSection, build, load_document, name_annotations

METRICS = ("voc", "cycle_voc", "mae", "parse_rate")  # of `infer.metrics.progress`
SMALLER_IS_BETTER = ("mae",)


@dataclass(frozen=True)
class ImageSection:
    """Pixel budget of one image: larger images are scaled down to it, smaller ones up.

    Args:
        min_pixels: Least area in pixels; None leaves the base model's own.
        max_pixels: Largest area in pixels; None leaves the base model's own.
    """

    min_pixels: int | None = None
    max_pixels: int | None = None


@dataclass(frozen=True)
class FeaturesSection:
    """Where the vision features of the frames are stored during a run.

    Args:
        memory_gb: Most gigabytes (10^9 bytes) of features held in memory; if there are more, all go to `cache`.
        cache: Folder of memory-mapped features. The next run reuses them; it can be deleted between runs.
    """

    memory_gb: float = 4.0
    cache: str = "runs/features"

    def __post_init__(self) -> None:
        if self.memory_gb < 0:
            raise ValueError(f"recipe: features.memory_gb is {self.memory_gb}; use 0 (always the disk) or more")


@dataclass(frozen=True)
class EvaluationSection:
    """Evaluation during training, with the code of inference; off unless `annotations` or `held_out_share` is set.

    Args:
        annotations: The held-out set: annotated episodes that are not trained on; files, folders and globs.
        held_out_share: Without a held-out set: the share of the frames of every stage that is not trained on but
            evaluated, 0 to 0.5. Their neighbours are trained on, so this shows whether the run learns, not how it does
            on another episode.
        every_steps: Steps between two evaluations. There is also one before the first step and one at the end.
        metric: The metric of the best evaluation, whose adapter is kept.
        patience: Stop after this many evaluations without a better one; None never stops early.
        max_sampled_frames: Most frames sampled per episode and direction of playback.
    """

    annotations: tuple[str, ...] = ()
    held_out_share: float = 0.0
    every_steps: int = 50
    metric: str = "cycle_voc"
    patience: int | None = None
    max_sampled_frames: int = 32

    def __post_init__(self) -> None:
        if self.annotations and self.held_out_share:
            raise ValueError(
                "recipe: both evaluation.annotations and evaluation.held_out_share are set; with held-out episodes no "
                "frames of the training demonstrations need to be held out, keep one of them"
            )
        if not 0.0 <= self.held_out_share <= 0.5:
            raise ValueError(f"recipe: evaluation.held_out_share is {self.held_out_share}; it is a share, 0 to 0.5")
        if self.metric not in METRICS:
            raise ValueError(f'recipe: evaluation.metric is "{self.metric}"; use one of {", ".join(METRICS)}')
        for name, least in (("every_steps", 1), ("patience", 1), ("max_sampled_frames", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"recipe: evaluation.{name} is {value}; it must be at least {least}")

    @property
    def wanted(self) -> bool:
        """Whether there is an evaluation during training."""
        return bool(self.annotations or self.held_out_share)


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Args:
        model: Base model: a hub id, `id@revision`, or a folder (relative ones are looked up here, then in the
            checkout).
        load_in_4bit: Keep the base's matrices in 4 bits during training (QLoRA; bitsandbytes, NVIDIA GPUs only).
        data: Demonstrations, windows, samples.
        image: Pixel budget.
        features: Where vision features are stored.
        evaluation: Evaluation during training.
        lora: Fields of `peft.LoraConfig`, passed on unchanged.
        sft: Fields of `trl.SFTConfig`, passed on unchanged; `output_dir` is the adapter folder.
    """

    model: str = MISSING
    load_in_4bit: bool = False
    data: DataSection = field(default_factory=lambda: MISSING)
    image: ImageSection = field(default_factory=ImageSection)
    features: FeaturesSection = field(default_factory=FeaturesSection)
    evaluation: EvaluationSection = field(default_factory=EvaluationSection)
    lora: dict[str, Any] = field(default_factory=dict)
    sft: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sft.get("output_dir"):
            raise ValueError("recipe: `sft.output_dir` is missing; name the folder that the adapter goes to")
        if not self.data.annotations:
            raise ValueError("recipe: no demonstrations; name them with data.annotations=[data/demo.json]")

    def for_task(self, task: str, annotations: Sequence[str], held_out: Sequence[str]) -> Recipe:
        """Return the recipe of one task: its episodes, and a folder of its own under `sft.output_dir`."""
        slug = re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")[:60] or "task"
        return replace(
            self,
            data=replace(self.data, annotations=tuple(annotations)),
            evaluation=replace(self.evaluation, annotations=tuple(held_out)),
            sft={**self.sft, "output_dir": str(Path(self.sft["output_dir"]) / slug)},
        )


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `key.sub=value` overrides.

    Raises:
        ValueError: The file is missing or no YAML, or a key is unknown or of the wrong type; the message names the key.
    """
    document = load_document(path, overrides)
    name_annotations(document, "data", "evaluation")
    return build(Recipe, document)


def save_recipe(path: str | Path, recipe: Recipe) -> None:
    """Write a recipe, overrides included, as YAML that `read_recipe` reads."""
    write_text_atomically(path, OmegaConf.to_yaml(OmegaConf.create(asdict(recipe))))
