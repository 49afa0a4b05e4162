"""How well one demonstration adapts a base: task families that it never saw, settings side by side, over seeds.

    python benchmarks/one_shot.py run --families FOLDER/* --only default --seeds 0 1 2 --output runs/one_shot
    python benchmarks/one_shot.py table --output runs/one_shot --plot benchmarks/one_shot.png

A family is a folder with `demo.json`, `held_out/*.json` (the name of an episode begins with its kind: success, pause,
recovery, failure) and perhaps `more/*.json` (further demonstrations) and `held_out_camera/*.json` (another view). The
settings file names lists of recipe overrides. Every run is one JSON file, kept when it exists, so that an interrupted
call goes on where it stopped and two processes can share the work.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataset.annotation import write_text_atomically
from dataset.cli import run_command
from dataset.progress import label_curve
from dataset.recipe import load_document
from dataset.samples import Demonstration, read_demonstrations

os.environ.setdefault("OMP_NUM_THREADS", "1")
SUCCESS_THRESHOLD = 90.0
WRONG_TASK_WINDOWS = 8


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="adapt and judge; keeps what is there")
    run.add_argument("--families", nargs="+", required=True, help="folders, one task family each")
    run.add_argument("--recipe", default="recipes/nano.yaml")
    run.add_argument("--model", help="base to adapt, in place of the recipe's")
    run.add_argument("--settings", default="benchmarks/one_shot.yaml", help="YAML: name -> overrides and options")
    run.add_argument("--only", nargs="+", help="names of settings (default: all)")
    run.add_argument("--seeds", nargs="+", type=int, default=[0])
    run.add_argument("--output", required=True)
    table = commands.add_parser("table", help="print what runs reached, as Markdown")
    table.add_argument("--output", required=True)
    table.add_argument("--families", nargs="+", help="names of families to count (default: all)")
    table.add_argument("--per_family", action="store_true", help="one row per setting and family")
    table.add_argument("--plot", help="PNG to draw")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Run settings, or print the table of those that were run."""
    if arguments.command == "table":
        print_table(arguments)
        return
    settings = load_document(arguments.settings)
    for seed in arguments.seeds:
        for name in arguments.only or settings:
            if name not in settings:
                raise ValueError(f'{arguments.settings} has no setting "{name}"; it has {", ".join(settings)}')
            for folder in map(Path, arguments.families):
                run_one(name, settings[name], folder, seed, arguments)


def run_one(name: str, setting: Any, family: Path, seed: int, arguments: argparse.Namespace) -> None:
    """Adapt to one family by one setting and seed, judge it, write `NAME--FAMILY--SEED.json`."""
    result = Path(arguments.output) / f"{name}--{family.name}--{seed}.json"
    if result.exists():
        return
    claim = result.with_suffix(".claim")
    claim.parent.mkdir(parents=True, exist_ok=True)
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:
        print(f"{claim.name}: another process is at it (delete the file if none is)")
        return
    from infer.model import ProgressModel
    from train.lora import train_lora
    from train.recipe import read_recipe

    started = time.monotonic()
    demonstrations = [family / "demo.json"]
    demonstrations += sorted((family / "more").glob("*.json"))[: setting.get("demonstrations", 1) - 1]
    if len(demonstrations) < setting.get("demonstrations", 1):
        claim.unlink()
        print(f"{name}: {family} has {len(demonstrations)} demonstrations only, left out")
        return
    adapter = Path(arguments.output) / f"{name}--{family.name}--{seed}"
    overrides = [f"data.annotations=[{','.join(map(str, demonstrations))}]", f"sft.output_dir={adapter}"]
    overrides += [f"sft.seed={seed}", f"data.sampling.seed={seed}", "sft.disable_tqdm=true"]
    overrides += [f"model={arguments.model}"] if arguments.model else []
    recipe = read_recipe(arguments.recipe, [*overrides, *setting.get("overrides", [])])
    adapted = not setting.get("base_only", False)
    if adapted:
        train_lora(recipe, overwrite=True)
        model = ProgressModel.load(str(adapter), use_lora=True)
    else:
        model = ProgressModel.load(recipe.model)
    trained = time.monotonic() - started
    others = [json.loads((Path(f) / "demo.json").read_text())["task"] for f in arguments.families if Path(f) != family]
    episodes = list(judge(model, family, recipe.data.window, others, setting.get("readout", "text")))
    row = {"setting": name, "family": family.name, "seed": seed, "train_seconds": round(trained, 1)}
    row |= {"seconds": round(time.monotonic() - started, 1), "episodes": episodes}
    write_text_atomically(result, json.dumps(row) + "\n")
    claim.unlink()
    if adapted and not setting.get("keep", False):
        shutil.rmtree(adapter)
    print(f"{name} {family.name} {seed}: {format_row(summary([row]))}", flush=True)


