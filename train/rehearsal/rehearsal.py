"""The rehearsal: one run per fold, predictions of the held-out frames, and where they differ from the label.

Knows the order of the work and its files; does not know how a run trains or how the page looks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from dataset.demonstration import Demonstration, read_demonstrations
from dataset.files import write_text_atomically
from dataset.labels import plan_steps
from dataset.samples import build_sample_set, demonstration_curve
from dataset.video import VideoReader, set_default_backend
from infer.metrics.stages import answered_stages, labelled_stages
from infer.records import make_records, read_records, write_records
from train.recipe import EvaluationSection, Recipe
from train.rehearsal.disagreement import Rehearsal, Segment, find_disagreements
from train.rehearsal.folds import Part, split_stages, without_fold
from train.rehearsal.page import summarise_rehearsal, write_page
from train.rehearsal.perturbed import AS_RECORDED, RECORDINGS, ChangedVideo, PerturbedRecording
from train.run_inputs import base_inputs
from train.training_data import make_training_data

if TYPE_CHECKING:
    from infer.model.model import ProgressModel

PLAN = "plan.json"


@dataclass(frozen=True)
class Fold:
    """One run of a rehearsal.

    Args:
        number: Which part of every stage is held out, 0-based.
        parts: All parts of the demonstration.
        frames: The sampled frames among the held-out ones, rising.
        folder: Where its adapter and predictions go.
    """

    number: int
    parts: Sequence[Part]
    frames: list[int]
    folder: Path


def rehearse(recipe: Recipe, output: Path, folds: int, max_frames: int) -> dict:
    """Train once per fold, predict every frame by the run that held it out, and write the result.

    Args:
        recipe: How to train; `data.annotations` names the demonstration.
        output: Folder for `enough.json`, `enough.html` and a folder per fold; what exists already is reused.
        folds: Number of parts of every stage, and of runs; at least 2.
        max_frames: Most frames sampled, evenly spread.

    Returns:
        The document of `enough.json`.
    """
    if folds < 2:
        raise ValueError(f"--folds is {folds}; at least 2 are needed: one part is held out, another is trained on")
    set_default_backend(recipe.data.video_backend)
    demonstration = read_demonstrations(recipe.data.annotations)[0]
    annotation, reader = demonstration.annotation, VideoReader(demonstration.video)
    _check_plan(output, recipe, demonstration, folds, max_frames)
    parts = split_stages(annotation, folds)
    labels = demonstration_curve(demonstration, recipe.data.labels)
    sampled = [t for t in spread(annotation.num_frames, max_frames) if np.isfinite(labels[t])]

    base = None
    rows: dict[str, dict[int, dict]] = {recording.name: {} for recording in RECORDINGS}
    for number in range(folds):
        frames = [t for t in sampled if any(part.number == number and part.start <= t < part.end for part in parts)]
        fold = Fold(number, parts, frames, output / f"fold-{number + 1}")
        missing = [r for r in RECORDINGS if not _predictions_path(fold.folder, r.name).exists()]
        if missing:
            print(f"\n== part {number + 1} of {folds} of every stage is held out", flush=True)
            base = train_and_predict(recipe, demonstration, fold, missing, base)
        for recording in RECORDINGS:
            records = read_records(_predictions_path(fold.folder, recording.name))
            rows[recording.name] |= {row["frame_index"]: row for row in records}

    frames = sorted(rows[AS_RECORDED.name])
    outputs = [rows[AS_RECORDED.name][t]["model_output"] for t in frames]
    rehearsal = Rehearsal(
        frames=frames,
        labels=labels[frames],
        predictions={
            name: np.array([np.nan if by_frame[t]["progress"] is None else by_frame[t]["progress"] for t in frames])
            for name, by_frame in rows.items()
        },
        labelled=labelled_stages(annotation, frames),
        answered=answered_stages(annotation, outputs),
    )
    steps = [step.subtask for step in plan_steps(annotation).steps]
    segments = [_segment(part, reader) for part in parts]
    document = summarise_rehearsal(demonstration, reader, rehearsal, find_disagreements(segments, rehearsal, steps))
    document |= {"folds": folds, "recipe": asdict(recipe)}
    write_text_atomically(output / "enough.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    write_page(output / "enough.html", document, reader)
    return document


def train_and_predict(
    recipe: Recipe,
    demonstration: Demonstration,
    fold: Fold,
    recordings: Sequence[PerturbedRecording],
    base: ProgressModel | None = None,
) -> ProgressModel:
    """Train one fold, or take its finished adapter, and write predictions of its held-out frames.

    Args:
        recipe: How to train.
        demonstration: The demonstration.
        fold: What is held out.
        recordings: The recordings to predict.
        base: The base, if it is in memory.

    Returns:
        The base without an adapter, for the next fold.
    """
    from infer.model.encoded_video import EncodedVideo
    from infer.playback import advance, predict_video
    from train.configs import build_configs
    from train.lora import load_base, train_lora
    from train.reload_check import bare_base

    samples = build_sample_set([demonstration], recipe.data.window, recipe.data.sampling, recipe.data.labels)
    kept = without_fold(samples, fold.parts, fold.number)
    if not kept:
        raise ValueError(f"no sample is left if part {fold.number + 1} of every stage is held out; use fewer --folds")
    run = fold_recipe(recipe, fold.folder)
    base = base or load_base(run, build_configs(run, fold.folder / "adapter")[1])
    try:
        adapter = train_lora(run, resume=True, base=base, data=make_training_data(run, kept, [demonstration]))
    except KeyboardInterrupt as stopped:
        raise KeyboardInterrupt(f"{str(stopped).partition(';')[0] or 'stopped'}; the same command goes on") from None
    model = bare_base(base).with_adapter(adapter)
    task, window = demonstration.annotation.task, recipe.data.window
    reader = VideoReader(demonstration.video)
    with tqdm(total=len(recordings) * len(fold.frames), desc="held-out frames, all recordings", unit="window") as bar:
        as_recorded = EncodedVideo(model, reader, keep_all=True)
        for recording in recordings:
            video = as_recorded
            if recording.change is not None:
                video = EncodedVideo(model, ChangedVideo(reader, recording.change))
            predictions = list(advance(bar, predict_video(model, video, task, recording.window(window), fold.frames)))
            records = make_records(demonstration.video, task, predictions)
            write_records(_predictions_path(fold.folder, recording.name), records)
    return bare_base(model)


def fold_recipe(recipe: Recipe, folder: Path) -> Recipe:
    """Return the recipe of one fold: a folder of its own, no evaluation, no reports to other services."""
    return replace(
        recipe,
        evaluation=EvaluationSection(),
        sft={**recipe.sft, "output_dir": str(folder / "adapter"), "report_to": "none"},
    )


def spread(num_frames: int, count: int) -> list[int]:
    """Return up to `count` frames, evenly spread, the first and the last among them."""
    return sorted({int(frame) for frame in np.linspace(0, num_frames - 1, min(count, num_frames)).round()})


def _segment(part: Part, reader: VideoReader) -> Segment:
    times = reader.timestamps_sec
    end_sec = float(times[part.end]) if part.end < len(reader) else float(times[-1] + 1.0 / reader.fps)
    return Segment(part.name, part.stage, part.start, part.end, float(times[part.start]), end_sec)


def _predictions_path(folder: Path, recording: str) -> Path:
    return folder / "readings" / f"{recording.replace(' ', '_')}.jsonl"


def _check_plan(output: Path, recipe: Recipe, demonstration: Demonstration, folds: int, frames: int) -> None:
    """Write the settings of this rehearsal; refuse a folder that holds a rehearsal with other settings."""
    plan = {
        "recipe": asdict(recipe),
        "annotation": Path(demonstration.path).read_text(encoding="utf-8"),
        "folds": folds,
        "max_frames": frames,
        **base_inputs(recipe.model),
    }
    plan = json.loads(json.dumps(plan))
    path = output / PLAN
    if not path.exists():
        write_text_atomically(path, json.dumps(plan, indent=2, ensure_ascii=False) + "\n")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name in plan if before.get(name) != plan[name]]
    if changed:
        raise ValueError(
            f"{output} holds a rehearsal with another {', '.join(changed)}; name another folder, or add --overwrite to "
            "replace it"
        )
