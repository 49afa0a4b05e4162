"""Stage proposals without a model: frames at which the picture begins to change in another way, or rests.

Knows arrays of frame features and arithmetic; does not know videos or stages. A stage of a robot's demonstration is a
stretch of steady change (reaching, lifting, carrying), so the features of its frames are near a straight line; stages
meet where one line ends and another begins, and often the robot rests there for a moment. The search for change points
is own code: no dependency has one, and a further dependency (ruptures) would replace some fifty lines.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

FEATURE_SIZE = 12  # pixels per side of the thumbnail that is a frame's feature
COMPONENTS = 4
MAX_POINTS = 240  # the search is quadratic in the points in time
MIN_STAGE_SEC = 0.4
TICKS, TICKS_PER_MINUTE = 8, 12.0  # a demonstration has a few stages, however long it takes
CHANGE_SHARE = 1 / 3  # of the ticks; the others are moments of rest
REST_EDGE = 0.05  # a rest begins where the change has fallen to this share of its fall


def frame_feature(frame: np.ndarray) -> np.ndarray:
    """Return the feature of an RGB frame (H, W, 3): a thumbnail, float16, shape (FEATURE_SIZE**2 * 3,)."""
    height, width = frame.shape[:2]
    rows = np.arange(FEATURE_SIZE * 4) * height // (FEATURE_SIZE * 4)
    columns = np.arange(FEATURE_SIZE * 4) * width // (FEATURE_SIZE * 4)
    picked = frame[rows[:, None], columns].astype(np.float32)
    return picked.reshape(FEATURE_SIZE, 4, FEATURE_SIZE, 4, 3).mean(axis=(1, 3)).ravel().astype(np.float16)


def propose_boundaries(features: np.ndarray, fps: float) -> list[int]:
    """Return the frames at which a new stage may begin, rising, without 0.

    A third of them are change points, the others the deepest moments of rest that are not near one.

    Args:
        features: One row per frame, shape (num_frames, D).
        fps: Frames per second.
    """
    number = round(TICKS + TICKS_PER_MINUTE * len(features) / fps / 60.0)
    ticks = change_points(features, fps, max(2, round(number * CHANGE_SHARE)))
    for frame in moments_of_rest(features, fps):
        if len(ticks) < number and all(abs(frame - tick) > MIN_STAGE_SEC * fps for tick in ticks):
            ticks.append(frame)
    return sorted(ticks)


def moments_of_rest(features: np.ndarray, fps: float) -> list[int]:
    """Return the frames where the change from frame to frame dies down, those of the deepest valleys first.

    A rest that lasts begins where it begins, not in its middle; the end of the video counts as a rim.
    """
    if len(features) < 3:
        return []
    change = np.linalg.norm(np.diff(np.asarray(features, dtype=np.float64), axis=0), axis=1)
    smooth = gaussian_filter1d(change, max(1.0, 0.12 * fps))
    rim = np.append(smooth, smooth.max())
    distance = max(1, round(MIN_STAGE_SEC * fps))
    valleys, shape = find_peaks(-rim, distance=distance, prominence=0.02 * smooth.max())
    depths, moments = shape["prominences"], []
    for k in np.argsort(-depths, kind="stable"):
        frame = int(valleys[k])
        while frame > 0 and smooth[frame - 1] <= smooth[valleys[k]] + REST_EDGE * depths[k]:
            frame -= 1
        moments.append(frame + 1)
    return moments


def change_points(features: np.ndarray, fps: float, max_splits: int) -> list[int]:
    """Return the frames where one steady change ends and another begins, rising.

    The features are projected on their main directions of change; then the division of time into segments with the
    least squared distance from one straight line per segment is found by dynamic programming, for every number of
    segments up to the limit. Segments are added while each takes away a fair share of what is left.

    Args:
        features: One row per frame, shape (num_frames, D).
        fps: Frames per second; stages shorter than `MIN_STAGE_SEC` are not proposed.
        max_splits: At most so many.
    """
    step = max(1, -(-len(features) // MAX_POINTS))
    points = np.arange(0, len(features), step)
    shortest = max(2, round(MIN_STAGE_SEC * fps / step))
    if len(points) < 2 * shortest:
        return []
    signal = _main_directions(np.asarray(features, dtype=np.float64)[points])
    if not signal.any():
        return []
    splits = _best_splits(_line_costs(signal, shortest), min(max_splits, len(points) // shortest - 1))
    return [int(points[k]) for k in splits]


def _main_directions(rows: np.ndarray) -> np.ndarray:
    """Project on the leading principal components; shape (T, at most COMPONENTS)."""
    centred = rows - rows.mean(axis=0)
    strength, directions = np.linalg.eigh(centred @ centred.T)
    leading = slice(None, -COMPONENTS - 1, -1)
    return directions[:, leading] * np.sqrt(np.maximum(strength[leading], 0.0))


def _line_costs(signal: np.ndarray, shortest: int) -> np.ndarray:
    """Return the squared distance of points [i, j) from their best straight line; inf where they are too few.

    Shape (T + 1, T + 1). From running sums of 1, t, t^2, y, y^2 and t*y, so that each entry costs the same.
    """
    num = len(signal)
    t = np.arange(num, dtype=np.float64)
    sums = np.concatenate([np.stack([t, t * t, (signal**2).sum(axis=1)], 1), signal, t[:, None] * signal], axis=1)
    running = np.vstack([np.zeros(sums.shape[1]), np.cumsum(sums, axis=0)])
    dims = signal.shape[1]
    cost = np.full((num + 1, num + 1), np.inf)
    for i in range(num - shortest + 1):
        j = np.arange(i + shortest, num + 1)
        count = (j - i).astype(np.float64)
        total = running[j] - running[i]
        mean_t = total[:, 0] / count
        spread_t = total[:, 1] - count * mean_t**2
        mean_y = total[:, 3 : 3 + dims] / count[:, None]
        together = total[:, 3 + dims :] - count[:, None] * mean_t[:, None] * mean_y
        spread_y = total[:, 2] - count * (mean_y**2).sum(axis=1)
        cost[i, j] = np.maximum(spread_y - (together**2).sum(axis=1) / np.maximum(spread_t, 1e-9), 0.0)
    return cost


def _best_splits(cost: np.ndarray, max_splits: int) -> list[int]:
    """Return the splits of the best division with as many segments as pay for themselves."""
    num = len(cost) - 1
    best = [cost[0]]
    cut: list[np.ndarray] = []
    for _ in range(max_splits):
        through = best[-1][:, None] + cost
        cut.append(np.argmin(through, axis=0))
        best.append(through[cut[-1], np.arange(num + 1)])
    ends = np.array([row[num] for row in best])
    finite = np.isfinite(ends)
    if not finite.any() or ends[0] <= 0:
        return []
    penalty = 0.004 * ends[0]
    number = int(np.argmin(np.where(finite, ends, np.inf) + penalty * np.arange(len(ends))))
    splits, end = [], num
    for row in cut[:number][::-1]:
        end = int(row[end])
        splits.append(end)
    return splits[::-1]
