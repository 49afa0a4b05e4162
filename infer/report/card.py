"""Make a report card: evaluate a model on annotated episodes, and write the report into a folder.

Knows the order of the work and the files of a report; does not know how a figure, a verdict or a page is made.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dataset.demonstration import read_demonstrations, refuse_repeated_recordings, video_notices, with_plans
from dataset.files import refuse_overwriting, write_text_atomically
from infer.model.adapter_folder import read_recipe_document, read_train_summary
from infer.model.source import ModelSource
from infer.records import make_records, write_records
from infer.report.other_tasks import draw_other_tasks

if TYPE_CHECKING:
    from dataset.demonstration import Demonstration
    from infer.model.model import ProgressModel
    from infer.report.evaluate import EvaluationSpec
    from infer.report.summary import Report

VISUAL_LABELS = (
    "The adapter was trained with data.labels: visual, but this report compares with linear or measured labels. "
    "The two differ inside a stage, which is part of mae and hardly changes the order metrics."
)


def make_report(
    source: ModelSource,
    annotations: Sequence[str | Path],
    output: str | Path,
    spec: EvaluationSpec,
    train_annotations: Sequence[str | Path] = (),
    command: Sequence[str] = (),
) -> Report:
    """Evaluate a model on annotated episodes, write the report into a folder and return it.

    Args:
        source: The adapter, or a base.
        annotations: The held-out set.
        output: Folder for `report.html`, `report.md`, `report.json` and `predictions/`.
        spec: The settings of the evaluation; its other tasks are drawn here.
        train_annotations: Annotations of the training demonstrations; by default those in the adapter's recipe.
        command: The words of the command line, for the provenance.

    Raises:
        ValueError: An annotation, the model or the adapter folder cannot be used, or a recording is given twice.
    """
    started = time.monotonic()
    from dataset.recording_identity import seen_in_training
    from infer.report.training_demonstration import find_training_demonstrations

    demonstrations = read_demonstrations(annotations)
    refuse_repeated_recordings(demonstrations)
    refuse_overwriting(Path(output) / "report.json", [demonstration.path for demonstration in demonstrations])
    for demonstration in demonstrations:
        for _, text in video_notices(demonstration):
            print(f"warning: {demonstration.path}: {text}")
    train = read_train_summary(source.model_path) if source.use_lora else {}
    recordings = train.get("data", [])  # what the adapter was trained on
    not_held_out = seen_in_training(demonstrations, recordings)
    training_demonstrations: list[Demonstration] = []
    notices = [VISUAL_LABELS] if any(row.get("labels") == "visual" for row in recordings) else []
    if source.use_lora:
        training_demonstrations, notice = find_training_demonstrations(source.model_path, recordings, train_annotations)
        notices += [notice] if notice else []
        demonstrations = with_plans(demonstrations, training_demonstrations)

    from infer.model.model import ProgressModel
    from infer.report.evaluate import evaluate, predict_training_demonstrations
    from infer.report.provenance import collect_provenance, measured_cost
    from infer.report.summary import summarise

    model = ProgressModel.load(source.for_predictions())
    spec = replace(spec, other_tasks=_far_tasks(model, source, demonstrations))
    results = list(evaluate(model, demonstrations, spec, not_held_out))
    predictions = None
    if training_demonstrations:
        predictions = predict_training_demonstrations(model, training_demonstrations, spec)
    provenance = collect_provenance(model, source.model_path, results, spec, train, command)
    seconds = train.get("seconds", 0.0) + time.monotonic() - started
    report = summarise(results, predictions, notices, train, provenance, measured_cost(model, results), seconds)
    write_report(report, output)
    return report


def _far_tasks(model: ProgressModel, source: ModelSource, demonstrations: Sequence[Demonstration]) -> tuple[str, ...]:
    """Draw other tasks that are far from what the adapter learned, by the seed of its data."""
    recipe = read_recipe_document(source.model_path) if source.use_lora else {}
    sampling = (recipe.get("data") or {}).get("sampling") or {}
    learned = [demonstration.annotation.task for demonstration in demonstrations]
    learned += [*(model.progress_config.tasks if model.progress_config else ()), *(sampling.get("wrong_tasks") or ())]
    return draw_other_tasks(learned, sampling.get("seed") or 0)


def write_report(report: Report, output: str | Path) -> None:
    """Write `report.json`, `report.md`, `report.html` and `predictions/<episode>.<model>.jsonl` into a folder."""
    from infer.report.page import render_html, render_markdown

    output = Path(output)
    for result in report.results:
        task = result.demonstration.annotation.task
        for name, predictions in result.predictions.items():
            records = make_records(result.demonstration.video, task, predictions)
            write_records(output / "predictions" / f"{result.demonstration.name}.{name}.jsonl", records)
    text = json.dumps(report.document, indent=2, ensure_ascii=False) + "\n"
    write_text_atomically(output / "report.json", text)
    write_text_atomically(output / "report.md", render_markdown(report))
    write_text_atomically(output / "report.html", render_html(report))
