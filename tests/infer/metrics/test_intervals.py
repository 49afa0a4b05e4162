import numpy as np
import pytest

from infer.metrics.intervals import bootstrap_interval


def test_two_episodes_by_hand():
    # the four draws have the means 0, 5, 5, 10: both ends are more than 2.5 % of all draws
    assert bootstrap_interval([0.0, 10.0]) == (0.0, 10.0)
    # half of the draws lie in the middle
    assert bootstrap_interval([0.0, 10.0], level=0.4) == (5.0, 5.0)


def test_the_draws_are_those_that_the_seed_gives():
    """Reports made with an earlier version have the same bounds."""
    values = np.random.default_rng(3).normal(50, 10, 7)
    places = np.random.default_rng(0).integers(7, size=(2000, 7))
    expected = np.quantile(values[places].mean(axis=1), [0.025, 0.975])
    assert bootstrap_interval(list(values)) == pytest.approx(expected, abs=1e-9)


def test_equal_values_have_an_interval_of_no_width():
    assert bootstrap_interval([7.0, 7.0, 7.0]) == (7.0, 7.0)


@pytest.mark.parametrize("values", [[], [3.0], [3.0, None], [None, None, None]])
def test_undefined_with_fewer_than_two_episodes(values):
    assert bootstrap_interval(values) is None


def test_the_same_seed_gives_the_same_interval_and_a_higher_level_a_wider_one():
    values = [10.0, 30.0, 35.0, 80.0, None]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    low, high = bootstrap_interval(values, level=0.99)
    inner_low, inner_high = bootstrap_interval(values, level=0.5)
    assert low < inner_low < np.mean([10, 30, 35, 80]) < inner_high < high


def test_a_level_that_is_no_coverage_is_refused():
    with pytest.raises(ValueError, match="level is 95"):
        bootstrap_interval([1.0, 2.0], level=95)
