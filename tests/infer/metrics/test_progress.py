from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from infer.metrics.progress import (
    ccc,
    cycle_voc,
    effective_resolution,
    final,
    kendall_tau,
    mae,
    mean_of_defined,
    parse_rate,
    rmse,
    voc,
)

NAN = float("nan")
PERCENT = st.integers(0, 100)
CURVES = st.lists(st.tuples(PERCENT, PERCENT), min_size=2, max_size=30).map(lambda pairs: np.array(pairs, float).T)
AGREEMENTS = (voc, kendall_tau, ccc)


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


def test_kendall_tau_b_by_hand():
    # six pairs: one tied in the label, one in the prediction, the four others concordant
    assert kendall_tau([0, 5, 5, 9], [1, 2, 3, 3]) == pytest.approx(4 / np.sqrt(5 * 5))
    assert kendall_tau([0, 1, 2], [0, 2, 1]) == pytest.approx(1 / 3)
    assert kendall_tau([0, 1], [7, 7]) is None


@given(CURVES)
def test_kendall_tau_b_is_what_counting_pairs_gives(curve):
    labels, predictions = curve
    signs = [
        (np.sign(labels[i] - labels[j]), np.sign(predictions[i] - predictions[j]))
        for i, j in combinations(range(len(labels)), 2)
    ]
    untied = (sum(a != 0 for a, _ in signs), sum(b != 0 for _, b in signs))
    expected = sum(a * b for a, b in signs) / np.sqrt(untied[0] * untied[1]) if all(untied) else None
    assert kendall_tau(labels, predictions) == pytest.approx(expected)


def test_ccc_by_hand():
    # means 5 and 10, variances 25 and 25, covariance 25: 50 / (50 + 25)
    assert ccc([0, 10], [5, 15]) == pytest.approx(50 / 75)
    # scale alone: covariance 50, variances 25 and 100, means 5 and 10
    assert ccc([0, 10], [0, 20]) == pytest.approx(100 / 150)
    assert ccc([0, 10], [5, 5]) == 0.0
    assert ccc([5, 5], [5, 5]) is None
    assert ccc([5], [5]) is None


@given(CURVES)
def test_ccc_is_lins_form_with_pearsons_correlation(curve):
    labels, predictions = curve
    if np.ptp(labels) and np.ptp(predictions):
        correlation = np.corrcoef(labels, predictions)[0, 1]
        spread = labels.var() + predictions.var() + (labels.mean() - predictions.mean()) ** 2
        assert ccc(labels, predictions) == pytest.approx(2 * correlation * labels.std() * predictions.std() / spread)


@given(CURVES)
def test_agreements_are_bounded_and_symmetric(curve):
    labels, predictions = curve
    for agreement in AGREEMENTS:
        value = agreement(labels, predictions)
        assert value == pytest.approx(agreement(predictions, labels))
        assert value is None or -1.0 - 1e-12 <= value <= 1.0 + 1e-12


@given(CURVES)
def test_order_does_not_change_under_a_rising_map_and_turns_under_a_falling_one(curve):
    labels, predictions = curve
    for order in (voc, kendall_tau):
        value = order(labels, predictions)
        assert order(labels, predictions**3) == pytest.approx(value)
        assert order(labels, -predictions) == (None if value is None else pytest.approx(-value))


@given(CURVES)
def test_errors_are_those_of_scikit_learn(curve):
    labels, predictions = curve
    assert mae(labels, predictions) == pytest.approx(mean_absolute_error(labels, predictions))
    assert rmse(labels, predictions) == pytest.approx(root_mean_squared_error(labels, predictions))
    assert rmse(labels, predictions) >= mae(labels, predictions) - 1e-9
    assert rmse(labels, predictions) == pytest.approx(rmse(predictions, labels))


def test_rmse_by_hand():
    assert rmse([0, 0], [30, 40]) == pytest.approx(np.sqrt(1250))
    assert rmse([NAN], [3]) is None


def test_effective_resolution_by_hand():
    # 0 and 100: of four bins the first and the last are half of all; of five bins they are two fifths
    assert effective_resolution([0, 100]) == 2.0
    # one number: one of two bins
    assert effective_resolution([40, 40, 40]) == 1.0
    # one number, and all bins must be occupied: one bin
    assert effective_resolution([40, 40], coverage=1.0) == 0.0
    assert effective_resolution([40, NAN]) is None
    assert effective_resolution([]) is None


def test_effective_resolution_is_blind_to_the_label_and_likes_noise():
    reader = np.repeat(np.linspace(0, 100, 11), 20)
    noise = np.random.default_rng(0).uniform(0, 100, 220)
    assert effective_resolution(noise) > effective_resolution(reader) + 3


@given(st.lists(PERCENT, min_size=2, max_size=20), st.integers(2, 60))
def test_effective_resolution_does_not_depend_on_order_and_keeps_its_bounds(values, finest):
    bits = effective_resolution(values, finest=finest)
    assert bits == effective_resolution(values[::-1], finest=finest)
    assert 1.0 <= bits <= np.log2(min(finest, 2 * len(set(values)))) + 1e-12
