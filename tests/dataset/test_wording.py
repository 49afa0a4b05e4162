import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import TASK, make_annotation

from dataset.annotation_file import read_annotation, write_annotation
from dataset.check import check_demonstrations
from dataset.demonstration import Demonstration
from dataset.samples import SamplingSpec, build_sample_set
from dataset.window import WindowSpec
from dataset.wording import plain_text, same_text

ACCENTED = "Pose la tasse près de l'évier"
NEAR = [f"{TASK}.", TASK.upper(), f"  {TASK.replace(' ', '  ')} ", TASK.replace(" ", "\u00a0")]


@pytest.mark.parametrize("text", NEAR)
def test_texts_that_a_person_takes_for_the_same(text):
    assert same_text(text, TASK) and not same_text(text, f"{TASK} again")
    assert same_text(unicodedata.normalize("NFD", ACCENTED), ACCENTED)


@given(st.text())
def test_the_encoding_of_letters_does_not_count_and_comparing_twice_changes_nothing(text):
    assert plain_text(unicodedata.normalize("NFD", text)) == plain_text(text)
    assert plain_text(plain_text(text)) == plain_text(text)


@pytest.mark.parametrize(("first", "second", "how"), [
    *((TASK, text, "case, white space or full stop") for text in NEAR),
    (ACCENTED, unicodedata.normalize("NFD", ACCENTED), "how its letters are encoded"),
])  # fmt: skip
def test_two_ways_to_write_one_task_are_an_error(video, first, second, how):
    annotation = make_annotation(video, 10, 30)
    demonstrations = [
        Demonstration(f"d{n}.json", replace(annotation, task=task, fingerprint=f"v2:{n}:0"), "v.mp4")
        for n, task in enumerate([first, first, second])
    ]
    (finding,) = check_demonstrations(demonstrations)
    assert (finding.level, finding.where, finding.field) == ("error", "d2.json", "task")
    assert how in finding.message and "the task of d0.json" in finding.message


def test_one_task_written_in_two_ways_is_not_its_own_wrong_task(video):
    annotation = make_annotation(video, 10, 30)
    demonstrations = [
        Demonstration(f"d{n}.json", replace(annotation, task=task), str(video))
        for n, task in enumerate([TASK, f"{TASK}."])
    ]
    with pytest.raises(ValueError, match="has the only task"):
        build_sample_set(demonstrations, WindowSpec(2, stride=2), SamplingSpec(wrong_task_share=1.0))
    sampling = SamplingSpec(every=9, wrong_task_share=1.0, wrong_tasks=(TASK.upper(), "Close the lid"))
    samples = build_sample_set(demonstrations, WindowSpec(2, stride=2), sampling)
    assert all("Close the lid" in s.prompt for s in samples if s.direction == "wrong_task")


def test_one_adapter_per_task_does_not_split_a_task(annotation_path):
    from train.per_task import _by_task  # imports torch

    second = annotation_path.with_name("second.json")
    write_annotation(second, replace(read_annotation(annotation_path), task=f"{TASK}."))
    with pytest.raises(ValueError, match="they would get an adapter each"):
        _by_task([str(annotation_path), str(second)])