def judge(model, family: Path, window, other_tasks: Sequence[str], readout: str) -> Iterator[dict[str, Any]]:
    """Yield one row per held-out episode: its metrics, its curve, and what other tasks' texts read on it."""
    from dataset.video import VideoReader
    from infer import metrics
    from infer.frames import EncodedVideo
    from infer.predict import predict_video

    def read(video, task, frames, reverse=False):
        answers = list(predict_video(model, video, task, window, frames, reverse=reverse, readout=readout))
        parsed = [answer.parsed_progress is not None for answer in answers]
        return np.array([np.nan if a.progress is None else a.progress for a in answers]), parsed

    held_out = sorted((family / "held_out").glob("*.json"))
    cameras = sorted((family / "held_out_camera").glob("*.json"))
    for path in [*held_out, *cameras]:
        (demonstration,) = read_demonstrations([path])
        annotation = demonstration.annotation
        reader = VideoReader(demonstration.video)
        video, frames = EncodedVideo(model, reader, keep_all=True), list(range(len(reader)))
        labels = label_curve(annotation)
        forward, parsed = read(video, annotation.task, frames)
        backward, parsed_back = read(video, annotation.task, frames, reverse=True)
        row = {
            "episode": path.stem,
            "kind": "camera" if path in cameras else kind_of(demonstration),
            "success": bool(annotation.success),
            "voc": metrics.voc(labels, forward),
            "cycle_voc": metrics.cycle_voc(labels, forward, labels[::-1], backward),
            "mae": metrics.mae(labels, forward),
            "final": metrics.final(forward),
            "final_label": float(labels[-1]),
            "parse_rate": float(np.mean(parsed + parsed_back)),
            "clock_mae": metrics.mae(labels, np.linspace(0, 100, len(labels))),
            "constant_mae": metrics.mae(labels, np.full(len(labels), 50.0)),
            "values": [None if np.isnan(value) else round(float(value), 1) for value in forward],
        }
        if row["kind"] == "success" and other_tasks:
            spread = np.linspace(0, len(frames) - 1, WRONG_TASK_WINDOWS).round().astype(int).tolist()
            values = np.concatenate([read(video, task, spread)[0] for task in other_tasks])
            row["wrong_task_mean"] = float(np.nanmean(values))
            row["wrong_task_below_30"] = float(np.mean(values < 30))
        yield row


