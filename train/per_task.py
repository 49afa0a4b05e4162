"""A batch of adaptations: one adapter per task, one load of the base.

Knows how annotations group by task; the run of one task is `train.lora`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dataset.annotation_file import read_annotation
from train.adapter_writer import bare_base
from train.callbacks import TrainingError
from train.configs import build_configs
from train.lora import load_base, train_lora
from train.recipe import Recipe


def train_each(recipe: Recipe, overwrite: bool = False, resume: bool = False) -> list[Path]:
    """Train one adapter per task of the recipe's annotations; a task that fails does not stop the others.

    Args:
        recipe: The runs; `sft.output_dir` is the folder that gets one adapter folder per task.
        overwrite, resume: As for `train_lora`, for every task.

    Returns:
        The adapter folders, in the order of the tasks.

    Raises:
        TrainingError: At least one task failed; the message names each with its reason.
    """
    recipes = recipes_by_task(recipe)
    first = next(iter(recipes.values()))
    base = load_base(recipe, build_configs(first, Path(first.sft["output_dir"]))[1])
    folders, failures = [], []
    for number, (task, one) in enumerate(recipes.items(), start=1):
        print(f"\n== {number}/{len(recipes)}: {task}", flush=True)
        try:
            folders.append(train_lora(one, overwrite, resume, base))
        except (ValueError, OSError) as error:
            print(f"failed: {error}", flush=True)
            failures.append(f'"{task}": {error}')
        finally:
            base = bare_base(base)
    if failures:
        raise TrainingError(f"{len(failures)} of {len(recipes)} tasks failed: {'; '.join(failures)}")
    return folders


def recipes_by_task(recipe: Recipe) -> dict[str, Recipe]:
    """Return one recipe per task, in the order in which the annotations name them.

    Held-out episodes go to their own task's run.
    """
    if not recipe.data.annotations:
        raise ValueError(
            "recipe: --each makes one adapter per task of data.annotations; give it more than one annotation"
        )
    learnt, judged = _by_task(recipe.data.annotations), _by_task(recipe.evaluation.annotations)
    recipes = {task: recipe.for_task(task, paths, judged.get(task, ())) for task, paths in learnt.items()}
    owners: dict[str, str] = {}
    for task, one in recipes.items():
        folder = one.sft["output_dir"]
        if folder in owners:
            raise ValueError(
                f'the tasks "{owners[folder]}" and "{task}" would share the folder {folder}; reword one of them'
            )
        owners[folder] = task
    return recipes


def _by_task(paths: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(read_annotation(path).task, []).append(path)
    return groups
