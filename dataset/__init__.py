"""The core of Onetake: videos, annotations, labels, windows, prompts and samples. Imports no torch."""

from dataset.annotation import Annotation, AnnotationError, Camera, Problem, Stage
from dataset.annotation_file import read_annotation, write_annotation
from dataset.check import check_demonstrations, check_files
from dataset.demonstration import Demonstration, read_demonstration, read_demonstrations
from dataset.finding import Finding
from dataset.labels import label_curve, plan_steps, remaining_subtasks
from dataset.preview import preview_demonstration, write_preview
from dataset.prompts import Answer, build_completion, build_prompt, parse_answer
from dataset.sample_file import VqaSample, from_dataset, read_samples, to_dataset, write_samples
from dataset.samples import SamplingSpec, build_sample_set, build_samples, demonstration_curve
from dataset.similarity import frame_similarity
from dataset.task_plan import proposed_ends, with_plan
from dataset.video import VideoError, VideoReader, fingerprint, has_fingerprint
from dataset.window import WindowSpec, window_indices

__all__ = [
    "Annotation",
    "AnnotationError",
    "Answer",
    "Camera",
    "Demonstration",
    "Finding",
    "Problem",
    "SamplingSpec",
    "Stage",
    "VideoError",
    "VideoReader",
    "VqaSample",
    "WindowSpec",
    "build_completion",
    "build_prompt",
    "build_sample_set",
    "build_samples",
    "check_demonstrations",
    "check_files",
    "demonstration_curve",
    "fingerprint",
    "frame_similarity",
    "from_dataset",
    "has_fingerprint",
    "label_curve",
    "parse_answer",
    "plan_steps",
    "preview_demonstration",
    "proposed_ends",
    "read_annotation",
    "read_demonstration",
    "read_demonstrations",
    "read_samples",
    "remaining_subtasks",
    "to_dataset",
    "window_indices",
    "with_plan",
    "write_annotation",
    "write_preview",
    "write_samples",
]
