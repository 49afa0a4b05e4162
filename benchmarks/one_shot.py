"""How well one demonstration adapts a base: task families that it has not seen, settings side by side, over seeds.

    python benchmarks/one_shot.py run --families FOLDER/* --only default --seeds 0 1 2 --output runs/one_shot
    python benchmarks/one_shot.py table --output runs/one_shot --plot benchmarks/one_shot.png

A family is a folder with `demo.json`, `held_out/*.json` (the name of an episode begins with its kind: success, pause,
recovery, failure) and perhaps `more/*.json` (further demonstrations) and `held_out_camera/*.json` (another view). The
settings file names lists of recipe overrides. Every run is one JSON file and is kept if it exists: an interrupted call
continues, and two processes can share the work. A file that was made with other settings is an error. If a base was
replaced under the same path, name another --output.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dataset.demonstration import Demonstration, read_demonstrations
from dataset.files import write_text_atomically
from dataset.labels import label_curve
from dataset.recipe import load_document
from infer.metrics import progress as metrics
from infer.metrics.intervals import bootstrap_interval
from infer.metrics.progress import mean_of_defined
from infer.metrics.success import auroc
from train.recipe import Recipe, read_recipe

os.environ.setdefault("OMP_NUM_THREADS", "1")
LOW_END = 90.0  # percent: where a failed episode should end, at most
WRONG_TASK_WINDOWS = 8


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="adapt and evaluate; keeps results that exist")
    run.add_argument("--families", nargs="+", required=True, help="folders, one task family each")
    run.add_argument("--recipe", default="recipes/nano.yaml")
    run.add_argument("--model", help="base to adapt, instead of the recipe's")
    run.add_argument("--settings", default="benchmarks/one_shot.yaml", help="YAML: name -> overrides and options")
    run.add_argument("--only", nargs="+", help="names of settings (default: all)")
    run.add_argument("--seeds", nargs="+", type=int, default=[0])
    run.add_argument("--max_sampled_frames", type=int, help="frames per playback (default: all), for a quicker look")
    run.add_argument("--output", required=True)
    table = commands.add_parser("table", help="print the results of runs, as Markdown")
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
    """Adapt to one family with one setting and seed, evaluate, write `NAME--FAMILY--SEED.json`.

    Raises:
        ValueError: There is such a result, but made with other settings.
    """
    result = Path(arguments.output) / f"{name}--{family.name}--{seed}.json"
    count = setting.get("demonstrations", 1)
    demonstrations = [family / "demo.json", *sorted((family / "more").glob("*.json"))[: count - 1]]
    if len(demonstrations) < count:
        print(f"{name}: {family} has {len(demonstrations)} demonstrations, the setting needs {count}: left out")
        return
    recipe = build_recipe(setting, demonstrations, seed, result.with_suffix(""), arguments)
    way = how_made(recipe, setting, family, arguments)
    if result.exists():
        if json.loads(result.read_text(encoding="utf-8"))["way"] != way:
            raise ValueError(
                f"{result} was made with another recipe or other frames or families; name another --output"
            )
        return
    claim = result.with_suffix(".claim")
    claim.parent.mkdir(parents=True, exist_ok=True)
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:
        print(f"{claim}: another process works on it (delete the file if none does)")
        return
    try:
        figures = adapt_and_evaluate(recipe, setting.get("base_only", False), family, way)
        row = {"setting": name, "family": family.name, "seed": seed, "way": way, **figures}
        write_text_atomically(result, json.dumps(row) + "\n")
    finally:
        claim.unlink()
    print(f"{name} {family.name} {seed}: {format_row(summary([row]))}", flush=True)


def build_recipe(
    setting: Any, demonstrations: Sequence[Path], seed: int, adapter: Path, arguments: argparse.Namespace
) -> Recipe:
    """Return the recipe of one run."""
    overrides = [f"data.annotations=[{','.join(map(str, demonstrations))}]", f"sft.output_dir={adapter}"]
    overrides += [f"sft.seed={seed}", f"data.sampling.seed={seed}", "sft.disable_tqdm=true"]
    overrides += [f"model={arguments.model}"] if arguments.model else []
    return read_recipe(arguments.recipe, [*overrides, *setting.get("overrides", [])])


def how_made(recipe: Recipe, setting: Any, family: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return everything that the figures of a run depend on, except the contents of the named files."""
    others = [json.loads((Path(f) / "demo.json").read_text())["task"] for f in arguments.families if Path(f) != family]
    way = {
        "recipe": asdict(recipe),
        "base_only": setting.get("base_only", False),
        "readout": setting.get("readout", "text"),
        "max_sampled_frames": arguments.max_sampled_frames,
        "other_tasks": sorted(others),
    }
    return json.loads(json.dumps(way))  # as a result file holds it


