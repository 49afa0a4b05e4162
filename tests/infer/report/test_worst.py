from dataclasses import replace

import numpy as np
from report_material import NAN, make_result

from infer.report.worst import worst_windows


def test_the_largest_errors_come_first_with_all_answers(video):
    one = make_result(video, {"base": [0, 0, 0, 0], "adapter": [0, 90, 60, 100]}, episode="one")
    two = make_result(video, {"base": [0, 0, 0, 0], "adapter": [20, 40, 60, 100]}, episode="two")
    found = worst_windows([one, two])
    assert found[0].result is one and found[0].prediction.frame_index == 10 and found[0].label == one.labels[1]
    assert found[0].error == 90 - one.labels[1] > 0
    assert found[0].answers["base"].progress == 0.0 and found[0].prediction is found[0].answers["adapter"]
    assert [abs(window.error) for window in found] == sorted((abs(w.error) for w in found), reverse=True)


def test_neighbours_are_shown_once(video):
    result = make_result(video, {"base": [0] * 4, "adapter": [20, 50, 100, 0]})
    assert [round(error) for error in result.values["adapter"] - result.labels][2] > 20
    assert [window.prediction.frame_index for window in worst_windows([result])] == [39, 0]  # 20 is 0.8 s from 39


def test_what_is_right_missing_or_unlabelled_is_no_mistake(video):
    result = make_result(video, {"base": [0] * 4, "adapter": [0, NAN, NAN, 100]})
    assert worst_windows([result]) == []
    unlabelled = replace(result, labels=np.full(4, NAN))
    assert worst_windows([unlabelled]) == []


def test_the_number_is_bounded(video):
    results = [make_result(video, {"base": [0] * 4, "adapter": [99] * 4}, episode=str(n)) for n in range(9)]
    assert len(worst_windows(results)) == 6
