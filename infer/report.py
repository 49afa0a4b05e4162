"""The report: base against adapter on annotated videos, as JSON, HTML and prediction files.

    python -m infer.report --model_path runs/mine/adapter --use_lora --annotations held_out/*.json --output runs/mine

Knows annotations, predictions and metrics. Does not know how either is made.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dataset.annotation import write_text_atomically
from dataset.cli import run_command
from dataset.progress import label_curve
from dataset.samples import Demonstration, read_demonstrations
from dataset.video import VideoReader
from infer import metrics
from infer.errors import ModelError
from infer.records import DEFAULT_MAX_SAMPLED_FRAMES, Prediction, make_records, write_records

READERS = ("base", "adapter")
FILMSTRIP_FRAMES = 10


@dataclass(frozen=True)
class EpisodeResult:
    """One episode, read forward and reversed by base and adapter.

    Args:
        demonstration: The annotated episode.
        frames: Source frames that were predicted, rising.
        labels: Percent at those frames, float64.
        predictions: Per reader, "base" and "adapter", the forward predictions.
        values: Per reader the forward percentages, nan where an answer had none.
        metrics: Per reader the metric block (`infer.metrics.METRICS`).
    """

    demonstration: Demonstration
    frames: list[int]
    labels: np.ndarray
    predictions: dict[str, list[Prediction]]
    values: dict[str, np.ndarray]
    metrics: dict[str, dict[str, float | None]]


def evaluate(model, demonstrations: Sequence[Demonstration], max_sampled_frames: int | None, batch_size: int = 32):
    """Yield an `EpisodeResult` per demonstration, successes first; all four passes over a video share vision features.

    Args:
        model: A `ProgressModel` with an adapter.
        demonstrations: Annotated episodes, best ones that the adapter was not trained on.
        max_sampled_frames: See `infer.predict.sampled_frames`.
        batch_size: Windows decoded together.
    """
    from infer.predict import EncodedVideo, choose_window, predict_video, sampled_frames

    window = choose_window(model)
    demonstrations = sorted(demonstrations, key=lambda demonstration: not demonstration.annotation.success)
    readers = [VideoReader(demonstration.video) for demonstration in demonstrations]
    chosen = [sampled_frames(len(reader), max_sampled_frames) for reader in readers]
    total = 2 * len(READERS) * sum(map(len, chosen))
    with tqdm(total=total, desc="base and adapter, forward and reversed", unit="window") as bar:
        for demonstration, reader, frames in zip(demonstrations, readers, chosen, strict=True):
            video = EncodedVideo(model, reader, keep_all=True)
            labels = label_curve(demonstration.annotation)[frames]
            predictions, values, blocks = {}, {}, {}
            for name in READERS:
                passes = {}
                for reverse in (False, True):
                    passes[reverse] = list(
                        predict_video(
                            model, video, demonstration.annotation.task, window, frames, reverse=reverse,
                            use_adapter=name == "adapter", batch_size=batch_size, progress_bar=bar,
                        )
                    )  # fmt: skip
                predictions[name] = passes[False]
                values[name] = _values(passes[False])
                parsed = [prediction.parsed_progress is not None for prediction in (*passes[False], *passes[True])]
                blocks[name] = metric_block(labels, values[name], _values(passes[True]), parsed)
            yield EpisodeResult(demonstration, frames, labels, predictions, values, blocks)


def metric_block(
    labels: np.ndarray, forward: np.ndarray, backward: np.ndarray, parsed: Sequence[bool] | None = None
) -> dict[str, float | None]:
    """Return all metrics of one episode.

    Args:
        labels: Percent per frame, forward.
        forward, backward: The percentages of both playbacks, each in its own order; nan for none.
        parsed: Per answer of both playbacks whether its text said the percentage; by default wherever there is one. An
            answer that ran past its budget has one that its text does not say (`infer.digits`).
    """
    return {
        "voc": metrics.voc(labels, forward),
        "cycle_voc": metrics.cycle_voc(labels, forward, labels[::-1], backward),
        "mae": metrics.mae(labels, forward),
        "final": metrics.final(forward),
        "parse_rate": metrics.parse_rate(
            np.concatenate([forward, backward]) if parsed is None else np.where(parsed, 0.0, np.nan)
        ),
    }


def _values(predictions: Sequence[Prediction]) -> np.ndarray:
    return np.array([np.nan if p.progress is None else p.progress for p in predictions])


def summarise(results: Sequence[EpisodeResult], train: dict[str, Any], seconds_total: float) -> dict[str, Any]:
    """Return the report as a JSON document: per episode, then averaged over episodes (all, successes, failures)."""
    outcomes = {"successes": True, "failures": False}
    return {
        "task": results[0].demonstration.annotation.task,
        **{name: _mean_block(results, name) for name in READERS},
        **{
            key: {
                "episodes": sum(r.demonstration.annotation.success is outcome for r in results),
                **{
                    name: _mean_block([r for r in results if r.demonstration.annotation.success is outcome], name)
                    for name in READERS
                },
            }
            for key, outcome in outcomes.items()
        },
        "episodes": [
            {
                "episode": result.demonstration.episode,
                "video": Path(result.demonstration.video).name,
                "success": result.demonstration.annotation.success,
                "frames": len(result.frames),
                "final_label": round(float(result.labels[-1]), 2),
                **{name: _rounded(result.metrics[name]) for name in READERS},
            }
            for result in results
        ],
        "train": train,
        "seconds_total": round(seconds_total, 1),
    }


def _mean_block(results: Sequence[EpisodeResult], name: str) -> dict[str, float | None]:
    return _rounded({key: metrics.mean_of_defined([r.metrics[name][key] for r in results]) for key in metrics.METRICS})


def _rounded(block: dict[str, float | None]) -> dict[str, float | None]:
    return {key: None if value is None else round(value, 4) for key, value in block.items()}


def format_table(report: dict[str, Any]) -> str:
    """Return the terminal table: metric, base, adapter; successes first, then failures."""
    rows = []
    for key, title in (("successes", "held-out successes"), ("failures", "held-out failures")):
        block = report[key]
        if not block["episodes"]:
            continue
        rows.append((f"{title} ({block['episodes']})", "base", "adapter"))
        rows += [(f"  {name}", *(_number(block[reader][name], name) for reader in READERS)) for name in metrics.METRICS]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows)


def _number(value: float | None, metric: str) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if metric in ("mae", "final") else f"{value:.2f}"


def write_report(results: Sequence[EpisodeResult], report: dict[str, Any], output: str | Path) -> None:
    """Write `report.json`, `report.html` and `predictions/<episode>.<reader>.jsonl` into a folder."""
    output = Path(output)
    for result in results:
        annotation = result.demonstration.annotation
        for name in READERS:
            records = make_records(result.demonstration.video, annotation.task, result.predictions[name])
            write_records(output / "predictions" / f"{result.demonstration.episode}.{name}.jsonl", records)
    write_text_atomically(output / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    write_text_atomically(output / "report.html", render_html(results, report))


def render_html(results: Sequence[EpisodeResult], report: dict[str, Any]) -> str:
    """Return one self-contained page: the table, and per episode a plot over a filmstrip; opens offline."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("infer", ""), autoescape=True)
    environment.filters["number"] = _number
    return environment.get_template("report.html").render(
        report=report,
        metric_names=metrics.METRICS,
        plots=[_plot(result) for result in results],
        filmstrips=[_filmstrip(result) for result in results],
    )


