import json
import math
import os
from types import SimpleNamespace

import numpy as np
import pytest
from material import make_annotation
from PIL import Image

from dataset.demonstration import Demonstration
from infer.records import Prediction, read_records
from train import curves
from train.curves import CURVES, HELD_OUT, WandbCatchUp, draw_curves, one_wandb_run, show_evaluation, write_log
from train.evaluation import EpisodeEvaluation, mean_metrics
from train.lora import evaluations, mean_logged_loss
from train.trl_internals import continue_tensorboard

NAMES = ("voc", "cycle_voc", "mae", "final", "parse_rate")
ROWS = [
    {"step": 0, **dict(zip((f"eval_{name}" for name in NAMES), (math.nan, math.nan, 40.0, 3.0, 0.5), strict=True))},
    {"step": 5, "loss": 1.5},
    {"step": 10, "loss": 0.5},
    {"step": 10, **dict(zip((f"eval_{name}" for name in NAMES), (0.9, 0.8, 10.0, 99.0, 1.0), strict=True))},
]


def reading(video, episode: str, values: list[float], **metrics: float | None) -> EpisodeEvaluation:
    demonstration = Demonstration(f"{episode}.json", make_annotation(video, 10, 30), str(video))
    predictions = [
        Prediction(t, t / 25, (t,), value, "", f"<progress>{value}%</progress>", value, "model")
        for t, value in zip((0, 15, 30), values, strict=True)
    ]
    block = {"voc": None, "cycle_voc": None, "mae": None, "final": None, "parse_rate": 1.0, **metrics}
    return EpisodeEvaluation(demonstration, np.array([0.0, 50.0, 100.0]), predictions, np.array(values), block)


def test_the_log_has_null_for_what_is_undefined(tmp_path):
    write_log(tmp_path / "log.jsonl", ROWS)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[0]["eval_voc"] is None and rows[2] == {"step": 10, "loss": 0.5}


def test_evaluations_are_read_from_the_log():
    assert [row["step"] for row in evaluations(ROWS)] == [0, 10]
    assert evaluations(ROWS)[0]["voc"] is None and evaluations(ROWS)[1]["cycle_voc"] == 0.8


def test_undefined_metrics_take_no_part_in_the_mean(video):
    both = [reading(video, "a", [1.0, 2.0, 3.0], voc=1.0, mae=4.0), reading(video, "b", [1.0, 1.0, 1.0], mae=8.0)]
    assert mean_metrics(both)["voc"] == 1.0
    assert mean_metrics(both)["mae"] == 6.0
    assert mean_metrics(both)["cycle_voc"] is None


@pytest.mark.parametrize(("rows", "panels"), [(ROWS, 4), (ROWS[1:3], 1), ([], 1)])
def test_curves_are_a_picture_of_as_many_panels_as_there_are_measures(tmp_path, rows, panels):
    draw_curves(tmp_path / CURVES, rows)
    with Image.open(tmp_path / CURVES) as picture:
        width, height = picture.size
    assert round(width / height / (4.2 / 2.9)) == panels
    assert [path.name for path in tmp_path.iterdir()] == [CURVES]


def test_an_evaluation_leaves_its_answers_and_its_plot(tmp_path, video):
    show_evaluation(tmp_path, 5, [reading(video, "a", [0.0, 40.0, 90.0])])
    show_evaluation(tmp_path, 10, [reading(video, "a", [0.0, 50.0, 100.0])])
    records = read_records(tmp_path / "evaluations" / "step-000005" / "a.jsonl")
    assert [row["progress"] for row in records] == [0.0, 40.0, 90.0]
    last = tmp_path / "evaluations" / "step-000010" / HELD_OUT
    assert (tmp_path / HELD_OUT).read_bytes() == last.read_bytes()


def test_the_mean_of_the_log_counts_every_step_once():
    rows = [
        {"step": 2, "loss": 1.0},
        {"step": 2, "eval_voc": 0.5},
        {"step": 3, "loss": 4.0},
        {"step": 3, "train_loss": 9},
    ]
    assert mean_logged_loss(rows) == 2.0
    assert mean_logged_loss([]) is None


def test_a_resumed_run_goes_on_in_its_wandb_run(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)
    ids = []
    for folder in (tmp_path, tmp_path, tmp_path / "other"):
        with one_wandb_run(["wandb"], folder):
            ids.append(os.environ["WANDB_RUN_ID"])
            assert os.environ["WANDB_RESUME"] == "allow"
        assert "WANDB_RUN_ID" not in os.environ
    assert ids[0] == ids[1] != ids[2]
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    with one_wandb_run(["wandb"], tmp_path):
        assert os.environ["WANDB_RUN_ID"] == "mine"
    with one_wandb_run(["tensorboard"], tmp_path / "third"):
        assert not (tmp_path / "third").exists()


def test_wandb_gets_what_a_killed_process_took_with_it(monkeypatch):
    state = SimpleNamespace(is_world_process_zero=True, log_history=ROWS)
    for known, steps in ((None, [0, 5, 10, 10]), (5, [10, 10]), (10, [])):
        sent = []
        summary = {} if known is None else {"train/global_step": known}
        service = SimpleNamespace(run=SimpleNamespace(summary=summary), log=sent.append)
        monkeypatch.setattr(curves, "wandb_run", lambda report_to, service=service: service)
        WandbCatchUp().on_train_begin(SimpleNamespace(report_to=["wandb"]), state, None)
        assert [row["train/global_step"] for row in sent] == steps
        assert all("train/loss" in row or "eval/mae" in row for row in sent)


def test_a_run_that_fails_closes_its_wandb_run(tmp_path, monkeypatch):
    closed = []
    service = SimpleNamespace(finish=lambda exit_code: closed.append(exit_code))
    monkeypatch.setattr(curves, "wandb_run", lambda report_to: service)
    with pytest.raises(OSError), one_wandb_run(["wandb"], tmp_path):
        raise OSError
    assert closed == [1]


def test_tensorboard_drops_the_steps_that_come_again(tmp_path):
    from tensorboardX import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    callback = TensorBoardCallback()
    callback.logging_dir = str(tmp_path)
    callback._SummaryWriter = SummaryWriter
    handler = SimpleNamespace(callbacks=[callback])
    continue_tensorboard(SimpleNamespace(callback_handler=handler, is_world_process_zero=lambda: True), 7)
    assert callback.tb_writer.purge_step == 8
    callback.tb_writer.close()
