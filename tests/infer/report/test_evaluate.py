import numpy as np
import pytest
from made_adapter import make_adapter

from dataset.demonstration import read_demonstrations
from dataset.window import WindowSpec
from infer.metrics.block import COLUMNS
from infer.model.model import ProgressModel
from infer.model.source import ModelSource
from infer.predict import infer_progress_from_video
from infer.report.evaluate import (
    EvaluationSpec,
    baseline_values,
    evaluate,
    model_names,
    predict_training_demonstrations,
)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory) -> tuple[ProgressModel, str]:
    folder = make_adapter(tmp_path_factory.mktemp("adapter"), 1, WindowSpec(size=2, rate_hz=6.25))
    return ProgressModel.load(ModelSource(folder, use_lora=True)), folder


@pytest.mark.slow
def test_predictors_baselines_and_shortcuts_of_one_episode(adapted, annotation_path):
    model, folder = adapted
    demonstrations = read_demonstrations([annotation_path])
    spec = EvaluationSpec(max_sampled_frames=3, shortcut_windows=1)
    (result,) = evaluate(model, demonstrations, spec)
    assert list(result.predictions) == ["base", "adapter"] == list(model_names(model)) == list(result.seconds)
    assert list(result.values) == ["base", "adapter", "clock", "constant"] == list(result.metrics)
    assert result.frames == [0, 20, 39] and result.held_out is True
    for name, block in result.metrics.items():
        assert block.keys() == COLUMNS.keys(), name
    assert result.shortcuts.frames == [39] and result.expected[0] == [0, 20, 39]
    assert np.array_equal(result.shortcuts.plain, result.values["adapter"][-1:], equal_nan=True)
    video = str(annotation_path.with_suffix(".mp4"))
    records = infer_progress_from_video(
        folder, video, demonstrations[0].annotation.task, model=model, max_sampled_frames=3
    )
    assert [prediction.model_output for prediction in result.predictions["adapter"]] == [
        row["model_output"] for row in records
    ]

    few = EvaluationSpec(max_sampled_frames=1, shortcut_windows=1)
    (seen,) = evaluate(model, demonstrations, few, trained_on=[str(annotation_path)])
    assert seen.held_out is False and seen.shortcuts is None

    training = predict_training_demonstrations(model, demonstrations, spec)
    assert np.array_equal(training.labels, result.labels)
    assert np.array_equal(training.values, result.values["adapter"], equal_nan=True)


@pytest.mark.slow
def test_a_base_alone_and_without_shortcuts(nano, annotation_path):
    spec = EvaluationSpec(max_sampled_frames=2, shortcut_windows=0, readout="expected")
    (result,) = evaluate(nano, read_demonstrations([annotation_path]), spec)
    assert list(result.predictions) == ["base"] and result.shortcuts is None and result.held_out
    assert {prediction.progress_source for prediction in result.predictions["base"]} <= {"expected", "forced"}
    assert result.expected == (result.frames, result.values["base"]) or np.array_equal(
        result.expected[1], result.values["base"], equal_nan=True
    )


def test_rivals_look_at_nothing():
    rivals = baseline_values(5)
    assert rivals["clock"].tolist() == [0, 25, 50, 75, 100] and rivals["constant"].tolist() == [50] * 5


def test_a_negative_number_of_windows_is_refused():
    with pytest.raises(ValueError, match="shortcut_windows is -1"):
        EvaluationSpec(shortcut_windows=-1)
