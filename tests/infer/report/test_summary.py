import json
from dataclasses import replace

import numpy as np
import pytest
from report_material import COST, NAN, PROVENANCE, TRAIN, good_results, make_answers, make_report_of, make_result

from infer.report.evaluate import TrainingPredictions
from infer.report.summary import measure_calibration, summarise


@pytest.fixture
def results(video):
    return [
        make_result(video, {"base": [50, 50, 50, 50], "adapter": [0, 40, 70, 100]}, shortcuts=make_answers()),
        make_result(video, {"base": [9, 5, 5, 1], "adapter": [0, NAN, 30, 50]}, False, "f", shortcuts=make_answers()),
    ]


def test_outcomes_are_apart_and_the_undefined_is_null(results):
    report = make_report_of(results).document
    assert report["successes"]["base"]["voc"] is None
    assert report["successes"]["adapter"]["voc"] == 1.0
    assert report["failures"]["base"]["voc"] == pytest.approx(-0.9487)
    assert report["base"]["voc"] == pytest.approx(-0.9487)  # the mean of what is defined
    assert report["failures"]["adapter"]["parse_rate"] == 0.75
    assert (report["successes"]["episodes"], report["failures"]["episodes"]) == (1, 1)
    assert report["train"] == TRAIN and report["seconds_total"] == 61.2
    json.dumps(report, allow_nan=False)


def test_baselines_are_columns_like_the_models(results):
    report = make_report_of(results).document
    assert report["readers"] == ["base", "adapter", "clock", "constant"]
    assert report["successes"]["clock"]["cycle_voc"] == pytest.approx(0.0, abs=0.02)
    assert report["successes"]["clock"]["final"] == 100.0 and report["successes"]["constant"]["final"] == 50.0
    assert report["successes"]["constant"]["voc"] is None and report["successes"]["clock"]["parse_rate"] is None


def test_intervals_are_over_episodes(video, results):
    assert make_report_of(results).document["successes"]["intervals"]["adapter"]["mae"] is None  # one episode: none
    document = make_report_of(good_results(video)).document
    low, high = document["successes"]["intervals"]["adapter"]["mae"]
    assert low == high == document["successes"]["adapter"]["mae"]  # three times the same episode
    low, high = document["intervals"]["adapter"]["final"]
    assert low < document["adapter"]["final"] == 87.5 < high


def test_the_final_value_against_the_outcome(video):
    report = make_report_of(good_results(video)).document["success"]
    assert report["threshold"] == 95.0 and report["best_on_training"] is None
    assert (
        report["adapter"]["auroc"] == 1.0 and report["adapter"]["accuracy"] == 1.0 and report["adapter"]["mcc"] == 1.0
    )
    assert report["base"]["auroc"] == 0.5 and report["adapter"]["accuracy_at_best"] is None


def test_an_episode_without_a_final_value_is_predicted_wrongly(video):
    cut = make_result(video, {"base": [9] * 4, "adapter": [0, 20, 30, NAN]}, False, "cut", shortcuts=make_answers())
    report = make_report_of([*good_results(video), cut]).document["success"]["adapter"]
    assert (report["auroc"], report["accuracy"]) == (0.75, 0.8)  # three ties of six pairs; four of five episodes


def test_a_report_about_another_task_says_so(video):
    provenance = PROVENANCE | {"trained_tasks": ["Close the drawer"]}
    bad = [make_result(video, {"base": [9] * 4, "adapter": [90, 60, 30, 5]}, shortcuts=make_answers())]
    verdict = summarise(bad, None, [], TRAIN, provenance, COST, 1.0).document["verdict"]
    assert 'the adapter was trained on "Close the drawer"' in verdict["sentence"]
    assert not any("train again" in finding["remedy"] for finding in verdict["findings"])
    verdict = summarise(good_results(video), None, [], TRAIN, provenance, COST, 1.0).document["verdict"]
    assert verdict["outcome"] == "adopt" and "Close the drawer" in verdict["notes"][0]


def test_the_second_threshold_comes_from_the_training_frames(results):
    training = TrainingPredictions(np.array([0.0, 50.0, 100.0]), np.array([0.0, 40.0, 80.0]))
    document = summarise(results, training, [], TRAIN, PROVENANCE, COST, 1.0).document
    assert document["success"]["best_on_training"] == 60.0
    assert document["success"]["adapter"]["accuracy_at_best"] == 1.0


def test_calibration_by_hand(video):
    result = make_result(video, {"base": [9.0] * 4, "adapter": [0, 20, 40, 50]})
    result = replace(result, labels=np.array([0.0, 40.0, 80.0, 100.0]))  # half of every label is predicted
    calibration = measure_calibration([result])
    assert calibration.ece == pytest.approx((0 + 20 + 40 + 50) / 4) and calibration.windows == 4
    assert [(b.mean_prediction, b.mean_label) for b in calibration.bins] == [(0, 0), (20, 40), (40, 80), (50, 100)]
    document = make_report_of([result]).document["calibration"]
    assert document.keys() == {"ece", "bins", "windows"} and document["ece"] == 27.5


def test_episodes_that_were_trained_on_are_not_in_the_calibration(video):
    result = make_result(video, {"base": [9.0] * 4, "adapter": [0, 20, 40, 50]}, held_out=False)
    calibration = measure_calibration([result])
    assert calibration.windows == 0 and calibration.ece is None and calibration.bins == []
