"""Labels: the progress of every frame of an annotated demonstration, in percent.

Knows annotations and the formulas; does not know samples, prompts or models.
"""

from __future__ import annotations

import numpy as np

from dataset.annotation import Annotation

SUCCESS_THRESHOLD = 95.0


def stage_weights(lengths: list[int]) -> np.ndarray:
    """Return the share of each stage in the whole task; float64, shape (K,), sums to 1.

    `w_k = clip(K * n_k / T, 0.75, 1.25)` for K stages of n_k frames, T = sum n_k, then normalised (ProcVLM, arXiv
    2605.08774): long stages count for more, but no stage dominates or vanishes.
    """
    counts = np.asarray(lengths, dtype=np.float64)
    weights = np.clip(len(counts) * counts / counts.sum(), 0.75, 1.25)
    return weights / weights.sum()


def label_curve(annotation: Annotation) -> np.ndarray:
    """Return the progress of every frame in percent; float64, shape (num_frames,); nan in excluded stages.

    Where the annotation holds measured progress, that is the label. Else it is interpolated: frame t of a kept stage
    [s_k, e_k) has `100 * (w_1 + ... + w_(k-1) + w_k * (t - s_k) / (e_k - s_k))`. Frames after the last stage are
    finished: 100. In a failed demonstration all values are scaled by `final_progress / 100`.
    """
    if annotation.measured_progress is not None:
        curve = np.asarray(annotation.measured_progress, dtype=np.float64).copy()
        for stage in annotation.stages:
            if stage.excluded:
                curve[stage.start : stage.end] = np.nan
        return curve
    curve = np.full(annotation.num_frames, np.nan)
    kept = annotation.kept_stages
    weights = stage_weights([stage.end - stage.start for stage in kept])
    reached = 0.0
    for stage, weight in zip(kept, weights, strict=True):
        length = stage.end - stage.start
        curve[stage.start : stage.end] = 100.0 * (reached + weight * np.arange(length) / length)
        reached += weight
    curve[annotation.last_stage_end :] = 100.0
    return curve * (annotation.final_progress / 100.0)


def remaining_subtasks(annotation: Annotation, frame_index: int) -> tuple[str, ...]:
    """Return the texts of the stages still to do at a frame, the current one first; empty when the task is done.

    A sub-task that occurs twice is listed twice. After the last stage of a failed demonstration the last stage is
    what remains: it was attempted and did not succeed.
    """
    kept = annotation.kept_stages
    remaining = tuple(stage.subtask for stage in kept if frame_index < stage.end)
    return remaining if remaining or annotation.success else (kept[-1].subtask,)
