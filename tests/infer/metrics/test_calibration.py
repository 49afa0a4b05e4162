import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infer.metrics.calibration import ReliabilityBin, ece, reliability_bins
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
