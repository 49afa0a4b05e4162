import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from material import annotated

from dataset.annotation import Annotation, Stage
from dataset.sample_file import VqaSample
from train.rehearsal.folds import FINISHED, split_stages, without_fold


def test_every_stage_and_the_tail_are_split_in_pieces():
    parts = split_stages(annotated(6, 4, tail=2), 2)
    assert [(part.stage, part.number, part.start, part.end) for part in parts] == [
        ("s0", 0, 0, 3), ("s0", 1, 3, 6), ("s1", 0, 6, 8), ("s1", 1, 8, 10),
        (FINISHED, 0, 10, 11), (FINISHED, 1, 11, 12),
    ]  # fmt: skip
    assert [part.name for part in parts][::4] == ['first half of "s0"', "first half of the finished frames"]


def test_names_of_parts():
    assert [part.name for part in split_stages(annotated(9), 3)] == [
        'first third of "s0"', 'middle third of "s0"', 'last third of "s0"',
    ]  # fmt: skip
    assert split_stages(annotated(9), 4)[3].name == 'part 4 of 4 of "s0"'


def test_excluded_stages_are_left_out():
    stages = (Stage("a", 0, 4), Stage("", 4, 8, excluded=True), Stage("b", 8, 12))
    parts = split_stages(Annotation("v.mp4", "x", 12, 25.0, "t", stages, True), 2)
    assert [(part.start, part.end) for part in parts] == [(0, 2), (2, 4), (8, 10), (10, 12)]


@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=5), tail=st.integers(0, 9), count=st.integers(2, 5)
)  # fmt: skip
def test_every_frame_is_held_out_once_and_learnt_otherwise(lengths, tail, count):
    annotation = annotated(*lengths, tail=tail)
    parts = split_stages(annotation, count)
    covered = [frame for part in parts for frame in range(part.start, part.end)]
    assert covered == list(range(annotation.num_frames))
    samples = [VqaSample("v.mp4", "e", t, (t,), "p", "c", 0.0) for t in range(annotation.num_frames)]
    kept = [{sample.frame_index for sample in without_fold(samples, parts, number)} for number in range(count)]
    times_kept = np.sum([[t in frames for t in range(annotation.num_frames)] for frames in kept], axis=0)
    assert (times_kept == count - 1).all()


def test_all_samples_of_a_held_out_frame_are_dropped():
    parts = split_stages(annotated(4), 2)
    samples = [
        VqaSample("v.mp4", "e", t, (0, t), "p", "c", 0.0, way) for t in range(4) for way in ("forward", "single")
    ]
    kept = without_fold(samples, parts, 0)
    assert [(sample.frame_index, sample.direction) for sample in kept] == [
        (2, "forward"), (2, "single"), (3, "forward"), (3, "single"),
    ]  # fmt: skip
