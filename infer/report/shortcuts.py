"""Shortcut tests: how the value changes when the window is changed. They need no labels.

A progress reward must follow the scene. A model may follow time, motion or the habits of one video instead and still
score well on a forward playback. Each test changes one thing and states how a model that follows the scene reacts.
Knows windows, features and answers; does not know how answers are scored (`shortcut_scores`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from dataset.prompts import build_prompt
from dataset.window import Timing, WindowSpec, window_indices
from infer.decoding.answers import decode_windows
from infer.decoding.settings import Decoding, Readout
from infer.decoding.window_answer import WindowAnswer
from infer.model.encoded_video import EncodedVideo
from infer.model.model import ProgressModel
from infer.model.window_inputs import FrameFeatures

MOST_CHANGE = 15.0  # points that the value may change where the scene is the same
MOST_WHERE_NOTHING = 20.0  # percent that a model may predict where nothing of the task is visible
LEAST_UNSURE = 15.0  # points of standard deviation that count as unsure
FALLS = -0.5  # rank correlation of value and playback time, at most this in a reversed success
RISES = 0.5  # the same, at least this over the changed windows of a success
SHADES = (0, 128, 255)  # grey levels of blank images


@dataclass(frozen=True)
class Shortcut:
    """One test.

    Args:
        name: Key in the report.
        title: The change.
        good: What a good model does.
        rule: The condition to pass, with its unit.
        most: The largest measured value that passes.
    """

    name: str
    title: str
    good: str
    rule: str
    most: float


_CHANGE = (
    f"the value changes by at most {MOST_CHANGE:g} points on average, and the values of the changed windows of a "
    f"success rise: their rank correlation with time is {RISES:g} or above"
)
SHORTCUTS = (
    Shortcut(
        name="reversed",
        title="reversed playback of a success",
        good="falls",
        rule=f"the rank correlation with time is {FALLS:g} or below",
        most=FALLS,
    ),
    Shortcut("frozen", "the robot stands still: one frame fills the window", "stays flat", _CHANGE, MOST_CHANGE),
    Shortcut("half_speed", "half speed, same current frame", "gives the same value", _CHANGE, MOST_CHANGE),
    Shortcut("double_speed", "double speed, same current frame", "gives the same value", _CHANGE, MOST_CHANGE),
    Shortcut(
        name="shuffled",
        title="earlier frames in random order, current one last",
        good="gives about the same value",
        rule=_CHANGE,
        most=MOST_CHANGE,
    ),
    Shortcut(
        name="blank",
        title="blank images",
        good="gives a low value, or is unsure",
        rule=f"the value is at most {MOST_WHERE_NOTHING:g} %, or its spread at least {LEAST_UNSURE:g} points",
        most=MOST_WHERE_NOTHING,
    ),
    Shortcut(
        name="other_task",
        title="the question names another task",
        good="gives a low value",
        rule=f"the value is at most {MOST_WHERE_NOTHING:g} % on average",
        most=MOST_WHERE_NOTHING,
    ),
)
SCENE_TESTS = ("frozen", "half_speed", "double_speed", "shuffled")  # the scene is the same, so the value must be


@dataclass(frozen=True)
class ShortcutPlan:
    """The windows that are changed in one episode.

    Args:
        task: The task text.
        window: The window rule.
        frames: Source frames whose windows are changed, rising.
        other_tasks: Texts of the test that asks about another task, in turn; at least one.
        success: Whether the episode is a success: its values must rise with time.
        batch_size: Windows decoded together.
        seed: Seed of the shuffled windows.
    """

    task: str
    window: WindowSpec
    frames: tuple[int, ...]
    other_tasks: tuple[str, ...]
    success: bool
    batch_size: int = 32
    seed: int = 0


@dataclass(frozen=True)
class ShortcutAnswers:
    """The values of one model on one episode.

    Args:
        frames: Source frames of the windows.
        plain: Percent of the unchanged windows, float64, shape (frames,); nan where an answer has none.
        changed: Per test of `SCENE_TESTS` and for "other_task" the same for the changed windows; where the change has
            no effect (near the start of a video), the value of the unchanged window.
        has_effect: Per test of `SCENE_TESTS` whether the change has an effect, bool, shape (frames,).
        blank: Percent for blank windows, one per shade; nan where an answer has none.
        blank_spread: Their standard deviation, points.
        time_baseline: Per test the percent of the time baseline at the same windows.
        success: As in `ShortcutPlan`, also `other_tasks`.
        other_tasks: See `success`.
    """

    frames: list[int]
    plain: np.ndarray
    changed: dict[str, np.ndarray]
    has_effect: dict[str, np.ndarray]
    blank: np.ndarray
    blank_spread: np.ndarray
    time_baseline: dict[str, np.ndarray]
    success: bool
    other_tasks: tuple[str, ...]


def evenly_spaced(frames: Sequence[int], count: int) -> list[int]:
    """Return up to `count` of the frames, spread evenly, the last one among them."""
    if len(frames) <= count:
        return list(frames)
    places = np.linspace(len(frames) - 1, 0, count).round().astype(int)
    return [frames[place] for place in sorted(set(places.tolist()))]


def count_shortcut_windows(frames: int, per_episode: int) -> int:
    """Return the most windows that `run_shortcuts` decodes for an episode, for a progress bar."""
    return (len(SCENE_TESTS) + 1) * min(frames, per_episode) + (len(SHADES) if per_episode else 0)


def changed_windows(window: WindowSpec, t: int, timing: Timing, rng: np.random.Generator) -> dict[str, tuple[int, ...]]:
    """Return the window of frame `t` as each of `SCENE_TESTS` changes it, as source frames; all end at `t`."""
    plain = window_indices(window, t, timing)
    return {
        "frozen": (t,) * len(plain),
        "half_speed": window_indices(window, t, timing, stretch=0.5),
        "double_speed": window_indices(window, t, timing, stretch=2.0),
        "shuffled": (*(int(index) for index in rng.permutation(plain[:-1])), t),
    }


def run_shortcuts(
    model: ProgressModel,
    video: EncodedVideo,
    plan: ShortcutPlan,
    plain: np.ndarray,
    adapter: str | None,
    bar: tqdm,
) -> ShortcutAnswers:
    """Decode the changed windows of one episode.

    Args:
        model: The model.
        video: The episode; features that exist are reused.
        plan: The windows.
        plain: Percent that the model predicts for the unchanged windows, shape (frames,).
        adapter: Name of the adapter; None for the active one, `infer.model.model.BASE` for the base.
        bar: Progress bar, advanced by the windows of this episode.
    """
    task, window, frames = plan.task, plan.window, list(plan.frames)
    reader, limit = video.reader, model.batch_limit(plan.batch_size, "windows", window, model.pixel_budget_of(adapter))
    rng = np.random.default_rng(plan.seed)
    unchanged = [window_indices(window, t, reader.timing) for t in frames]
    variants = [changed_windows(window, t, reader.timing, rng) for t in frames]

    def decode_all(windows: list[list[FrameFeatures]], text: str, readout: Readout = "text") -> list[WindowAnswer]:
        prompt, drafts = build_prompt(text), list(model.recent_answers(text))[:-5:-1]

        def decode(part: Sequence[list[FrameFeatures]]) -> list[WindowAnswer]:
            return decode_windows(model, part, [prompt] * len(part), Decoding(readout=readout), [drafts] * len(part))

        with model.adapter_switch(adapter):
            answers = limit.run(decode, windows) if windows else []
        return answers

    changed, has_effect = {}, {}
    for name in SCENE_TESTS:
        differs = np.array([variant[name] != usual for variant, usual in zip(variants, unchanged, strict=True)])
        values = plain.astype(np.float64)
        asked = [variants[n][name] for n in np.flatnonzero(differs)]
        values[differs] = _values(decode_all(video.windows(asked), task))
        changed[name], has_effect[name] = values, differs
        bar.update(len(frames))
    values = np.full(len(frames), np.nan)
    for number, text in enumerate(plan.other_tasks):
        asked = unchanged[number :: len(plan.other_tasks)]
        values[number :: len(plan.other_tasks)] = _values(decode_all(video.windows(asked), text))
        bar.update(len(asked))
    changed["other_task"] = values
    shape = next(reader.iter_frames([0]))[1].shape
    blanks = model.encode_frames(np.stack([np.full(shape, shade, dtype=np.uint8) for shade in SHADES]))
    answers = decode_all([[blank] * len(unchanged[-1]) for blank in blanks], task, "expected")
    bar.update(len(SHADES))
    spread = np.array([np.nan if answer.std is None else answer.std for answer in answers])
    time_baseline = time_baseline_values(window, np.array(frames, dtype=np.float64), reader.fps, len(reader))
    return ShortcutAnswers(
        frames, plain, changed, has_effect, _values(answers), spread, time_baseline, plan.success, plan.other_tasks
    )


def time_baseline_values(window: WindowSpec, frames: np.ndarray, fps: float, num_frames: int) -> dict[str, np.ndarray]:
    """Return the time baseline at each window of each test; percent of the video's own length, at most 100.

    The time to the same frame doubles at half speed, halves at double speed, and is one window longer where the robot
    stands still. A shuffle, a blank image or another task does not change it.
    """
    time = 100.0 * frames / max(1, num_frames - 1)
    held = 100.0 * (window.size - 1) * window.step(fps) / max(1, num_frames - 1)
    by_test = {"plain": time, "frozen": time + held, "half_speed": 2 * time, "double_speed": time / 2}
    return {name: np.minimum(values, 100.0) for name, values in by_test.items()} | {
        name: time for name in ("shuffled", "blank", "other_task")
    }


def _values(answers: Sequence[WindowAnswer]) -> np.ndarray:
    return np.array([np.nan if answer.progress is None else answer.progress for answer in answers], dtype=np.float64)
