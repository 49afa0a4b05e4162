import numpy as np
import pytest
from material import make_annotation

from dataset.labels import label_curve
from dataset.prompts import build_completion
from infer.metrics.block import (
    COLUMNS,
    DETAIL,
    MAIN,
    REFERENCE,
    card_block,
    format_figure,
    mean_block,
    metric_block,
    rounded,
)
from infer.metrics.progress import METRICS

NAN = float("nan")


def test_metric_block_by_hand():
    block = metric_block(np.array([0.0, 50.0, 100.0]), np.array([10.0, 40.0, 100.0]), np.array([100.0, NAN, 10.0]))
    assert tuple(block) == METRICS
    assert block["voc"] == pytest.approx(1.0)
    assert block["cycle_voc"] == pytest.approx(1.0)
    assert block["mae"] == pytest.approx(20 / 3)
    assert block["final"] == 100.0
    assert block["parse_rate"] == pytest.approx(5 / 6)


def test_the_parse_rate_counts_before_a_tag_was_filled_in():
    block = metric_block(
        np.array([0.0, 50.0]), np.array([10.0, 40.0]), np.array([40.0, 10.0]), [True, False, True, True]
    )
    assert block["parse_rate"] == 0.75 and block["mae"] == 10.0


def test_card_block_of_a_perfect_reader(video):
    annotation = make_annotation(video, 10, 30)
    frames = list(range(40))
    labels = label_curve(annotation)
    left = [("step 1", "step 2")] * 10 + [("step 2",)] * 20 + [()] * 10
    outputs = [build_completion(value, steps) for value, steps in zip(labels, left, strict=True)]
    block = card_block(annotation, frames, labels, labels, labels[::-1], None, outputs)
    assert block.keys() == COLUMNS.keys()
    for name in ("voc", "cycle_voc", "kendall_tau", "ccc", "stage_accuracy", "boundary_f1", "success_auroc",
                 "success_accuracy", "success_mcc", "parse_rate"):  # fmt: skip
        assert block[name] == pytest.approx(1.0), name
    assert block["mae"] == block["rmse"] == 0.0


def test_a_rival_has_no_stages_and_no_parse_rate(video):
    labels = label_curve(make_annotation(video, 10, 30))
    block = card_block(make_annotation(video, 10, 30), list(range(40)), labels, np.full(40, 50.0), np.full(40, 50.0))
    assert block["stage_accuracy"] is block["boundary_f1"] is block["parse_rate"] is block["voc"] is None


def test_every_column_is_in_one_table():
    assert sorted((*MAIN, *DETAIL, *REFERENCE)) == sorted(COLUMNS)
    assert set(METRICS) <= set(COLUMNS)


def test_means_and_figures():
    blocks = [dict.fromkeys(COLUMNS, 1.0), dict.fromkeys(COLUMNS, None), dict.fromkeys(COLUMNS, 2.00005)]
    assert mean_block(blocks)["mae"] == 1.5
    assert rounded({"mae": 1.23456, "voc": None}) == {"mae": 1.2346, "voc": None}
    figures = [format_figure(None, "mae"), format_figure(12.34, "mae"), format_figure(0.987, "voc")]
    assert figures == ["-", "12.3", "0.99"]