def adapt_and_evaluate(recipe: Recipe, base_only: bool, family: Path, way: dict[str, Any]) -> dict[str, Any]:
    """Return times and episodes of one run; its adapter is deleted."""
    from infer.model.model import ProgressModel
    from infer.model.source import ModelSource
    from train.lora import train_lora

    started = time.monotonic()
    if base_only:
        model = ProgressModel.load(ModelSource(recipe.model))
    else:
        adapter = recipe.sft["output_dir"]
        train_lora(recipe, overwrite=True)
        model = ProgressModel.load(ModelSource(adapter, use_lora=True))
        shutil.rmtree(adapter)
    trained = time.monotonic() - started
    episodes = list(
        evaluate(model, family, recipe.data.window, way["other_tasks"], way["readout"], way["max_sampled_frames"])
    )
    seconds = time.monotonic() - started
    return {"train_seconds": round(trained, 1), "seconds": round(seconds, 1), "episodes": episodes}


def evaluate(
    model, family: Path, window, other_tasks: Sequence[str], readout: str, max_sampled_frames: int | None
) -> Iterator[dict[str, Any]]:
    """Yield one row per held-out episode: labels, both playbacks, and the values for other tasks."""
    from dataset.video import VideoReader
    from infer.decoding.settings import Decoding
    from infer.model.encoded_video import EncodedVideo
    from infer.playback import predict_video
    from infer.request import FrameChoice

    def predict(video, task, frames, reverse=False):
        decoding = Decoding(readout=readout)
        predictions = list(predict_video(model, video, task, window, frames, reverse, decoding=decoding))
        return [p.progress for p in predictions], [p.parsed_progress is not None for p in predictions]

    cameras = sorted((family / "held_out_camera").glob("*.json"))
    for path in [*sorted((family / "held_out").glob("*.json")), *cameras]:
        (demonstration,) = read_demonstrations([path])
        reader = VideoReader(demonstration.video)
        video = EncodedVideo(model, reader, keep_all=True)
        frames = FrameChoice(max_sampled_frames=max_sampled_frames).frames(len(reader))
        forward, parsed = predict(video, demonstration.annotation.task, frames)
        backward, parsed_back = predict(video, demonstration.annotation.task, frames, reverse=True)
        row = {
            "episode": path.stem,
            "kind": "camera" if path in cameras else kind_of(demonstration),
            "success": bool(demonstration.annotation.success),
            "labels": label_curve(demonstration.annotation)[frames].round(2).tolist(),
            "forward": forward,
            "backward": backward,
            "parse_rate": float(np.mean(parsed + parsed_back)),
        }
        if row["kind"] == "success" and other_tasks:
            spread = FrameChoice(max_sampled_frames=WRONG_TASK_WINDOWS).frames(len(reader))
            row["wrong_task"] = [value for task in other_tasks for value in predict(video, task, spread)[0]]
        yield row


def kind_of(demonstration: Demonstration) -> str:
    """Return success, pause, recovery or failure, from the name of the episode and its outcome."""
    if not demonstration.annotation.success:
        return "failure"
    kinds = [kind for kind in ("pause", "recovery") if kind in Path(demonstration.path).stem]
    return kinds[0] if kinds else "success"


