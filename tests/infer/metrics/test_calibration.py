import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from infer.metrics.calibration import ReliabilityBin, ece, fit_isotonic, reliability_bins
from infer.metrics.progress import mae

NAN = float("nan")
PERCENT = st.integers(0, 100)
CURVES = st.lists(st.tuples(PERCENT, PERCENT), min_size=2, max_size=40).map(lambda pairs: np.array(pairs, float).T)


def test_reliability_by_hand():
    labels, predictions = [0, 10, 60, 100, NAN, 50], [4, 8, 90, 100, 50, NAN]
    assert reliability_bins(labels, predictions, bins=10) == [
        ReliabilityBin(0.0, 10.0, 2, 6.0, 5.0),
        ReliabilityBin(90.0, 100.0, 2, 95.0, 80.0),
    ]
    assert ece(labels, predictions, bins=10) == pytest.approx(0.5 * 1 + 0.5 * 15)
    assert reliability_bins([], []) == []
    assert ece([NAN], [3]) is None


@given(CURVES, st.integers(1, 20))
def test_bins_hold_every_frame_once_and_the_error_is_at_most_the_mean_error(curve, bins):
    labels, predictions = curve
    found = reliability_bins(labels, predictions, bins)
    assert sum(entry.count for entry in found) == len(labels)
    assert all(entry.low <= entry.mean_prediction <= entry.high for entry in found)
    assert ece(labels, predictions, bins) <= mae(labels, predictions) + 1e-9
    assert ece(labels, labels, bins) == pytest.approx(0.0, abs=1e-9)


def test_isotonic_by_hand():
    # 20 and 30 are the wrong way round and are pooled at their mean label, 45
    calibration = fit_isotonic([0, 60, 30, 100], [10, 20, 30, 40])
    assert calibration.said == (10, 20, 30, 40)
    assert calibration.meant == pytest.approx((0, 45, 45, 100))
    np.testing.assert_allclose(calibration([0, 15, 25, 35, 99, NAN]), [0, 22.5, 45, 72.5, 100, NAN])
    assert fit_isotonic([0, 60, 50, 40, 100], [10, 20, 30, 40, 50]).corners == [(10, 0), (20, 50), (40, 50), (50, 100)]


def test_one_number_cannot_be_calibrated():
    assert fit_isotonic([0, 50, 100], [30, 30, 30]) is None
    assert fit_isotonic([], []) is None


@given(CURVES)
def test_isotonic_is_that_of_scikit_learn(curve):
    labels, predictions = curve
    calibration = fit_isotonic(labels, predictions)
    if calibration is None:
        assert len(set(predictions)) == 1
        return
    theirs = IsotonicRegression(out_of_bounds="clip").fit(predictions, labels)
    np.testing.assert_allclose(calibration(np.arange(101)), theirs.predict(np.arange(101.0)), atol=1e-6)
    assert (np.diff(calibration(np.arange(101))) >= -1e-9).all()


@given(CURVES)
def test_calibration_lowers_the_squared_error_where_it_was_fitted(curve):
    labels, predictions = curve
    calibration = fit_isotonic(labels, predictions)
    if calibration is not None:
        assert ((calibration(predictions) - labels) ** 2).sum() <= ((predictions - labels) ** 2).sum() + 1e-6
        for said, meant in calibration.corners:
            assert calibration([said])[0] == pytest.approx(meant)
