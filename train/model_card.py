"""The model card of an adapter: README.md in the format of the hub, made from the figures of the run.

Knows the wording of the card; every number comes from the summary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from dataset.files import write_text_atomically
from infer.model.adapter_folder import CURVES, HELD_OUT, MODEL_CARD, PROGRESS_CONFIG, RECIPE
from infer.model.base_files import split_revision
from train.recipe import Recipe


def write_card(folder: Path, recipe: Recipe, summary: dict[str, Any]) -> None:
    """Write the card beside the adapter.

    Args:
        folder: The adapter folder, with its pictures.
        recipe: The settings of the run.
        summary: The content of `train_summary.json`.
    """
    write_text_atomically(folder / MODEL_CARD, render_card(folder, recipe, summary))


def render_card(folder: Path, recipe: Recipe, summary: dict[str, Any]) -> str:
    """Return the text of the card: metadata, description, use, training data, results, limits."""
    tasks = list(dict.fromkeys(source["task"] for source in summary["data"]))
    parts = [
        f"---\n{yaml.safe_dump(_metadata(recipe), sort_keys=False)}---\n",
        f"# Progress of: {'; '.join(tasks)}\n",
        "A LoRA adapter of a progress-reward vision-language model: from the latest camera frames it lists the "
        "remaining steps and estimates how far the task is done, 0 to 100 %.\n",
        _pictures(folder),
        "## Use\n",
        "    python -m infer --model_path THIS_FOLDER --use_lora --video_path VIDEO --output_path OUT.jsonl \\\n"
        f'        --task "{tasks[0]}"\n',
        f"The folder brings its window rule, pixel budget and prompt version (`{PROGRESS_CONFIG}`); the base is "
        f"`{recipe.model}`{_revision(summary)}, and `--base_model` names another place to find it. The whole recipe is "
        f"`{RECIPE}`.\n",
        "## Training data\n",
        _table(
            ["annotation", "video", "fingerprint", "labels"],
            [[s["annotation"], s["video"], f"`{s['fingerprint']}`", s["labels"] or "-"] for s in summary["data"]],
        ),
        f"{summary['samples']} samples, windows {summary['window']}.\n",
        "## Training\n",
        _table(["figure", "value"], [[name, value] for name, value in _figures(recipe, summary)]),
        _evaluation(recipe, summary),
        "## Limits\n",
        "Adapted to the task and the scene named above; it has not been evaluated elsewhere. An answer without a "
        "percentage is null in the predictions.\n",
        f"Versions: {', '.join(f'{name} {number}' for name, number in summary['versions'].items())}.\n",
    ]
    return "\n".join(part for part in parts if part)


def _metadata(recipe: Recipe) -> dict[str, Any]:
    name, _ = split_revision(recipe.model)
    on_hub = name.count("/") == 1 and not Path(name).exists()
    return {
        **({"base_model": name} if on_hub else {}),
        "library_name": "peft",
        "pipeline_tag": "image-text-to-text",
        "tags": ["lora", "robotics", "reward-model", "task-progress"],
    }


def _pictures(folder: Path) -> str:
    pictures = [(HELD_OUT, "Held-out predictions against the labels"), (CURVES, "Training curves")]
    return "\n".join(f"![{text}]({name})\n" for name, text in pictures if (folder / name).exists())


def _revision(summary: dict[str, Any]) -> str:
    return f" at revision `{summary['base_revision']}`" if summary.get("base_revision") else ""


def _figures(recipe: Recipe, summary: dict[str, Any]) -> list[tuple[str, Any]]:
    loss = summary["mean_loss"]
    return [
        ("steps", summary["steps"]),
        ("seconds", summary["seconds"]),
        ("mean training loss", "-" if loss is None else loss),
        ("trainable parameters", f"{summary['trainable_parameters']:,}"),
        ("LoRA", ", ".join(f"{key} {value}" for key, value in recipe.lora.items() if not isinstance(value, list))),
        ("reload: largest difference of a logit", summary["reload_logit_difference"]),
    ]


def _evaluation(recipe: Recipe, summary: dict[str, Any]) -> str:
    rows = summary["evaluations"]
    if not rows:
        return ""
    if recipe.evaluation.held_out_share:
        where = (
            f"on {recipe.evaluation.held_out_share:.0%} of every stage's frames, held out of the training "
            "demonstrations (their neighbours were trained on)"
        )
    else:
        where = f"on {len(recipe.evaluation.annotations)} episode(s) that were not trained on"
    names = ("voc", "cycle_voc", "mae", "parse_rate")
    body = [[row["step"], *("-" if row[name] is None else f"{row[name]:.3f}" for name in names)] for row in rows]
    kept = f"The adapter is that of step {summary['best_step']}, the best by `{recipe.evaluation.metric}`.\n"
    return "\n".join(
        [f"## Evaluation\n\nDuring training, {where}. Step 0 is the base.\n", _table(["step", *names], body), kept]
    )


def _table(header: list[str], rows: list[list[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"
