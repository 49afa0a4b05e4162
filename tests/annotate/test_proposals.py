import numpy as np
import pytest

from annotate.proposals import change_points, frame_feature, moments_of_rest, propose_boundaries


def moving(speeds, lengths, rng):
    """A point that moves at one speed per stage, in a feature space of 20 dimensions with noise."""
    directions = rng.normal(size=(len(speeds), 20))
    steps = [d * s for d, s, n in zip(directions, speeds, lengths, strict=True) for _ in range(n)]
    return np.cumsum(steps, axis=0) + rng.normal(scale=0.01, size=(sum(lengths), 20))


def test_change_points_are_where_the_direction_changes():
    features = moving([1.0, 1.0, 1.0], [50, 70, 60], np.random.default_rng(0))
    assert change_points(features, 25.0, 5) == pytest.approx([50, 120], abs=2)


def test_rests_begin_where_the_motion_dies_down():
    features = moving([1.0, 0.0, 1.0, 0.0], [60, 30, 60, 40], np.random.default_rng(0))
    rests = moments_of_rest(features, 25.0)
    assert sorted(rests[:2]) == pytest.approx([60, 150], abs=6)


def test_proposals_are_few_rising_and_inside():
    features = moving([1.0, 0.0, 1.0, 0.0, 1.0], [300, 20, 300, 20, 300], np.random.default_rng(0))
    ticks = propose_boundaries(features, 25.0)
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= 8 + 12 * 940 / 25 / 60 + 1
    assert all(0 < tick < len(features) for tick in ticks)
    for end in (300, 620):
        assert min(abs(tick - end) for tick in ticks) <= 12  # half a second


@pytest.mark.parametrize("num_frames", [1, 2, 3, 7, 30])
def test_short_and_still_videos_have_none(num_frames):
    assert propose_boundaries(np.zeros((num_frames, 12)), 25.0) == []


def test_a_feature_is_the_picture_made_small():
    frame = np.zeros((48, 96, 3), dtype=np.uint8)
    frame[:, 48:] = (200, 100, 50)
    feature = frame_feature(frame).reshape(12, 12, 3)
    assert feature[0, 0].tolist() == [0, 0, 0]
    assert feature[11, 11].tolist() == [200, 100, 50]
