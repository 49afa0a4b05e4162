"""Small cases worked out from the definitions."""

import numpy as np
import pytest

from infer.metrics import progress as metrics
from infer.metrics.reference import (
    reference_ccc,
    reference_epr50,
    reference_mcc95,
    reference_tau_a,
    reference_ubr,
    reference_voc,
)

NAN = float("nan")


def test_tau_a_leaves_ties_in_the_denominator():
    # three pairs: one tied, two concordant
    assert reference_tau_a([0, 100, 100], [1, 2, 3]) == pytest.approx(2 / 3)
    assert reference_tau_a([0, 1, 2], [0, 2, 1]) == pytest.approx(1 / 3)
    assert reference_tau_a([0, 1], [5, 5]) == 0.0
    assert reference_tau_a([0, NAN], [5, 6]) is None


def test_voc_by_rank_index_asks_a_finished_tail_to_go_on_rising():
    labels, perfect = [0, 50, 100, 100], [0, 50, 100, 100]
    # places 1 2 3 4 against mean ranks 1 2 3.5 3.5
    assert reference_voc(labels, perfect) == pytest.approx(4.5 / np.sqrt(5 * 4.5))
    assert metrics.voc(labels, perfect) == pytest.approx(1.0)
    # frames are put in the order of their labels first
    assert reference_voc([100, 0, 50], [9, 1, 5]) == pytest.approx(1.0)
    assert reference_voc([0, 100], [5, 5]) == 0.0
    assert reference_voc([0], [5]) is None


def test_ccc_is_ours_but_for_constants_and_clipping():
    assert reference_ccc([0, 10], [5, 15]) == pytest.approx(metrics.ccc([0, 10], [5, 15]))
    assert reference_ccc([5, 5], [5, 5]) == 0.0
    assert reference_ccc([0, 100], [-50, 150]) == pytest.approx(1.0)
    assert reference_ccc([0], [5]) is None


def test_unique_bin_ratio():
    # labels inside (0, 100) fall on 10 and 20; predictions on 10, 15 and 20; the ends take no part
    assert reference_ubr([0, 10, 20, 21, 100], [99, 10, 15, 20, 1]) == pytest.approx(3 / 2)
    # halves go to the even multiple: 12.5 / 5 = 2.5 and 7.5 / 5 = 1.5 both to 2
    assert reference_ubr([12.5, 40], [7.5, 12.5]) == pytest.approx(1 / 2)
    assert reference_ubr([0, 50, 100], [1, 2, 3]) is None


def test_effective_resolution_counts_100_as_a_bin_of_its_own():
    # 0, 99 and 100: of six bins the first, the last, and 100 beyond it are half; of seven bins three are less
    assert reference_epr50([0, 99, 100]) == pytest.approx(np.log2(6))
    # with a closed last bin 99 and 100 share it while there are at most 100 bins
    assert metrics.effective_resolution([0, 99, 100]) == pytest.approx(2.0)
    assert reference_epr50([40, 40]) == 1.0
    assert reference_epr50([40]) is None


def test_mcc_at_95():
    # TP 1, FN 1, FP 1, TN 2
    assert reference_mcc95([100, 95, 50, 20, 0], [95, 94, 96, 20, 0]) == pytest.approx(1 / np.sqrt(2 * 2 * 3 * 3))
    assert reference_mcc95([100, 0], [10, 0]) == 0.0
    assert reference_mcc95([NAN], [10]) is None
