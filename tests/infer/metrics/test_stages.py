import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.annotation import Annotation, Stage
from dataset.labels import remaining_subtasks
from dataset.prompts import build_absent_completion, build_completion
from infer.metrics.stages import answered_stages, boundary_f1, labelled_stages, stage_accuracy


def annotated(*stages: Stage, num_frames: int, success: bool = True, **fields) -> Annotation:
    return Annotation("v.mp4", "x", num_frames, 25.0, "t", stages, success, **fields)


PICK_PLACE_TWICE = annotated(
    Stage("pick", 0, 4), Stage("place", 4, 8), Stage("pick", 8, 12), Stage("place", 12, 16), num_frames=20
)


def test_labelled_stages_count_from_the_first_step_to_done():
    assert labelled_stages(PICK_PLACE_TWICE, [0, 3, 4, 11, 12, 16, 19]) == [0, 0, 1, 2, 3, 4, 4]


def test_excluded_stages_have_no_step_and_a_repeated_attempt_is_the_same_step():
    annotation = annotated(
        Stage("reach", 0, 4),
        Stage("lift", 4, 8, falls_back_to=1),
        Stage("", 8, 10, excluded=True),
        Stage("reach", 10, 14),
        Stage("lift", 14, 18),
        num_frames=20,
    )
    assert labelled_stages(annotation, [0, 5, 9, 10, 15, 19]) == [0, 1, None, 0, 1, 2]


def test_after_a_failure_the_last_step_is_still_being_done():
    annotation = annotated(Stage("a", 0, 4), Stage("b", 4, 8), num_frames=10, success=False, final_progress=50.0)
    assert labelled_stages(annotation, [0, 4, 9]) == [0, 1, 1]


def test_answers_are_read_from_their_lists():
    answers = [
        build_completion(10.0, ("pick", "place", "pick", "place")),
        build_completion(60.0, ("Pick.", "place")),  # another case and a full stop
        build_completion(60.0, ("place", "pick", "place", "pick", "place")),  # longer than the task: its first entry
        build_completion(60.0, ("open the drawer", "place")),
        build_completion(100.0, ()),
        build_absent_completion(),
        "I do not know.",
    ]
    assert answered_stages(PICK_PLACE_TWICE, answers) == [0, 2, 1, None, 4, None, None]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6))
def test_a_perfect_model_agrees_everywhere(texts):
    stages = [Stage(text, 5 * place, 5 * place + 5) for place, text in enumerate(texts)]
    annotation = annotated(*stages, num_frames=5 * len(texts) + 3)
    frames = list(range(annotation.num_frames))
    answers = []
    for frame in frames:
        left = remaining_subtasks(annotation, frame)
        answers.append(build_completion(50.0 if left else 100.0, left))
    labelled = labelled_stages(annotation, frames)
    assert answered_stages(annotation, answers) == labelled
    assert stage_accuracy(labelled, labelled) == 1.0
    assert boundary_f1(frames, labelled, labelled) == 1.0


def test_accuracy_counts_answers_that_name_no_step_as_wrong():
    assert stage_accuracy([0, 0, 1, None], [0, None, 0, 1]) == pytest.approx(1 / 3)
    assert stage_accuracy([None], [0]) is None


def test_boundary_f1_by_hand():
    frames = list(range(0, 101, 10))  # 5 % are five frames, 10 % are ten
    labelled = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]  # at 40 and 80
    answered = [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2]  # at 30 and 100
    assert boundary_f1(frames, labelled, answered) == 0.0
    assert boundary_f1(frames, labelled, answered, tolerance=0.1) == pytest.approx(2 * 1 / 4)
    # a flicker: 40 is found, 50, 60 and 80 are false, 80 is found by the last
    flickering = [0, 0, 0, 0, 1, 0, 1, 1, 2, 2, 2]
    assert boundary_f1(frames, labelled, flickering) == pytest.approx(2 * 2 / (2 + 4))


def test_one_answered_boundary_finds_one_labelled_boundary():
    assert boundary_f1([0, 50, 52, 100], [0, 1, 2, 2], [0, 1, 1, 1]) == pytest.approx(2 * 1 / 3)


def test_boundaries_that_are_missing_on_one_or_both_sides():
    assert boundary_f1([0, 1, 2], [0, 0, 1], [0, 0, 0]) == 0.0
    assert boundary_f1([0, 1, 2], [0, 0, 1], [None, None, None]) == 0.0
    assert boundary_f1([0, 1, 2], [0, 0, 0], [1, 1, 1]) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30), st.floats(0, 0.3))
def test_boundary_f1_is_symmetric_bounded_and_grows_with_the_tolerance(pairs, tolerance):
    one, other = map(list, zip(*pairs, strict=True))
    frames = list(range(len(pairs)))
    score = boundary_f1(frames, one, other, tolerance)
    assert score == boundary_f1(frames, other, one, tolerance)
    assert score is None or 0.0 <= score <= boundary_f1(frames, one, other, tolerance + 0.2) <= 1.0


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 frames, 1 labels, 2 answers"):
        boundary_f1([0, 1], [0], [0, 1])
    with pytest.raises(ValueError, match="1 labels for 2 answers"):
        stage_accuracy([0], [0, 1])


@pytest.mark.parametrize("spelled", ["Pre\u0301parer.", "  PRÉPARER ", "pre\u0301parer"])
def test_steps_are_compared_without_case_white_space_full_stop_and_encoding(spelled):
    annotation = annotated(Stage("Préparer", 0, 4), Stage("lift", 4, 8), num_frames=10)
    assert answered_stages(annotation, [build_completion(0.0, (spelled, "lift"))]) == [0]
