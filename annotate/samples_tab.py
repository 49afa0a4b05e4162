"""The tab "Check and samples": check a finished annotation, show what a recipe trains on, and the command that trains.

Knows the store, recipes, the check and samples; does not know the page's elements. Writes no file.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from annotate.findings import PageFinding, check_demonstration, find_missing, outdated_annotation
from annotate.store import Store
from dataset.demonstration import read_demonstration
from dataset.preview import choose_samples
from dataset.recipe import load_document, read_data_section
from dataset.sample_file import VqaSample
from dataset.samples import build_sample_set

DEFAULT_RECIPES = ("recipes/oneshot.yaml", "recipes/nano.yaml")  # the first that exists

TrainOn = Literal["this", "labelled"]


@dataclass(frozen=True)
class SamplePreview:
    """What a recipe trains on.

    Args:
        findings: What is missing or wrong in this episode.
        summary: One sentence about the samples; "" when there are none.
        command: The command that trains on these samples.
        counts: Number of samples of every kind, over all episodes that the command names.
        samples: Some samples of every kind of this episode.
    """

    findings: tuple[PageFinding, ...]
    summary: str = ""
    command: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    samples: tuple[VqaSample, ...] = ()


def find_recipes() -> list[str]:
    """Return the recipes of the working directory, recipes/*.yaml, in the order of their names."""
    return [path.as_posix() for path in sorted(Path("recipes").glob("*.yaml"))]


def default_recipe(recipes: list[str]) -> str:
    """Return the recipe that the page proposes first; "" where there is none."""
    return next((path for path in (*DEFAULT_RECIPES, *recipes) if path in recipes), "")


def preview_samples(store: Store, key: str, recipe: str, train_on: TrainOn = "this") -> SamplePreview:
    """Check one episode on disk and make the samples that the training command makes.

    Args:
        store: The queue.
        key: Id of the episode.
        recipe: One of `find_recipes`.
        train_on: "this" episode alone, or all "labelled" ones.

    Raises:
        ValueError: The recipe cannot be used, or a file cannot be read.
    """
    missing = find_missing(store.load(key)[0])
    if missing and store.episode(key).annotation.exists():
        missing.append(outdated_annotation(store.episode(key).annotation))
    if missing:
        return SamplePreview(tuple(missing))
    if recipe not in find_recipes():
        raise ValueError(f"there is no recipe {recipe!r} in recipes/; start the page in the folder of the repository")
    data = read_data_section(recipe)
    episodes = [store.episode(key)]
    if train_on == "labelled":
        episodes = [episode for episode in store.episodes.values() if episode.status == "labelled" or episode.id == key]
    demonstrations = {episode.id: read_demonstration(episode.annotation) for episode in episodes}
    findings = check_demonstration(demonstrations[key], labels=data.labels, window=data.window, pixels=True)
    if any(finding.level == "error" for finding in findings):
        return SamplePreview(tuple(findings))
    samples = build_sample_set(list(demonstrations.values()), data.window, data.sampling, data.labels)
    own = [sample for sample in samples if sample.video == demonstrations[key].video]
    return SamplePreview(
        findings=tuple(findings),
        summary=_summary(recipe, len(samples), len(episodes)),
        command=training_command([episode.annotation for episode in episodes], recipe),
        counts=dict(Counter(sample.direction for sample in samples)),
        samples=tuple(choose_samples(own)),
    )


def training_command(annotations: list[Path], recipe: str) -> str:
    """Return the command that adapts a model to annotations with a recipe; quoted for a shell."""
    paths = [shown_path(path) for path in annotations]
    if all(path == shlex.quote(path) for path in [*paths, recipe]):
        value = paths[0] if len(paths) == 1 else f'"{" ".join(paths)}"'
        return f"make lora ANNOTATIONS={value} RECIPE={recipe}"
    quoted = ",".join(f'"{path}"' for path in paths)  # make would split its variable at the spaces of a path
    return f"python -m train --config {shlex.quote(recipe)} {shlex.quote(f'data.annotations=[{quoted}]')}"


def shown_path(path: Path) -> str:
    """Return a path relative to the working directory when it is inside, else absolute."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def _summary(recipe: str, num_samples: int, num_episodes: int) -> str:
    sentence = f"{recipe} trains on {num_samples} samples of {num_episodes} episode{'' if num_episodes == 1 else 's'}"
    evaluation = load_document(recipe).get("evaluation")
    share = evaluation.get("held_out_share") if isinstance(evaluation, Mapping) else None
    if not share:
        return f"{sentence}."
    return f"{sentence}, less those of the frames that evaluation.held_out_share={share} holds out of every stage."
