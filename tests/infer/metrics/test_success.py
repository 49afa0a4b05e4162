import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, matthews_corrcoef, roc_auc_score

from infer.metrics.success import accuracy, auroc, best_threshold, finished, mcc

NAN = float("nan")
EPISODES = st.lists(st.tuples(st.booleans(), st.integers(0, 100)), min_size=2, max_size=30).map(
    lambda pairs: (np.array([outcome for outcome, _ in pairs]), np.array([float(value) for _, value in pairs]))
)


def test_auroc_by_hand():
    # of the four pairs of a success and a failure three are in order and one is tied
    assert auroc([True, True, False, False], [90, 50, 50, 10]) == pytest.approx(3.5 / 4)
    assert auroc([True, False], [NAN, 10]) is None
    assert auroc([True, True], [90, 10]) is None


def test_accuracy_and_mcc_by_hand():
    outcomes, values = [True, True, True, False, False], [100, 95, 40, 96, 10]
    assert accuracy(outcomes, values) == pytest.approx(3 / 5)
    # TP 2, FN 1, FP 1, TN 1
    assert mcc(outcomes, values) == pytest.approx((2 * 1 - 1 * 1) / np.sqrt(3 * 3 * 2 * 2))
    assert mcc(outcomes, values, threshold=0) is None
    assert accuracy([True], [NAN]) is None


@given(EPISODES)
def test_figures_are_those_of_scikit_learn(episodes):
    outcomes, values = episodes
    assert accuracy(outcomes, values, 50) == pytest.approx(accuracy_score(outcomes, values >= 50))
    if len(set(outcomes)) == 2:
        assert auroc(outcomes, values) == pytest.approx(roc_auc_score(outcomes, values))
        if len(set(values >= 50)) == 2:
            assert mcc(outcomes, values, 50) == pytest.approx(matthews_corrcoef(outcomes, values >= 50))
        else:
            assert mcc(outcomes, values, 50) is None


@given(EPISODES)
def test_auroc_does_not_change_under_a_rising_map_and_turns_with_the_outcomes(episodes):
    outcomes, values = episodes
    area = auroc(outcomes, values)
    assert auroc(outcomes, values**3) == area
    assert auroc(~outcomes, values) == (None if area is None else pytest.approx(1 - area))


def test_best_threshold_by_hand():
    # anything above 60 and up to 80 separates; half-way is 70
    assert best_threshold([True, True, False, False], [80, 90, 60, 20]) == 70.0
    # 95 itself separates, and is preferred
    assert best_threshold([True, False], [100, 50]) == 95.0
    assert best_threshold([True, True], [80, 90]) is None
    # the wrong way round: no threshold beats guessing
    assert best_threshold([True, False], [10, 90]) is None


@given(EPISODES)
def test_no_other_threshold_is_better(episodes):
    outcomes, values = episodes
    best = best_threshold(outcomes, values)
    if len(set(outcomes)) < 2:
        assert best is None
        return

    def gain(threshold):
        return (values[outcomes] >= threshold).mean() - (values[~outcomes] >= threshold).mean()

    assert max(gain(threshold) for threshold in np.arange(-0.5, 101)) == pytest.approx(
        0 if best is None else gain(best)
    )


def test_finished_frames_are_those_whose_label_reaches_the_threshold():
    assert finished([94.9, 95.0, 100.0]).tolist() == [False, True, True]


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 outcomes for 1 predictions"):
        auroc([True, False], [1])
