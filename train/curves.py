"""Log, curves and predictions of a run in progress: as files, and in wandb and TensorBoard if the recipe sets it.

Knows the trainer's log and the evaluations of held-out episodes; does not know how they are made.
"""

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from dataset.files import json_lines, write_text_atomically
from dataset.video import VideoReader
from infer.model.adapter_folder import CURVES, EVALUATIONS, HELD_OUT, TRAINING_LOG, WANDB_ID
from infer.records import make_records, write_records
from train.evaluation import EpisodeEvaluation
from train.trl_internals import reported_names, tensorboard_writer

SECONDS_BETWEEN_DRAWINGS = 30.0
COMPARED = "label: measured, else linear in a stage; value: of every answer, filled-in numbers too; as in the report"
_LABEL, _ADAPTER, _SECOND = "#6b7280", "#1d4ed8", "#d97706"  # as in the report


class CurveFiles(TrainerCallback):
    """Keeps `training_log.jsonl` and `curves.png` in the run's folder up to date.

    Both are written from the whole log of the trainer: a resumed run continues them from its checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drawn_at = time.monotonic()

    def on_log(self, args, state, control, **kwargs) -> None:
        if not state.is_world_process_zero:
            return
        write_log(self._folder / TRAINING_LOG, state.log_history)
        if time.monotonic() - self._drawn_at > SECONDS_BETWEEN_DRAWINGS:
            self._draw(state)

    def on_evaluate(self, args, state, control, **kwargs) -> None:
        self._draw(state)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        self._draw(state)

    def _draw(self, state) -> None:
        if state.is_world_process_zero:
            draw_curves(self._folder / CURVES, state.log_history)
            self._drawn_at = time.monotonic()


def write_log(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the trainer's log as JSONL; an undefined number is null."""
    cleaned = [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows]
    write_text_atomically(path, json_lines(cleaned))


