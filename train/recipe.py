"""Recipes: everything a training run is determined by, as YAML.

Knows the sections and their types; does not import torch, PEFT or TRL, so that a recipe is read and refused at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf

from dataset.files import write_text_atomically
from dataset.recipe import DataSection, build, load_document

METRICS = ("voc", "cycle_voc", "mae", "parse_rate")  # of `infer.metrics.progress`
SMALLER_IS_BETTER = ("mae",)


@dataclass(frozen=True)
class ImageSection:
    """Pixel budget of one image: larger ones are scaled down into it, smaller ones up.

    Args:
        min_pixels: Least area in pixels; None leaves the base model's own.
        max_pixels: Largest area in pixels; None leaves the base model's own.
    """

    min_pixels: int | None = None
    max_pixels: int | None = None


@dataclass(frozen=True)
class FeaturesSection:
    """Where the frames' vision features stay during a run.

    Args:
        memory_gb: Features of up to so many gigabytes (10^9 bytes) are held in memory; more go to `cache`.
        cache: Folder of memory-mapped features, found again by the next run; delete it whenever you like.
    """

    memory_gb: float = 4.0
    cache: str = "runs/features"

    def __post_init__(self) -> None:
        if self.memory_gb < 0:
            raise ValueError(f"recipe: features.memory_gb is {self.memory_gb}; use 0 (always the disk) or more")


@dataclass(frozen=True)
class EvaluationSection:
    """Evaluation during training, by the code that inference runs; off unless episodes or a share are named.

    Args:
        annotations: Annotated episodes that are not trained on.
        held_out_share: Without such episodes: the share of every stage's frames that is taken out of the training
            demonstrations and judged instead, 0 to 0.5. Their neighbours are trained on, so this shows whether the run
            learns, not how well it carries over to another episode.
        every_steps: Steps between two evaluations; there is one before the first step and one at the end as well.
        metric: What "best" means; the adapter of the best evaluation is the one that is kept.
        patience: Stop after so many evaluations without a better one; None never stops early.
        max_sampled_frames: Frames judged per episode and direction of playback.
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
                "recipe: both evaluation.annotations and evaluation.held_out_share are set; with episodes of their own "
                "no part of the training demonstrations need be held out, keep one of them"
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
        """Whether anything is evaluated during training."""
        return bool(self.annotations or self.held_out_share)


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Args:
        model: Base model: a hub id, `id@revision`, or a folder (relative ones are looked up here, then in the
            checkout).
        load_in_4bit: Hold the base's matrices in 4 bits while training (QLoRA; bitsandbytes, NVIDIA GPUs only).
        data: Demonstrations, windows, samples.
        image: Pixel budget.
        features: Where the frames' features stay.
        evaluation: Evaluation during training.
        lora: Fields of `peft.LoraConfig`, untouched.
        sft: Fields of `trl.SFTConfig`, untouched; `output_dir` becomes the adapter folder.
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
        if not self.data.annotations and not self.data.samples:
            raise ValueError(
                "recipe: no demonstrations; give data.annotations=[data/demo.json] (or data.samples=FILE.jsonl)"
            )
        if self.data.annotations and self.data.samples:
            raise ValueError("recipe: both `data.annotations` and `data.samples` are set; keep one of them")
        if self.evaluation.held_out_share and not self.data.annotations:
            raise ValueError(
                "recipe: evaluation.held_out_share needs data.annotations, to hold out a part of every stage; "
                "data.samples alone does not say where the stages are"
            )

    def for_task(self, task: str, annotations: Sequence[str], judged: Sequence[str]) -> Recipe:
        """Return the run of one task of a batch: its episodes, and a folder of its own under `sft.output_dir`."""
        slug = re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")[:60] or "task"
        return replace(
            self,
            data=replace(self.data, annotations=tuple(annotations)),
            evaluation=replace(self.evaluation, annotations=tuple(judged)),
            sft={**self.sft, "output_dir": str(Path(self.sft["output_dir"]) / slug)},
        )


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `key.sub=value` overrides.

    Raises:
        ValueError: It is missing, no YAML, or holds an unknown key or a wrong type; the message names the key.
    """
    document = load_document(path, overrides)
    for section in ("data", "evaluation"):
        if isinstance((document.get(section) or {}).get("annotations"), str):
            document[section].annotations = [document[section].annotations]
    return build(Recipe, document)


def save_recipe(path: str | Path, recipe: Recipe) -> None:
    """Write the effective recipe as YAML that `read_recipe` reads back."""
    write_text_atomically(path, OmegaConf.to_yaml(OmegaConf.create(asdict(recipe))))