def kind_of(demonstration: Demonstration) -> str:
    """Return success, pause, recovery or failure, from the beginning of the episode's name and its outcome."""
    if not demonstration.annotation.success:
        return "failure"
    kinds = [kind for kind in ("pause", "recovery") if kind in Path(demonstration.path).stem]
    return kinds[0] if kinds else "success"


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Average over episodes inside a run, then over runs; AUROC and shares over all episodes of each run."""
    from scipy.stats import mannwhitneyu

    def mean(values) -> float | None:
        values = [value for value in values if value is not None and np.isfinite(value)]
        return float(np.mean(values)) if values else None

    blocks = []
    for row in rows:
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for episode in row["episodes"]:
            by_kind.setdefault(episode["kind"], []).append(episode)
        good = [e for kind in ("success", "pause", "recovery") for e in by_kind.get(kind, [])]
        bad = by_kind.get("failure", [])
        finals = [[-1.0 if e["final"] is None else e["final"] for e in group] for group in (good, bad)]
        auroc = None
        if all(finals):
            auroc = float(mannwhitneyu(*finals).statistic) / (len(finals[0]) * len(finals[1]))
        blocks.append(
            {
                "voc": mean(e["voc"] for e in good if e["kind"] != "recovery"),
                "cycle_voc": mean(e["cycle_voc"] for e in good if e["kind"] != "recovery"),
                "mae": mean(e["mae"] for e in good if e["kind"] != "recovery"),
                "recovery_voc": mean(e["voc"] for e in by_kind.get("recovery", [])),
                "failures_below_90": mean(float(final < SUCCESS_THRESHOLD) for final in finals[1]),
                "auroc": auroc,
                "wrong_task": mean(e.get("wrong_task_mean") for e in good),
                "camera_voc": mean(e["voc"] for e in by_kind.get("camera", [])),
                "parse_rate": mean(e["parse_rate"] for e in good + bad),
                "train_seconds": row["train_seconds"],
            }
        )
    return {key: mean(block[key] for block in blocks) for key in blocks[0]}


def format_row(block: dict[str, float | None]) -> str:
    """Return one line of figures."""
    return ", ".join(f"{key} {'-' if value is None else f'{value:.2f}'}" for key, value in block.items())


def read_rows(folder: str, families: Sequence[str] | None) -> list[dict[str, Any]]:
    """Read the results of all runs in a folder."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*--*--*.json"))]
    return [row for row in rows if not families or row["family"] in families]


def print_table(arguments: argparse.Namespace) -> None:
    """Print one Markdown row per setting: the mean over families, and its spread over seeds where there are several."""
    rows = read_rows(arguments.output, arguments.families)
    if not rows:
        raise ValueError(f"{arguments.output} holds no results; make some with `one_shot.py run`")
    keys = list(dict.fromkeys((r["setting"], r["family"] if arguments.per_family else "") for r in rows))
    columns = list(summary(rows[:1]))
    print("| setting | family | seeds | " + " | ".join(columns) + " |")
    print("|---|---|---|" + "---|" * len(columns))
    table = {}
    for setting, family in keys:
        chosen = [r for r in rows if r["setting"] == setting and family in ("", r["family"])]
        seeds = sorted({r["seed"] for r in chosen})
        per_seed = [summary([r for r in chosen if r["seed"] == seed]) for seed in seeds]
        families = family or f"{len({r['family'] for r in chosen})} families"
        cells = [spread([block[column] for block in per_seed]) for column in columns]
        print(f"| {setting} | {families} | {len(seeds)} | " + " | ".join(cells) + " |")
        table[setting, family] = per_seed
    if arguments.plot:
        plot(table, Path(arguments.plot))


def spread(values: Sequence[float | None]) -> str:
    """Return the mean and, for several values, half of their range."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    half = f" ± {(max(values) - min(values)) / 2:.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{half}"


def plot(table: dict[tuple[str, str], list[dict[str, float | None]]], path: Path) -> None:
    """Draw VOC and Cycle-VOC of each setting, one bar each, with the single seeds as dots."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [" ".join(filter(None, key)) for key in table]
    figure, axes = plt.subplots(1, 3, figsize=(11, 0.8 + 0.32 * len(names)), sharey=True)
    for axis, column in zip(axes, ("cycle_voc", "recovery_voc", "auroc"), strict=True):
        values = [[b[column] for b in blocks if b[column] is not None] for blocks in table.values()]
        axis.barh(names, [np.mean(v) if v else 0 for v in values], color="#93b4e0")
        for number, seeds in enumerate(values):
            axis.plot(seeds, [number] * len(seeds), "o", color="#1f4e9c", markersize=4)
        axis.set(title=column, xlim=(min(0, *(min(v, default=0) for v in values)), 1.02))
        axis.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    run_command(make_parser(), main)
