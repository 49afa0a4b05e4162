"""One adapter per task, with the base loaded once.

Knows how annotations group by task; `train.lora` trains one task.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dataset.annotation_file import read_annotation
from dataset.wording import differing_texts, same_text
from train.callbacks import TrainingError
from train.configs import build_configs
from train.lora import load_base, train_lora
from train.recipe import Recipe
from train.reload_check import bare_base


def train_each(recipe: Recipe, overwrite: bool = False, resume: bool = False) -> list[Path]:
    """Train one adapter per task of the recipe's annotations; if one task fails, the others still run.

    Args:
        recipe: The settings of all runs; `sft.output_dir` is the folder that holds one adapter folder per task.
        overwrite, resume: See `train_lora`.

    Returns:
        The adapter folders, in the order of the tasks.

    Raises:
        TrainingError: At least one task failed; the message names each with its reason.
    """
    recipes = recipes_by_task(recipe)
    first = next(iter(recipes.values()))
    base = load_base(recipe, build_configs(first, Path(first.sft["output_dir"]))[1])
    folders, failures = [], []
    for number, (task, recipe_of_task) in enumerate(recipes.items(), start=1):
        print(f"\n== {number}/{len(recipes)}: {task}", flush=True)
        try:
            folders.append(train_lora(recipe_of_task, overwrite, resume, base))
        except (ValueError, OSError) as error:
            print(f"failed: {error}", flush=True)
            failures.append(f'"{task}": {error}')
        finally:
            base = bare_base(base)
    if failures:
        raise TrainingError(f"{len(failures)} of {len(recipes)} tasks failed: {'; '.join(failures)}")
    return folders


def recipes_by_task(recipe: Recipe) -> dict[str, Recipe]:
    """Return one recipe per task, in the order of the annotations; held-out episodes go to the recipe of their task."""
    training, held_out = _by_task(recipe.data.annotations), _by_task(recipe.evaluation.annotations)
    recipes = {task: recipe.for_task(task, paths, held_out.get(task, ())) for task, paths in training.items()}
    owners: dict[str, str] = {}
    for task, recipe_of_task in recipes.items():
        folder = recipe_of_task.sft["output_dir"]
        if folder in owners:
            raise ValueError(
                f'the tasks "{owners[folder]}" and "{task}" would share the folder {folder}; reword one of them'
            )
        owners[folder] = task
    return recipes


def _by_task(paths: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for path in paths:
        task = read_annotation(path).task
        other = next((text for text in groups if text != task and same_text(text, task)), None)
        if other is not None:
            raise ValueError(
                f"annotation {path}: {differing_texts(task, other)} the task of {groups[other][0]}; write the text in "
                "the same way in both files, or they would get an adapter each"
            )
        groups.setdefault(task, []).append(path)
    return groups
