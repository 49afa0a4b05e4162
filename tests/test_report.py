import json
from pathlib import Path

import numpy as np
import pytest
from material import make_annotation

from dataset.progress import label_curve
from dataset.samples import Demonstration
from infer.records import Prediction
from infer.report import EpisodeResult, format_table, metric_block, summarise, write_report

TRAIN = {"seconds": 30.0, "steps": 84, "samples": 140}


def result(video: Path, values: dict[str, list[float]], success: bool = True) -> EpisodeResult:
    annotation = make_annotation(video, 10, 30, success=success, final_progress=100.0 if success else 50.0)
    frames = [0, 10, 20, 39]
    labels = label_curve(annotation)[frames]
    predictions = {
        name: [
            Prediction(t, t / 25, (t,), value, "", "", None if np.isnan(value) else value, "model")
            for t, value in zip(frames, row, strict=True)
        ]
        for name, row in values.items()
    }
    arrays = {name: np.array(row) for name, row in values.items()}
    blocks = {name: metric_block(labels, row, row[::-1]) for name, row in arrays.items()}
    return EpisodeResult(
        Demonstration("d/ep.json", annotation, str(video)), frames, labels, predictions, arrays, blocks
    )


@pytest.fixture
def results(video) -> list[EpisodeResult]:
    return [
        result(video, {"base": [50, 50, 50, 50], "adapter": [0, 40, 70, 100]}),
        result(video, {"base": [9, 5, 5, 1], "adapter": [0, float("nan"), 30, 50]}, success=False),
    ]


def test_metric_block_by_hand():
    block = metric_block(np.array([0.0, 50.0, 100.0]), np.array([10.0, 40.0, 100.0]), np.array([100.0, np.nan, 10.0]))
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


def test_summary_separates_outcomes_and_leaves_the_undefined_null(results):
    report = summarise(results, TRAIN, 61.25)
    assert report["successes"]["base"]["voc"] is None
    assert report["successes"]["adapter"]["voc"] == 1.0
    assert report["failures"]["base"]["voc"] == pytest.approx(-0.9487)
    assert report["base"]["voc"] == pytest.approx(-0.9487)  # the mean of what is defined
    assert report["failures"]["adapter"]["parse_rate"] == 0.75
    assert (report["successes"]["episodes"], report["failures"]["episodes"]) == (1, 1)
    assert report["train"] == TRAIN and report["seconds_total"] == 61.2


def test_table_shows_a_dash_for_the_undefined(results):
    lines = format_table(summarise(results, TRAIN, 1)).splitlines()
    assert lines[0].split() == ["held-out", "successes", "(1)", "base", "adapter"]
    assert lines[1].split() == ["voc", "-", "1.00"]
    assert len({len(line) for line in lines}) == 1


def test_files(results, tmp_path):
    write_report(results, summarise(results, TRAIN, 1), tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["task"]
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/svg+xml") == 2 and page.count("data:image/jpeg") == 2
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page  # opens offline
    assert len((tmp_path / "predictions" / "ep.adapter.jsonl").read_text().splitlines()) == 4


def test_hostile_task_text_is_shown_literally(results, tmp_path):
    report = summarise(results, TRAIN, 1)
    report["task"] = "<script>alert(1)</script>"
    write_report(results, report, tmp_path)
    assert "<script>" not in (tmp_path / "report.html").read_text()
