"""What a caller chooses for a run of predictions: frames, window rule, and where its rows go. Imports no torch.

Built once, by the command line or the caller, and passed on. Does not know models or answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dataset.checked_numbers import check_number, check_whole
from dataset.window import WindowSpec
from infer.model.adapter_folder import ProgressConfig
from infer.model.errors import ModelError

DEFAULT_MAX_SAMPLED_FRAMES = 512
BASE_WINDOW = WindowSpec(size=8, rate_hz=6.25)  # of a base model where the caller sets nothing

OnUnparsed = Literal["null", "previous"]


@dataclass(frozen=True)
class FrameChoice:
    """Which frames of a recording are sampled: those that a prediction is made for.

    Which frames accompany them in a window does not depend on this: windows count source frames.

    Args:
        max_frames: Use only the first so many frames of a recording; None for all.
        max_sampled_frames: Sample at most so many, evenly spread; None for all.
    """

    max_frames: int | None = None
    max_sampled_frames: int | None = DEFAULT_MAX_SAMPLED_FRAMES

    def __post_init__(self) -> None:
        for name in ("max_frames", "max_sampled_frames"):
            value = getattr(self, name)
            if value is not None and check_whole(name, value) < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1 (leave it out for all frames)")

    def frames(self, num_frames: int) -> list[int]:
        """Return the sampled frames of a recording of `num_frames`, rising; the last frame is among them."""
        end = min(num_frames, self.max_frames or num_frames)
        if self.max_sampled_frames is None or end <= self.max_sampled_frames:
            return list(range(end))
        return sorted({round(position) for position in np.linspace(end - 1, 0, self.max_sampled_frames)})


@dataclass(frozen=True)
class WindowRequest:
    """The window rule that a caller sets; None leaves a field to the adapter, or to `BASE_WINDOW`.

    Args:
        window_size: Frames in a window.
        window_stride: Spacing in source frames.
        window_rate_hz: Spacing as frames per second.
        force: Allow a rule that differs from the adapter's.
    """

    window_size: int | None = None
    window_stride: float | None = None
    window_rate_hz: float | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.window_size is not None and check_whole("window_size", self.window_size) < 1:
            raise ValueError(f"window_size is {self.window_size}; it must be at least 1")
        for name in ("window_stride", "window_rate_hz"):
            value = getattr(self, name)
            if value is not None and check_number(name, value) <= 0:
                raise ValueError(f"{name} is {value}; it must be above 0")


def choose_window(trained: ProgressConfig | None, request: WindowRequest = WindowRequest()) -> WindowSpec:
    """Return the window rule of a model.

    Args:
        trained: How the model was trained (`ProgressModel.progress_config`); None for a base.
        request: What the caller sets.

    Raises:
        ModelError: The request contradicts the adapter's rule, and `force` is not set.
    """
    default = trained.window if trained else BASE_WINDOW
    stride, rate_hz = request.window_stride, request.window_rate_hz
    if stride is None and rate_hz is None:
        stride, rate_hz = default.stride, default.rate_hz
    size = default.size if request.window_size is None else request.window_size
    window = WindowSpec(size, stride, rate_hz, default.padding)
    if trained and window != trained.window and not request.force:
        raise ModelError(
            f"the adapter was trained with the window {trained.window.to_dict()}, but the request is "
            f"{window.to_dict()}; leave the window flags out, or add --force to compare"
        )
    return window


def check_task(task: str) -> str:
    """Return a task text; ValueError where it is empty or no text."""
    if not isinstance(task, str) or not task.strip():
        found = "empty" if isinstance(task, str) else repr(task)
        raise ValueError(f"the task text is {found}; name what the robot shall do (--task)")
    return task


def foreign_task(trained: ProgressConfig | None, task: str) -> str | None:
    """Return the warning that an adapter was not trained on a task; None where it was, and for a base."""
    if trained is None or task in trained.tasks:
        return None
    tasks = '" and "'.join(trained.tasks)
    return f'the adapter was trained on "{tasks}", not on "{task}": do not trust its values'


@dataclass(frozen=True)
class Output:
    """Where the rows of a run go, and what they hold where an answer has no percentage.

    Args:
        output_path: JSONL that grows while predictions are made; None writes nothing.
        resume: Keep the rows that the file holds already and predict what is missing.
        on_unparsed: `progress` of an answer without a percentage: "null" leaves it None; "previous" repeats the last
            percentage of the recording and marks it in `progress_source`.
    """

    output_path: str | Path | None = None
    resume: bool = False
    on_unparsed: OnUnparsed = "null"

    def __post_init__(self) -> None:
        if self.on_unparsed not in ("null", "previous"):
            raise ValueError(f'on_unparsed is "{self.on_unparsed}"; use "null" or "previous"')
        if self.resume and self.output_path is None:
            raise ValueError("resume needs an output_path: the file of the run to go on with")
