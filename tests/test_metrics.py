import numpy as np
import pytest

from infer.metrics import cycle_voc, final, mae, mean_of_defined, parse_rate, voc

NAN = float("nan")


def test_voc_by_hand():
    assert voc([0, 50, 100], [1, 2, 3]) == pytest.approx(1.0)
    assert voc([0, 50, 100], [3, 2, 1]) == pytest.approx(-1.0)
    # ranks 1 2 3 4 against 1 3 2 4: 1 - 6 * (0 + 1 + 1 + 0) / (4 * 15) = 0.8
    assert voc([0, 10, 20, 30], [0, 20, 10, 30]) == pytest.approx(0.8)


def test_ties_take_their_mean_rank():
    # ranks 1 2.5 2.5 4 against 1 2 3 4: covariance 4.5, variances 4.5 and 5
    assert voc([0, 5, 5, 9], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


@pytest.mark.parametrize(("labels", "predictions"), [([1, 2], [5, 5]), ([3, 3], [1, 2]), ([1], [1]), ([], [])])
def test_voc_is_undefined_not_zero(labels, predictions):
    assert voc(labels, predictions) is None


def test_frames_without_label_or_answer_take_no_part():
    assert voc([0, 50, NAN, 100], [1, 2, 0, NAN]) == pytest.approx(1.0)
    assert mae([0, 50, NAN, 100], [10, 40, 0, NAN]) == 10.0


def test_a_clock_scores_near_zero_over_the_cycle_and_a_reader_one():
    labels = np.linspace(0, 100, 50)
    clock = np.arange(100)
    assert voc(labels, clock[:50]) == pytest.approx(1.0)
    assert cycle_voc(labels, clock[:50], labels[::-1], clock[50:]) == pytest.approx(0.0, abs=0.01)
    assert cycle_voc(labels, labels, labels[::-1], labels[::-1]) == pytest.approx(1.0)
    assert cycle_voc(labels, labels, [], []) is None


def test_final_and_parse_rate():
    assert final([1.0, 90.0]) == 90.0
    assert final([1.0, NAN]) is None
    assert final([]) is None
    assert parse_rate([1.0, NAN, 3.0, NAN]) == 0.5
    assert parse_rate([]) is None


def test_means_leave_the_undefined_out():
    assert mean_of_defined([1.0, None, 3.0]) == 2.0
    assert mean_of_defined([None]) is None


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 labels for 1 predictions"):
        mae([1, 2], [1])