def baselines(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the run of the time baseline (0 to 100 over each playback) and of the constant baseline, 50."""
    for name in ("time baseline", "constant baseline"):
        episodes = []
        for episode in row["episodes"]:
            count = len(episode["labels"])
            values = np.linspace(0.0, 100.0, count).tolist() if name == "time baseline" else [50.0] * count
            kept = {key: value for key, value in episode.items() if key != "wrong_task"}
            episodes.append(kept | {"forward": values, "backward": values, "parse_rate": None})
        yield row | {"setting": name, "seed": 0, "train_seconds": None, "episodes": episodes}


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Average each figure over the episodes of a run, then over runs.

    voc, cycle_voc and mae are those of successes and pauses; `failures_below_90` is the share of failed episodes whose
    final value is below 90 %, `auroc` the probability that a success ends above a failure of the same run, `wrong_task`
    the mean percentage for the task of another family.
    """
    blocks = [_summary_of_run(row) for row in rows]
    return {key: mean_of_defined([block[key] for block in blocks]) for key in blocks[0]}


def _summary_of_run(row: dict[str, Any]) -> dict[str, float | None]:
    blocks = [episode_figures(episode) for episode in row["episodes"]]
    episodes = [episode for episode in row["episodes"] if episode["kind"] != "camera"]
    ends = [(episode["success"], _values(episode, "forward")[-1]) for episode in episodes]
    return {key: mean_of_defined([block[key] for block in blocks]) for key in blocks[0]} | {
        "auroc": auroc(*zip(*ends, strict=True)) if ends else None,
        "train_seconds": row["train_seconds"],
    }


def episode_figures(episode: dict[str, Any]) -> dict[str, float | None]:
    """Return the figures of one episode; None for those that its kind does not have."""
    kind, labels, forward = episode["kind"], np.array(episode["labels"]), _values(episode, "forward")
    plain, voc = kind in ("success", "pause"), metrics.voc(labels, forward)
    cycle_voc = metrics.cycle_voc(labels, forward, labels[::-1], _values(episode, "backward"))
    return {
        "voc": voc if plain else None,
        "cycle_voc": cycle_voc if plain else None,
        "mae": metrics.mae(labels, forward) if plain else None,
        "recovery_voc": voc if kind == "recovery" else None,
        "failures_below_90": float(forward[-1] < LOW_END) if kind == "failure" else None,
        "wrong_task": mean_of_defined(episode.get("wrong_task", [])) if plain else None,
        "camera_voc": voc if kind == "camera" else None,
        "parse_rate": episode["parse_rate"] if kind != "camera" else None,
    }


def intervals(rows: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float] | None]:
    """Return the bootstrap interval of each figure over the episodes of all families, each averaged over its seeds."""
    episodes: dict[tuple[str, str], list[dict[str, float | None]]] = {}
    for row in rows:
        for episode in row["episodes"]:
            key = row["family"], f"{episode['kind']} {episode['episode']}"
            episodes.setdefault(key, []).append(episode_figures(episode))
    names = next(iter(episodes.values()))[0]
    return {
        name: bootstrap_interval([mean_of_defined([block[name] for block in blocks]) for blocks in episodes.values()])
        for name in names
    }


def _values(episode: dict[str, Any], playback: str) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in episode[playback]], dtype=np.float64)


def format_row(block: dict[str, float | None]) -> str:
    """Return one line of figures."""
    return ", ".join(f"{key} {'-' if value is None else f'{value:.2f}'}" for key, value in block.items())


def read_rows(folder: str, families: Sequence[str] | None) -> list[dict[str, Any]]:
    """Read the results of all runs in a folder."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*--*--*.json"))]
    return [row for row in rows if not families or row["family"] in families]


def print_table(arguments: argparse.Namespace) -> None:
    """Print a Markdown row per setting: means, spread over seeds (±), 95 % intervals over episodes (brackets)."""
    rows = read_rows(arguments.output, arguments.families)
    if not rows:
        raise ValueError(f"{arguments.output} holds no results; make some with `one_shot.py run`")
    by_family = {row["family"]: row for row in rows}
    rows = [*(baseline for row in by_family.values() for baseline in baselines(row)), *rows]
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
        bounds = intervals(chosen)
        cells = [spread([block[column] for block in per_seed], bounds.get(column)) for column in columns]
        print(f"| {setting} | {families} | {len(seeds)} | " + " | ".join(cells) + " |")
        table[setting, family] = per_seed
    if arguments.plot:
        plot(table, Path(arguments.plot))


def spread(values: Sequence[float | None], bounds: tuple[float, float] | None = None) -> str:
    """Return the mean, for several values half of their range, and the bounds of an interval if there is one."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    half = f" ± {(max(values) - min(values)) / 2:.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{half}" + (f" [{bounds[0]:.2f}, {bounds[1]:.2f}]" if bounds else "")


def plot(table: dict[tuple[str, str], list[dict[str, float | None]]], path: Path) -> None:
    """Draw four figures of each setting, one bar each, with the single seeds as dots."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [" ".join(filter(None, key)) for key in table]
    figure, axes = plt.subplots(1, 4, figsize=(13, 0.8 + 0.32 * len(names)), sharey=True)
    for axis, column in zip(axes, ("cycle_voc", "mae", "recovery_voc", "auroc"), strict=True):
        values = [[b[column] for b in blocks if b[column] is not None] for blocks in table.values()]
        axis.barh(names, [np.mean(v) if v else 0 for v in values], color="#93b4e0")
        for number, seeds in enumerate(values):
            axis.plot(seeds, [number] * len(seeds), "o", color="#1f4e9c", markersize=4)
        axis.set(title=column)
        if column != "mae":  # points of 100; the others end at 1
            axis.set_xlim(min(0, *(min(v, default=0) for v in values)), 1.02)
        axis.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(make_parser().parse_args())
