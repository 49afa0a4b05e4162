import numpy as np
import pytest

from train.rehearsal.disagreement import Rehearsal, Segment, describe, find_disagreements

NAN = float("nan")
STEPS = ("reach", "lift")
SEGMENTS = (
    Segment('first half of "reach"', "reach", 0, 10, 0.0, 1.0),
    Segment('first half of "lift"', "lift", 10, 20, 1.0, 2.0),
    Segment("first half of the finished frames", "(finished)", 20, 30, 2.0, 3.0),
)
FRAMES = [2, 8, 12, 18, 22, 28]
LABELS = np.array([0.0, 40.0, 50.0, 90.0, 100.0, 100.0])
RIGHT = [0, 0, 1, 1, 2, 2]


def disagreements(recorded, answered=RIGHT, **perturbed):
    predictions = {"as recorded": np.array(recorded, float)} | {
        name.replace("_", " "): np.array(values, float) for name, values in perturbed.items()
    }
    return find_disagreements(SEGMENTS, Rehearsal(FRAMES, LABELS, predictions, RIGHT, answered), STEPS)


def test_segments_are_ranked_by_their_error_over_the_recordings():
    ranked = disagreements([0, 40, 90, 90, 90, 100], darker=[10, 50, 50, 90, 100, 100])
    assert [disagreement.segment.stage for disagreement in ranked] == ["lift", "reach", "(finished)"]
    lift = ranked[0]
    assert (lift.label, lift.prediction, lift.frames) == (70.0, 90.0, 2)
    assert lift.errors == {"as recorded": 20.0, "darker": 0.0}
    assert lift.error == 10.0 and lift.is_bad
    assert not ranked[1].is_bad


def test_a_wrong_stage_is_named_with_what_to_do():
    worst = disagreements([0, 40, 10, 30, 100, 100], answered=[0, 0, 0, 0, 2, 2])[0]
    assert worst.stages_right == 0.0 and worst.wrong_stage == "reach"
    assert describe(worst) == (
        '1.0 to 2.0 s, first half of "lift": taken for "reach" (20 % instead of 70 %). Check the boundaries of this '
        "stage; if they are right, annotate another demonstration of it."
    )


def test_steps_in_other_words_ask_for_more_training():
    worst = disagreements([0, 40, 10, 30, 100, 100], answered=[0, 0, None, None, 2, 2])[0]
    assert describe(worst).endswith(
        "20 % instead of 70 %, and no step of the task is named. Train longer, then look again."
    )


def test_an_error_in_the_right_stage_asks_for_another_demonstration():
    worst = disagreements([50, 90, 50, 90, 100, 100])[0]
    assert describe(worst) == (
        '0.0 to 1.0 s, first half of "reach": 70 % instead of 20 %. Annotate another demonstration that shows it.'
    )


def test_errors_that_cancel_are_not_called_too_high_or_too_low():
    worst = disagreements([40, 0, 50, 90, 100, 100])[0]
    assert "off by 40 points in both directions" in describe(worst)


def test_an_error_in_a_perturbed_recording_alone_asks_for_that_variation():
    worst = disagreements([0, 40, 50, 90, 100, 100], double_speed=[60, 100, 50, 90, 100, 100])[0]
    assert worst.bad_recordings == ["double speed"] and worst.is_bad
    assert describe(worst).startswith(
        '0.0 to 1.0 s, first half of "reach": off by 60 points when played at double speed, 0 as recorded. '
        "What to do: do it faster"
    )


def test_a_segment_without_a_percentage_comes_first():
    worst = disagreements([0, 40, NAN, NAN, 100, 100])[0]
    assert worst.error == 100.0 and worst.is_bad and worst.prediction is None
    assert "no answer holds a percentage" in describe(worst)


def test_frames_without_a_label_and_segments_without_a_frame_are_left_out():
    predictions = {"as recorded": np.array([0.0, 90.0])}
    rehearsal = Rehearsal([2, 12], np.array([NAN, 70.0]), predictions, [None, 1], [0, 1])
    ranked = find_disagreements(SEGMENTS, rehearsal, STEPS)
    assert [disagreement.segment.stage for disagreement in ranked] == ["lift"]
    assert ranked[0].errors["as recorded"] == pytest.approx(20.0)


def test_a_perturbed_recording_without_an_answer_is_bad():
    worst = disagreements([0, 40, 50, 90, 100, 100], darker=[NAN, NAN, 50, 90, 100, 100])[0]
    assert worst.bad_recordings == ["darker"] and worst.is_bad and worst.error == 50.0
    assert "no answer holds a percentage when the picture is darker" in describe(worst)