def draw_curves(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the loss, and where there were evaluations VOC with Cycle-VOC, MAE and parse rate, over the steps."""
    panels: list[tuple[str, tuple[tuple[str, str, str], ...]]] = [("loss", (("loss", "training loss", _ADAPTER),))]
    if any("eval_voc" in row for row in rows):
        panels += [
            ("rank correlation", (("eval_voc", "VOC", _SECOND), ("eval_cycle_voc", "Cycle-VOC", _ADAPTER))),
            ("points of 100", (("eval_mae", "mean absolute error", _ADAPTER),)),
            ("share", (("eval_parse_rate", "answers with a percentage", _ADAPTER),)),
        ]
    figure, axes = _figure(1, len(panels), width=4.2 * len(panels), height=2.9)
    last_step = max((row.get("step", 0) for row in rows), default=0)
    for axis, (unit, lines) in zip(axes[0], panels, strict=True):
        for key, label, colour in lines:
            points = [(row["step"], row[key]) for row in rows if row.get(key) is not None and "step" in row]
            axis.plot(*zip(*points, strict=True) if points else ([], []), color=colour, marker=".", label=label)
        axis.set(xlabel="step", ylabel=unit, xlim=(-0.02 * last_step, 1.02 * max(last_step, 1)))
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8, borderpad=0)
        if unit == "share":
            axis.set_ylim(-0.03, 1.03)
        elif unit == "rank correlation":
            axis.set_ylim(-1.05, 1.05)
        else:
            axis.set_ylim(bottom=0)
    _save(figure, path)


def show_evaluation(folder: Path, step: int, evaluations: Sequence[EpisodeEvaluation]) -> None:
    """Write the predictions of an evaluation (JSONL per episode) and its plot; `held_out.png` is the latest."""
    target = folder / EVALUATIONS / f"step-{step:06d}"
    for evaluation in evaluations:
        demonstration = evaluation.demonstration
        records = make_records(demonstration.video, demonstration.annotation.task, evaluation.predictions)
        write_records(target / f"{demonstration.name}.jsonl", records)
    draw_evaluations(target / HELD_OUT, step, evaluations)
    (folder / HELD_OUT).write_bytes((target / HELD_OUT).read_bytes())


def draw_evaluations(path: Path, step: int, evaluations: Sequence[EpisodeEvaluation]) -> None:
    """Draw predictions against labels, one row per episode: over time, and point by point."""
    drawn = evaluations[:8]  # a picture holds no more rows; the JSONL files have all
    figure, axes = _figure(len(drawn), 2, width=9.5, height=2.3 * len(drawn), widths=(3, 1))
    for (curve, scatter), evaluation in zip(axes, drawn, strict=True):
        seconds = [prediction.timestamp_sec for prediction in evaluation.predictions]
        curve.plot(seconds, evaluation.labels, color=_LABEL, linewidth=2, linestyle=(0, (5, 2)), label="label")
        curve.plot(seconds, evaluation.values, color=_ADAPTER, linewidth=1.6, marker=".", label=f"step {step}")
        voc, cycle, mae = (_number(evaluation.metrics[name]) for name in ("voc", "cycle_voc", "mae"))
        curve.set_title(
            f"{evaluation.demonstration.name}: VOC {voc}, Cycle-VOC {cycle}, MAE {mae}", fontsize=9, loc="left"
        )
        curve.set(ylim=(-4, 104), ylabel="progress (%)", xlabel="seconds")
        scatter.plot([0, 100], [0, 100], color=_LABEL, linewidth=1)
        scatter.plot(evaluation.labels, evaluation.values, ".", color=_ADAPTER)
        scatter.set(xlim=(-4, 104), ylim=(-4, 104), xlabel="label (%)", ylabel="predicted (%)")
    axes[0][0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8, borderpad=0)
    figure.supxlabel(COMPARED, fontsize=7)
    _save(figure, path)


def report_evaluation(trainer: Any, folder: Path, evaluations: Sequence[EpisodeEvaluation]) -> None:
    """Send the plot and a table of some answers to wandb and TensorBoard if the run reports there."""
    step = trainer.state.global_step
    wandb = wandb_run(trainer.args.report_to)
    if wandb:
        wandb.log(
            {
                "held_out/predicted_against_label": wandb.Image(str(folder / HELD_OUT)),
                "held_out/answers": wandb.Table(columns=_COLUMNS, data=_table(wandb, evaluations)),
                "train/global_step": step,
            }
        )
    writer = tensorboard_writer(trainer)
    if writer:
        from PIL import Image

        picture = np.asarray(Image.open(folder / HELD_OUT).convert("RGB"))
        writer.add_image("held_out/predicted_against_label", picture, step, dataformats="HWC")


def wandb_run(report_to: Sequence[str]) -> Any:
    """Return the wandb module if this run reports there and has been started, else None."""
    if "wandb" not in report_to:
        return None
    import wandb

    return wandb if wandb.run is not None else None


@contextmanager
def one_wandb_run(report_to: Sequence[str], folder: Path) -> Iterator[None]:
    """Let the run inside the block report to one wandb run, before and after an interruption.

    Its id is kept in the run's folder. An id in the environment (`WANDB_RUN_ID`) goes first.
    """
    if "wandb" not in report_to or os.environ.get("WANDB_RUN_ID"):
        yield
        return
    path = folder / WANDB_ID
    if not path.exists():
        write_text_atomically(path, f"{uuid.uuid4().hex[:12]}\n")
    environment = {"WANDB_RUN_ID": path.read_text(encoding="utf-8").strip(), "WANDB_RESUME": "allow"}
    os.environ.update(environment)
    try:
        yield
    except BaseException:
        wandb = wandb_run(report_to)
        if wandb:  # else the next run of this process would report there
            wandb.finish(exit_code=1)
        raise
    finally:
        for name in environment:
            os.environ.pop(name, None)


class WandbCatchUp(TrainerCallback):
    """Sends a resumed run's log up to its checkpoint to wandb, as far as wandb does not have it.

    A process that is killed takes the last rows with it; offline, each part of a run is a file of its own.
    """

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        wandb = wandb_run(args.report_to)
        if not wandb or not state.is_world_process_zero:
            return
        known = wandb.run.summary.get("train/global_step")
        for row in state.log_history:
            if known is None or row["step"] > known:
                wandb.log({**reported_names(row), "train/global_step": row["step"]})


def report_adapter(report_to: Sequence[str], output: Path) -> None:
    """Upload the complete adapter folder to wandb as an artifact and close its run."""
    wandb = wandb_run(report_to)
    if wandb:
        artifact = wandb.Artifact(f"{wandb.run.name or wandb.run.id}-adapter".replace(" ", "-"), type="model")
        artifact.add_dir(str(output))
        wandb.log_artifact(artifact)
        wandb.finish()


_COLUMNS = ["episode", "frame", "current frame", "label", "predicted", "answer"]


def _table(wandb: Any, evaluations: Sequence[EpisodeEvaluation], rows_per_episode: int = 6) -> list[list[Any]]:
    rows = []
    for evaluation in evaluations:
        reader = VideoReader(evaluation.demonstration.video)
        count = len(evaluation.predictions)
        chosen = np.linspace(0, count - 1, min(rows_per_episode, count))
        for number in chosen.round().astype(int):
            prediction = evaluation.predictions[number]
            image = wandb.Image(reader.frame(prediction.frame_index))
            rows.append(
                [evaluation.demonstration.name, prediction.frame_index, image, float(evaluation.labels[number]),
                 prediction.progress, prediction.model_output]
            )  # fmt: skip
    return rows


def _figure(rows: int, columns: int, width: float, height: float, widths: Sequence[float] | None = None):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(width, height),
        squeeze=False,
        gridspec_kw={"width_ratios": widths},
        layout="constrained",
    )
    for axis in axes.flat:
        axis.grid(alpha=0.25)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")
    figure.savefig(beside, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)
    beside.replace(path)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
