"""The core of Onetake: videos, annotations, labels, windows, prompts and samples. Imports no torch."""

from dataset.annotation import Annotation, Stage, read_annotation, write_annotation
from dataset.check import Finding, check_demonstrations
from dataset.progress import label_curve, remaining_subtasks
from dataset.prompts import Answer, build_completion, build_prompt, parse_answer
from dataset.samples import (
    Demonstration,
    SamplingSpec,
    VqaSample,
    build_samples,
    read_demonstrations,
    read_samples,
    write_samples,
)
from dataset.video import VideoError, VideoReader, fingerprint
from dataset.window import WindowSpec, window_indices

__all__ = [
    "Annotation",
    "Answer",
    "Demonstration",
    "Finding",
    "SamplingSpec",
    "Stage",
    "VideoError",
    "VideoReader",
    "VqaSample",
    "WindowSpec",
    "build_completion",
    "build_prompt",
    "build_samples",
    "check_demonstrations",
    "fingerprint",
    "label_curve",
    "parse_answer",
    "read_annotation",
    "read_demonstrations",
    "read_samples",
    "remaining_subtasks",
    "window_indices",
    "write_annotation",
    "write_samples",
]