def _plot(result: EpisodeResult) -> str:
    """Draw label, base and adapter over time; returns a data URL."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    seconds = [prediction.timestamp_sec for prediction in result.predictions["base"]]
    figure, axis = plt.subplots(figsize=(9, 2.6))
    axis.plot(seconds, result.labels, color="#6b7280", linewidth=2.2, linestyle=(0, (5, 2)), label="label")
    axis.plot(seconds, result.values["base"], color="#d97706", linewidth=1.2, alpha=0.9, label="base")
    axis.plot(seconds, result.values["adapter"], color="#1d4ed8", linewidth=1.8, label="adapter")
    axis.set(
        xlim=(seconds[0], max(seconds[-1], seconds[0] + 1e-3)), ylim=(-4, 104), xlabel="seconds", ylabel="progress (%)"
    )
    axis.grid(alpha=0.25)
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=8, borderpad=0)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    figure.subplots_adjust(left=0.07, right=0.995, top=0.91, bottom=0.18)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _filmstrip(result: EpisodeResult) -> str:
    """Put evenly spread frames side by side; returns a data URL."""
    from PIL import Image

    reader = VideoReader(result.demonstration.video)
    indices = np.linspace(0, len(reader) - 1, FILMSTRIP_FRAMES).round().astype(int)
    thumbnails = []
    for frame in reader.frames(indices):
        image = Image.fromarray(frame)
        image.thumbnail((96, 96))
        thumbnails.append(np.asarray(image))
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(thumbnails, axis=1)).save(buffer, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def read_train_summary(adapter: str | Path) -> dict[str, Any]:
    """Return seconds, steps and samples of the training run, as written beside the adapter."""
    path = Path(adapter) / "train_summary.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ModelError(
            f"{path} cannot be read ({error}); use an adapter folder that `python -m train` wrote"
        ) from None


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infer.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model_path", required=True, help="adapter folder")
    parser.add_argument(
        "--use_lora", action="store_true", help="--model_path is a LoRA adapter folder (it must be one)"
    )
    parser.add_argument("--annotations", nargs="+", required=True, help="annotated held-out episodes (JSON)")
    parser.add_argument("--output", required=True, help="folder for report.json, report.html and predictions/")
    parser.add_argument("--base_model", help="base to use in place of the one that the adapter names")
    parser.add_argument("--torch_dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--max_sampled_frames", type=int, default=DEFAULT_MAX_SAMPLED_FRAMES, help="frames per episode")
    parser.add_argument("--batch_size", type=int, default=32, help="windows decoded together")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Evaluate base and adapter, write the report, print the table."""
    started = time.monotonic()
    if not arguments.use_lora:
        raise ModelError("the report compares an adapter with its base; give an adapter folder and --use_lora")
    demonstrations = read_demonstrations(arguments.annotations)
    train = read_train_summary(arguments.model_path)

    from infer.model import ProgressModel

    model = ProgressModel.load(arguments.model_path, True, arguments.base_model, arguments.torch_dtype)
    results = list(evaluate(model, demonstrations, arguments.max_sampled_frames, arguments.batch_size))
    report = summarise(results, train, train["seconds"] + time.monotonic() - started)
    write_report(results, report, arguments.output)
    print(format_table(report))
    print(f"report: {Path(arguments.output) / 'report.html'}")


if __name__ == "__main__":
    run_command(make_parser(), main)
