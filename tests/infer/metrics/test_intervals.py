import numpy as np
import pytest
from scipy.stats import bootstrap

from infer.metrics.intervals import bootstrap_interval
from infer.metrics.success import auroc


def test_two_episodes_by_hand():
    # the four draws have the means 0, 5, 5, 10: both ends are more than 2.5 % of all draws
    assert bootstrap_interval([0.0, 10.0]) == (0.0, 10.0)
    # half of the draws lie in the middle
    assert bootstrap_interval([0.0, 10.0], level=0.4) == (5.0, 5.0)


def test_agrees_with_scipy():
    values = np.random.default_rng(3).normal(50, 10, 25)
    ours = bootstrap_interval(list(values), resamples=6000)
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=6000, rng=1).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.3)


@pytest.mark.parametrize("values", [[], [3.0], [3.0, None], [None, None, None]])
def test_undefined_with_fewer_than_two_episodes(values):
    assert bootstrap_interval(values) is None


def test_the_same_seed_gives_the_same_interval_and_a_higher_level_a_wider_one():
    values = [10.0, 30.0, 35.0, 80.0, None]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    low, high = bootstrap_interval(values, level=0.99)
    inner_low, inner_high = bootstrap_interval(values, level=0.5)
    assert low < inner_low < np.mean([10, 30, 35, 80]) < inner_high < high


def test_draws_of_pairs_stay_pairs():
    pairs = [(10.0 * n, 10.0 * n + 4.0) for n in range(6)]
    assert bootstrap_interval(pairs, lambda drawn: float(np.mean([b - a for a, b in drawn]))) == (4.0, 4.0)


def test_a_statistic_that_most_draws_leave_undefined_has_no_interval():
    def area(episodes):
        return auroc([success for success, _ in episodes], [final for _, final in episodes])

    assert bootstrap_interval([(True, 90.0), (True, 80.0)], area) is None
    assert bootstrap_interval([(True, 90.0), (True, 80.0), (False, 10.0), (False, 20.0)], area) == (1.0, 1.0)


def test_a_level_that_is_no_coverage_is_refused():
    with pytest.raises(ValueError, match="level is 95"):
        bootstrap_interval([1.0, 2.0], level=95)
