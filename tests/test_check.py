from dataclasses import replace

import pytest
from material import TASK, make_annotation

from dataset.annotation import Stage
from dataset.check import check_demonstrations
from dataset.samples import Demonstration


def messages(*annotations) -> str:
    demonstrations = [Demonstration(f"d{i}.json", annotation, "v.mp4") for i, annotation in enumerate(annotations)]
    return "\n".join(
        f"{finding.level} {finding.where}: {finding.message}" for finding in check_demonstrations(demonstrations)
    )


def test_a_good_demonstration_has_no_findings(video):
    assert messages(make_annotation(video, 10, 30)) == ""


def test_success_that_is_never_taught(video):
    assert "100 % is never taught" in messages(make_annotation(video, 10, 40))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("a", "A "), 'stages read "a"'),
        ((TASK.upper(), "b"), "is the whole task"),
    ],
)
def test_stage_texts(video, texts, message):
    annotation = make_annotation(video, 10, 30)
    stages = tuple(replace(stage, subtask=text) for stage, text in zip(annotation.stages, texts, strict=True))
    assert message in messages(replace(annotation, stages=stages))


def test_short_and_single_stages(video):
    assert 'stage "step 1" has 2 frame(s)' in messages(make_annotation(video, 2, 30))
    assert "one stage only" in messages(make_annotation(video, 30))


def test_demonstrations_of_one_task_should_agree(video):
    first = make_annotation(video, 10, 30)
    second = replace(first, stages=(Stage("other", 0, 10), Stage("step 2", 10, 30)))
    assert "d1.json: its stages differ from those of d0.json" in messages(first, second)


def test_only_failures(video):
    failure = make_annotation(video, 10, 30, success=False, final_progress=50.0)
    assert "success is never taught" in messages(failure)
