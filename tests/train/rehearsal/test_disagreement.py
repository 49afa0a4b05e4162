import numpy as np
import pytest

from train.rehearsal.disagreement import Stretch, describe, find_disagreements

NAN = float("nan")
STEPS = ("reach", "lift")
STRETCHES = (
    Stretch('first half of "reach"', "reach", 0, 10, 0.0, 1.0),
    Stretch('first half of "lift"', "lift", 10, 20, 1.0, 2.0),
    Stretch("first half of the finished frames", "(finished)", 20, 30, 2.0, 3.0),
)
FRAMES = [2, 8, 12, 18, 22, 28]
LABELS = np.array([0.0, 40.0, 50.0, 90.0, 100.0, 100.0])
RIGHT = [0, 0, 1, 1, 2, 2]


def found(recorded, answered=RIGHT, **copies):
    readings = {"as recorded": np.array(recorded, float)} | {
        name.replace("_", " "): np.array(values, float) for name, values in copies.items()
    }
    return find_disagreements(STRETCHES, FRAMES, LABELS, readings, STEPS, RIGHT, answered)


def test_stretches_are_ranked_by_their_error_over_the_copies():
    ranked = found([0, 40, 90, 90, 90, 100], darker=[10, 50, 50, 90, 100, 100])
    assert [one.stretch.stage for one in ranked] == ["lift", "reach", "(finished)"]
    lift = ranked[0]
    assert (lift.label, lift.said, lift.frames) == (70.0, 90.0, 2)
    assert lift.errors == {"as recorded": 20.0, "darker": 0.0}
    assert lift.error == 10.0 and lift.misread
    assert not ranked[1].misread


def test_a_wrong_stage_is_named_with_what_to_do():
    worst = found([0, 40, 10, 30, 100, 100], answered=[0, 0, 0, 0, 2, 2])[0]
    assert worst.stages_right == 0.0 and worst.stage_said == "reach"
    assert describe(worst) == (
        '1.0 to 2.0 s, first half of "lift": off by 50 points, too low (says 20 % on average, the label is 70 %). It '
        'names the right step in 0% of the frames (mostly "reach"). Look at the boundaries of this stage first; if '
        "they are right, annotate another demonstration of it."
    )


def test_steps_in_other_words_ask_for_more_training():
    worst = found([0, 40, 10, 30, 100, 100], answered=[0, 0, None, None, 2, 2])[0]
    assert describe(worst).endswith(
        "in 0% of the frames (a step of other words, or none). It has not learnt the wording of the steps: train "
        "longer, then look again."
    )


def test_an_error_in_the_right_stage_asks_for_another_demonstration():
    worst = found([50, 90, 50, 90, 100, 100])[0]
    assert describe(worst) == (
        '0.0 to 1.0 s, first half of "reach": off by 50 points, too high (says 70 % on average, the label is 20 %). '
        "Annotate another demonstration that shows it."
    )


def test_errors_that_cancel_are_not_called_too_high_or_too_low():
    worst = found([40, 0, 50, 90, 100, 100])[0]
    assert "off by 40 points, now too high, now too low (says 20 % on average, the label is 20 %)" in describe(worst)


def test_a_stretch_that_only_a_copy_misreads_asks_for_that_variation():
    worst = found([0, 40, 50, 90, 100, 100], double_speed=[60, 100, 50, 90, 100, 100])[0]
    assert worst.worse_copies == ["double speed"] and worst.misread
    assert describe(worst).startswith(
        '0.0 to 1.0 s, first half of "reach": right as recorded (off by 0 points), but off by 60 points when played at '
        "double speed. What to do: do it faster"
    )


def test_a_stretch_without_a_percentage_comes_first():
    worst = found([0, 40, NAN, NAN, 100, 100])[0]
    assert worst.error == 100.0 and worst.misread and worst.said is None
    assert "no answer holds a percentage" in describe(worst)


def test_frames_without_a_label_and_stretches_without_a_frame_take_no_part():
    readings = {"as recorded": np.array([0.0, 90.0])}
    ranked = find_disagreements(STRETCHES, [2, 12], np.array([NAN, 70.0]), readings, STEPS, [None, 1], [0, 1])
    assert [one.stretch.stage for one in ranked] == ["lift"]
    assert ranked[0].errors["as recorded"] == pytest.approx(20.0)
