from dataclasses import replace
from pathlib import Path

import pytest
from material import make_annotation, write_video

from dataset.annotation_file import write_annotation
from dataset.check import check_files


def found(folder: Path, **annotations) -> dict[str, str]:
    """Return the messages of the check by file name; "all" for those of the set."""
    for name, annotation in annotations.items():
        write_annotation(folder / f"{name}.json", annotation)
    _, findings = check_files([folder])
    by_file: dict[str, str] = {}
    for finding in findings:
        name = Path(finding.where).stem
        by_file[name] = f"{by_file.get(name, '')}{finding.message}\n"
    return by_file


@pytest.fixture
def recordings(tmp_path):
    """A success, and a failure that shows the first half of the same pictures."""
    success = make_annotation(write_video(tmp_path / "whole.mp4", 40), 10, 20, 30)
    failure = make_annotation(write_video(tmp_path / "half.mp4", 20), 10, 20, success=False, final_progress=66.7)
    return tmp_path, success, failure


def test_a_failure_that_agrees_with_a_success_has_no_findings(recordings):
    folder, success, failure = recordings
    assert found(folder, success=success, failure=failure) == {}


def test_equal_pictures_with_unequal_labels(recordings):
    folder, success, failure = recordings
    stages = (replace(failure.stages[0], end=2), replace(failure.stages[1], start=2))
    message = found(folder, success=success, failure=replace(failure, stages=stages))["failure"]
    assert "looks like frame" in message and "have another label" in message
    assert str(folder / "success.json") in message


def test_a_failure_without_a_success_of_its_task(recordings):
    folder, success, failure = recordings
    message = found(folder, success=replace(success, task="Wave"), failure=failure)["all"]
    assert "no success of its task is in this set: its labels are scaled to end at 66.7 %" in message


def test_a_failure_with_other_steps_than_the_success(recordings):
    folder, success, failure = recordings
    stages = (failure.stages[0], replace(failure.stages[1], subtask="wave"))
    message = found(folder, success=success, failure=replace(failure, stages=stages))["failure"]
    assert 'use these texts: "step 1", "step 2", "step 3"' in message


@pytest.mark.parametrize(
    ("final", "words"), [(90.0, "mark the stages that were reached"), (10.0, "say so with falls_back_to")]
)
def test_an_end_outside_the_last_stage(recordings, final, words):
    folder, success, failure = recordings
    message = found(folder, success=success, failure=replace(failure, final_progress=final))["failure"]
    assert f"final_progress is {final:g}, but the last stage" in message and words in message
