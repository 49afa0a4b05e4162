"""Results of an evaluation, made by hand: what the report, its verdict and its pages are tested with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from material import make_annotation

from dataset.demonstration import Demonstration
from dataset.labels import label_curve
from infer.metrics.block import card_block
from infer.records import Prediction
from infer.report.evaluate import EpisodeResult, baseline_values
from infer.report.shortcuts import SCENE_TESTS, ShortcutAnswers
from infer.report.summary import Report, summarise

NAN = float("nan")
FRAMES = [0, 10, 20, 39]  # of a video of 40 frames: labels 0, 37.5 (or so), ..., 100
TRAIN = {"seconds": 30.0, "steps": 84, "samples": 140}
COST = {"ms_per_window": {"base": 12.0, "adapter": 10.0}, "windows": 32, "peak_memory_gb": 0.5, "device": "cpu"}
PROVENANCE = {
    "model": "runs/x/adapter", "base": "recipes/nano/model", "base_revision": None, "adapter": "runs/x/adapter",
    "training_demonstrations": 1, "training_data": [], "samples": 140, "steps": 84, "train_seconds": 30.0, "seed": 0,
    "lora_rank": 16, "recipe": None, "window": {"size": 8, "rate_hz": 6.25, "padding": "repeat_first"},
    "readout": "text", "max_sampled_frames": None, "shortcut_windows": 8, "episodes": [], "versions": {"torch": "2"},
    "git_commit": None, "command": "python -m infer.report", "date": "2026-01-01T00:00:00+00:00",
}  # fmt: skip


def make_result(
    video: Path,
    values: dict[str, list[float]],
    success: bool = True,
    episode: str = "ep",
    held_out: bool = True,
    shortcuts: ShortcutAnswers | None = None,
    backward: dict[str, list[float]] | None = None,
) -> EpisodeResult:
    """Return an episode of `FRAMES` with the values of every model; reversed they are the same, unless given."""
    annotation = make_annotation(video, 10, 30, success=success, final_progress=100.0 if success else 50.0)
    labels = label_curve(annotation)[FRAMES]
    predictions = {
        name: [
            Prediction(t, t / 25, (t,), None if np.isnan(v) else v, "", f"{v}", None if np.isnan(v) else v, "model")
            for t, v in zip(FRAMES, row, strict=True)
        ]
        for name, row in values.items()
    }
    baselines = baseline_values(len(FRAMES))
    forward = {name: np.array(row) for name, row in values.items()} | baselines
    reverse = {name: row[::-1] for name, row in forward.items()} | baselines
    reverse |= {name: np.array(row) for name, row in (backward or {}).items()}
    blocks = {
        name: card_block(
            annotation, FRAMES, labels, row, reverse[name], None, None if name in baselines else [str(v) for v in row]
        )
        for name, row in forward.items()
    }
    demonstration = Demonstration(f"d/{episode}.json", annotation, str(video), name=episode)
    evaluated = list(values)[-1]
    return EpisodeResult(
        demonstration, FRAMES, labels, predictions, forward, reverse, blocks, (FRAMES, forward[evaluated]), shortcuts,
        held_out, dict.fromkeys(values, 1.0),
    )  # fmt: skip


def make_answers(**changes: Any) -> ShortcutAnswers:
    """Return answers that pass every test, with some of their fields replaced (`changed` is merged)."""
    plain = np.array([0.0, 40.0, 70.0, 100.0])
    good = ShortcutAnswers(
        FRAMES, plain, {name: plain for name in SCENE_TESTS} | {"other_task": np.zeros(4)},
        {name: np.full(4, True) for name in SCENE_TESTS}, np.zeros(3), np.zeros(3),
        dict.fromkeys(("plain", *SCENE_TESTS, "blank", "other_task"), plain), True, ("Peel the banana",),
    )  # fmt: skip
    changed = good.changed | changes.pop("changed", {})
    return replace(good, changed=changed, **changes)


def good_results(video: Path) -> list[EpisodeResult]:
    """Return three successes and a failure that an adapter predicts well and its base does not."""
    good, poor = [0.0, 40.0, 70.0, 100.0], [50.0, 40.0, 60.0, 50.0]
    return [
        *(
            make_result(video, {"base": poor, "adapter": good}, episode=f"success_{n}", shortcuts=make_answers())
            for n in (1, 2, 3)
        ),
        make_result(
            video, {"base": poor, "adapter": [0.0, 20.0, 35.0, 50.0]}, False, "failure",
            shortcuts=make_answers(success=False),
        ),
    ]  # fmt: skip


def make_report_of(results: list[EpisodeResult], notices: tuple[str, ...] = ()) -> Report:
    """Return the report of some results, with a training run and provenance that are made up."""
    return summarise(results, None, list(notices), TRAIN, PROVENANCE, COST, 61.25)
