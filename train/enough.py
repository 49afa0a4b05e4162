"""Is one demonstration enough? Adapt to a part of it, read the rest, and say what to annotate next.

    python -m train.enough my.json --config recipes/nano.yaml --output runs/enough

A part of every stage is held out in turn; each run learns the rest by the recipe given, and reads the held-out part as
recorded and in perturbed copies (cropped, darker, brighter, half and double speed). What comes out is optimistic: the
part lies in the recording whose rest was learnt, and windows beside it show pictures of both. It finds what one
demonstration cannot teach; only another episode shows what it does teach. A run that was interrupted goes on when the
same command is given again. It lives here, and not beside the report, because it trains.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dataset.command_line import run_command
from dataset.demonstration import Demonstration, read_demonstrations
from dataset.files import write_text_atomically
from dataset.labels import plan_steps
from dataset.samples import build_sample_set, demonstration_curve
from dataset.video import VideoReader, set_default_backend
from infer.metrics.stages import answered_stages, labelled_stages
from infer.records import make_records, read_records, write_records
from train.recipe import EvaluationSection, Recipe, read_recipe
from train.rehearsal.disagreement import Stretch, find_disagreements
from train.rehearsal.folds import Part, split_stages, without_fold
from train.rehearsal.page import print_answer, summarise_rehearsal, write_page
from train.rehearsal.perturbed import COPIES, RECORDED, ChangedVideo
from train.training_data import make_training_data

FOLDS = 3
MAX_FRAMES = 160
PLAN = "plan.json"


def rehearse(recipe: Recipe, output: Path, folds: int = FOLDS, max_frames: int = MAX_FRAMES) -> dict:
    """Train once per fold, read every frame by the run that did not learn it, and write what was found.

    Args:
        recipe: How to train; `data.annotations` names the one demonstration.
        output: Folder for `enough.json`, `enough.html` and a folder per fold; what is there already is used.
        folds: Number of parts of every stage, and of runs; at least 2.
        max_frames: Frames judged, spread evenly.

    Returns:
        The document of `enough.json`.
    """
    if folds < 2:
        raise ValueError(f"--folds is {folds}; at least 2 are needed: one part is held out, another one is learnt")
    set_default_backend(recipe.data.video_backend)
    demonstration = read_demonstrations(recipe.data.annotations)[0]
    annotation, reader = demonstration.annotation, VideoReader(demonstration.video)
    _agree_with_earlier(output, recipe, demonstration, folds, max_frames)
    parts = split_stages(annotation, folds)
    labels = demonstration_curve(demonstration, recipe.data.labels)
    judged = [t for t in spread(annotation.num_frames, max_frames) if np.isfinite(labels[t])]
    frames_of = [_frames_of(parts, number, judged) for number in range(folds)]

    base = None
    rows: dict[str, dict[int, dict]] = {copy.name: {} for copy in COPIES}
    for number in range(folds):
        folder = output / f"fold-{number + 1}"
        missing = [copy for copy in COPIES if not _readings_path(folder, copy.name).exists()]
        if missing:
            print(f"\n== part {number + 1} of {folds} of every stage is held out", flush=True)
            base = learn_and_read(recipe, demonstration, parts, number, frames_of[number], folder, missing, base)
        for copy in COPIES:
            rows[copy.name] |= {row["frame_index"]: row for row in read_records(_readings_path(folder, copy.name))}

    frames = sorted(rows[RECORDED.name])
    readings = {
        name: np.array([np.nan if by_frame[t]["progress"] is None else by_frame[t]["progress"] for t in frames])
        for name, by_frame in rows.items()
    }
    labelled = labelled_stages(annotation, frames)
    answered = answered_stages(annotation, [rows[RECORDED.name][t]["model_output"] for t in frames])
    steps = [step.subtask for step in plan_steps(annotation).steps]
    stretches = [_stretch(part, reader) for part in parts]
    found = find_disagreements(stretches, frames, labels[frames], readings, steps, labelled, answered)
    document = summarise_rehearsal(demonstration, reader, frames, labels[frames], readings, labelled, answered, found)
    document |= {"folds": folds, "recipe": asdict(recipe)}
    write_text_atomically(output / "enough.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    write_page(output / "enough.html", document, reader)
    return document


def learn_and_read(
    recipe: Recipe,
    demonstration: Demonstration,
    parts: Sequence[Part],
    number: int,
    frames: list[int],
    folder: Path,
    copies: Sequence,
    base=None,
):
    """Train one fold, or take its finished adapter, and write the readings of its held-out frames in some copies.

    Returns:
        The bare base model, for the next fold.
    """
    from infer.model.encoded_video import EncodedVideo
    from infer.playback import advance, predict_video
    from train.adapter_writer import bare_base
    from train.configs import build_configs
    from train.lora import load_base, train_lora

    samples = build_sample_set([demonstration], recipe.data.window, recipe.data.sampling, recipe.data.labels)
    kept = without_fold(samples, parts, number)
    if not kept:
        raise ValueError(f"no sample is left when part {number + 1} of every stage is held out; use fewer --folds")
    fold = fold_recipe(recipe, folder)
    data = make_training_data(fold, kept, [demonstration])
    base = base or load_base(fold, build_configs(fold, folder / "adapter")[1])
    adapter = train_lora(fold, resume=True, base=base, data=data)
    model = bare_base(base).with_adapter(adapter)
    task, window = demonstration.annotation.task, recipe.data.window
    recording = VideoReader(demonstration.video)
    with tqdm(total=len(copies) * len(frames), desc="held-out frames, all copies", unit="window") as bar:
        as_recorded = EncodedVideo(model, recording, keep_all=True)
        for copy in copies:
            video = as_recorded
            if copy.change is not None:
                video = EncodedVideo(model, ChangedVideo(recording, copy.change))
            predictions = list(advance(bar, predict_video(model, video, task, copy.window(window), frames)))
            write_records(_readings_path(folder, copy.name), make_records(demonstration.video, task, predictions))
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


def _frames_of(parts: Sequence[Part], number: int, judged: Sequence[int]) -> list[int]:
    return [t for t in judged if any(part.number == number and part.start <= t < part.end for part in parts)]


def _stretch(part: Part, reader: VideoReader) -> Stretch:
    times = reader.timestamps_sec
    end_sec = float(times[part.end]) if part.end < len(reader) else float(times[-1] + 1.0 / reader.fps)
    return Stretch(part.name, part.stage, part.start, part.end, float(times[part.start]), end_sec)


def _readings_path(folder: Path, copy: str) -> Path:
    return folder / "readings" / f"{copy.replace(' ', '_')}.jsonl"


def _agree_with_earlier(output: Path, recipe: Recipe, demonstration: Demonstration, folds: int, frames: int) -> None:
    """Write down what this rehearsal is, or refuse to go on with a folder that holds another one."""
    plan = {
        "recipe": asdict(recipe),
        "annotation": Path(demonstration.path).read_text(encoding="utf-8"),
        "folds": folds,
        "max_frames": frames,
    }
    plan = json.loads(json.dumps(plan))
    path = output / PLAN
    if not path.exists():
        write_text_atomically(path, json.dumps(plan, indent=2, ensure_ascii=False) + "\n")
    elif json.loads(path.read_text(encoding="utf-8")) != plan:
        raise ValueError(
            f"{output} holds a rehearsal of another annotation, recipe or number of folds; name another folder, or add "
            "--overwrite to start again there"
        )


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.enough", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotation", help="the one annotated demonstration (JSON)")
    parser.add_argument("--config", required=True, help="recipe (YAML) to train with; see recipes/")
    parser.add_argument("--output", required=True, help="folder for enough.json, enough.html and a folder per fold")
    parser.add_argument("--folds", type=int, default=FOLDS, help="parts of every stage, one run each (default 3)")
    parser.add_argument("--max_frames", type=int, default=MAX_FRAMES, help="frames judged, evenly spread (default 160)")
    parser.add_argument("--overwrite", action="store_true", help="start again in a folder that holds a rehearsal")
    parser.add_argument("overrides", nargs="*", help="key=value of the recipe, for example sft.num_train_epochs=3")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Rehearse, say what was found."""
    output = Path(arguments.output)
    overrides = [*arguments.overrides, f"data.annotations=[{json.dumps(arguments.annotation)}]"]
    recipe = read_recipe(arguments.config, overrides)
    recipe = replace(recipe, sft={**recipe.sft, "output_dir": str(output)})
    if arguments.overwrite and (output / PLAN).exists():
        for folder in output.glob("fold-*"):
            shutil.rmtree(folder)
        (output / PLAN).unlink()
    document = rehearse(recipe, output, arguments.folds, arguments.max_frames)
    print_answer(document)
    print(f"page: {output / 'enough.html'}")


if __name__ == "__main__":
    run_command(make_parser(), main)
