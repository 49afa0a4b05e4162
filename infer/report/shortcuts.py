"""Shortcut tests: what a model says to windows that were tampered with. They need no labels.

A progress reward must read the scene. A model may have learnt the clock, the motion or the habits of one video instead,
and still look good on a forward playback. Each test changes one thing and says what a reader of the scene does then.
Knows windows, features and answers; does not know metrics against labels or verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr
from tqdm import tqdm

from dataset.prompts import build_prompt
from dataset.window import WindowSpec, window_indices
from infer.decoding.answers import decode_windows
from infer.decoding.settings import Decoding, Readout
from infer.decoding.window_answer import WindowAnswer
from infer.model.batch_limit import BatchLimit
from infer.model.encoded_video import EncodedVideo
from infer.model.model import BASE, ProgressModel
from infer.model.window_inputs import FrameFeatures

MOST_CHANGE = 15.0  # points that the value may move where the scene stayed the same
MOST_WHERE_NOTHING = 20.0  # percent that may be claimed where nothing of the task is to be seen
LEAST_UNSURE = 15.0  # points of spread (one standard deviation) that count as "the model does not know"
FALLS = -0.5  # rank correlation of value and playback time, at most this in a reversed success
OTHER_TASK = "Fold the towel in half and lay it on the shelf"
SHADES = (0, 128, 255)  # grey levels of blank images


@dataclass(frozen=True)
class Shortcut:
    """One test.

    Args:
        name: Key of the report.
        title: What was changed.
        good: What a good model does.
        rule: When it passes, with its unit.
        most: The largest measured value that passes.
    """

    name: str
    title: str
    good: str
    rule: str
    most: float


_CHANGE = f"the value moves by at most {MOST_CHANGE:g} points on average"
SHORTCUTS = (
    Shortcut(
        "reversed", "reversed playback of a success", "falls", f"rank correlation with time {FALLS:g} or below", FALLS
    ),
    Shortcut("frozen", "the robot stands still: one picture fills the window", "stays flat", _CHANGE, MOST_CHANGE),
    Shortcut("half_speed", "half speed, same current picture", "says the same", _CHANGE, MOST_CHANGE),
    Shortcut("double_speed", "double speed, same current picture", "says the same", _CHANGE, MOST_CHANGE),
    Shortcut(
        "shuffled", "earlier pictures in random order, current one last", "says about the same", _CHANGE, MOST_CHANGE
    ),
    Shortcut(
        "blank", "blank images", "says little, or is unsure",
        f"at most {MOST_WHERE_NOTHING:g} %, or a spread of {LEAST_UNSURE:g} points or more", MOST_WHERE_NOTHING,
    ),
    Shortcut(
        "other_task", f'another task is asked for ("{OTHER_TASK}")', "stays low",
        f"at most {MOST_WHERE_NOTHING:g} % on average", MOST_WHERE_NOTHING,
    ),
)  # fmt: skip
SCENE_TESTS = ("frozen", "half_speed", "double_speed", "shuffled")  # the scene stayed, so must the value


@dataclass(frozen=True)
class ShortcutReading:
    """What one model says about one episode.

    Args:
        frames: Source frames of the windows asked about.
        plain: Percent of the untouched windows, float64, shape (frames,); nan where an answer had none.
        changed: Per test of `SCENE_TESTS` and for "other_task" the same for changed windows; nan, too, where the change
            leaves the window as it was (near the start of a video).
        blank: Percent for blank windows, one per shade; nan where an answer had none.
        blank_spread: Their standard deviation, points.
        clock: Percent of a clock that runs on through each test, at the same windows.
    """

    frames: list[int]
    plain: np.ndarray
    changed: dict[str, np.ndarray]
    blank: np.ndarray
    blank_spread: np.ndarray
    clock: dict[str, np.ndarray]


@dataclass(frozen=True)
class ShortcutResult:
    """One test over all episodes.

    Args:
        shortcut: The test.
        measured: Mean over the episodes of each one's mean; None where nothing could be measured.
        unit: "points", "%" or "" (a correlation).
        passed: Whether the rule holds; None where nothing could be measured.
        windows: Answers that took part.
        clock, constant: The same of the rivals.
        spread: Standard deviation of the value, points; of "blank" only.
    """

    shortcut: Shortcut
    measured: float | None
    unit: str
    passed: bool | None
    windows: int
    clock: float | None
    constant: float | None
    spread: float | None = None


def evenly_spaced(frames: Sequence[int], count: int) -> list[int]:
    """Return up to `count` of the frames, spread evenly, the last one among them."""
    if len(frames) <= count:
        return list(frames)
    places = np.linspace(len(frames) - 1, 0, count).round().astype(int)
    return [frames[place] for place in sorted(set(places.tolist()))]


def count_shortcut_windows(frames: int, per_episode: int) -> int:
    """Return the most windows that `read_shortcuts` asks about in an episode, for a progress bar."""
    return (len(SCENE_TESTS) + 1) * min(frames, per_episode) + (len(SHADES) if per_episode else 0)


def changed_windows(window: WindowSpec, t: int, fps: float, rng: np.random.Generator) -> dict[str, tuple[int, ...]]:
    """Return the window of frame `t` as each of `SCENE_TESTS` shows it, as source frames; all end at `t`."""
    plain = window_indices(window, t, fps)
    return {
        "frozen": (t,) * len(plain),
        "half_speed": window_indices(window, t, fps, stretch=0.5),
        "double_speed": window_indices(window, t, fps, stretch=2.0),
        "shuffled": (*(int(index) for index in rng.permutation(plain[:-1])), t),
    }


def read_shortcuts(
    model: ProgressModel,
    video: EncodedVideo,
    task: str,
    window: WindowSpec,
    frames: list[int],
    plain: np.ndarray,
    use_adapter: bool,
    batch_size: int,
    seed: int,
    bar: tqdm,
) -> ShortcutReading:
    """Ask about the changed windows of one episode.

    Args:
        model: The model.
        video: The episode; features that are there already are used again.
        task: Its task text.
        window: The window rule.
        frames: Source frames to ask about, rising.
        plain: What the model says there to untouched windows, percent.
        use_adapter: False asks the base.
        batch_size: Windows decoded together.
        seed: Seed of the shuffled windows.
        bar: Advanced to this episode's share.
    """
    reader, limit = video.reader, BatchLimit(batch_size, "windows")
    rng = np.random.default_rng(seed)
    untouched = [window_indices(window, t, reader.fps) for t in frames]
    tampered = [changed_windows(window, t, reader.fps, rng) for t in frames]

    def ask(windows: list[list[FrameFeatures]], text: str, readout: Readout = "text") -> list[WindowAnswer]:
        prompt, known = build_prompt(text), list(model.recent_answers(text))[:-5:-1]

        def decode(part: Sequence[list[FrameFeatures]]) -> list[WindowAnswer]:
            return decode_windows(model, part, [prompt] * len(part), Decoding(readout=readout), [known] * len(part))

        with model.adapter_switch(None if use_adapter else BASE):
            answers = limit.run(decode, windows) if windows else []
        return answers

    changed = {}
    for name in SCENE_TESTS:
        differs = [n for n in range(len(frames)) if tampered[n][name] != untouched[n]]
        values = np.full(len(frames), np.nan)
        values[differs] = _values(ask(video.windows([tampered[n][name] for n in differs]), task))
        changed[name] = values
        bar.update(len(frames))
    changed["other_task"] = _values(ask(video.windows(untouched), OTHER_TASK))
    bar.update(len(frames))
    shape = next(reader.iter_frames([0]))[1].shape
    blanks = model.encode_frames(np.stack([np.full(shape, shade, dtype=np.uint8) for shade in SHADES]))
    answers = ask([[blank] * len(untouched[-1]) for blank in blanks], task, "expected")
    bar.update(len(SHADES))
    spread = np.array([np.nan if answer.std is None else answer.std for answer in answers])
    clock = clock_through(window, np.array(frames, dtype=np.float64), reader.fps, len(reader))
    return ShortcutReading(frames, plain, changed, _values(answers), spread, clock)


def clock_through(window: WindowSpec, frames: np.ndarray, fps: float, num_frames: int) -> dict[str, np.ndarray]:
    """Return what a clock says at each window of each test; percent of the video's own length, at most 100.

    It needs twice the time to the same picture at half speed, half of it at double speed, and one window more where the
    robot stands still; a shuffle, a blank picture or another task does not touch it.
    """
    time = 100.0 * frames / max(1, num_frames - 1)
    held = 100.0 * (window.size - 1) * window.step(fps) / max(1, num_frames - 1)
    said = {"plain": time, "frozen": time + held, "half_speed": 2 * time, "double_speed": time / 2}
    return {name: np.minimum(values, 100.0) for name, values in said.items()} | {
        name: time for name in ("shuffled", "blank", "other_task")
    }


def judge_shortcuts(
    readings: Sequence[ShortcutReading], reversed_successes: Sequence[np.ndarray], constant: float
) -> list[ShortcutResult]:
    """Return every test's result.

    Args:
        readings: One per episode.
        reversed_successes: Per successful episode the percentages of its reversed playback, in that order.
        constant: What the constant rival says, percent.
    """
    results = []
    for shortcut in SHORTCUTS:
        name, spread = shortcut.name, None
        if name == "reversed":
            each = [falling(values) for values in reversed_successes]
            windows, unit = sum(int(np.isfinite(values).sum()) for values in reversed_successes), ""
            clock, still = (1.0, 0.0) if reversed_successes else (None, None)
        elif name == "blank":
            each = [_mean(reading.blank) for reading in readings]
            windows, unit = sum(int(np.isfinite(reading.blank).sum()) for reading in readings), "%"
            clock, still = _mean_of([_mean(reading.clock["blank"]) for reading in readings]), constant
            spread = _mean_of([_mean(reading.blank_spread) for reading in readings])
        elif name == "other_task":
            each = [_mean(reading.changed[name]) for reading in readings]
            windows, unit = sum(int(np.isfinite(reading.changed[name]).sum()) for reading in readings), "%"
            clock, still = _mean_of([_mean(reading.clock[name]) for reading in readings]), constant
        else:
            moves = [np.abs(reading.changed[name] - reading.plain) for reading in readings]
            each, unit = [_mean(move) for move in moves], "points"
            windows = sum(int(np.isfinite(move).sum()) for move in moves)
            clock = _mean_of([_mean(np.abs(reading.clock[name] - reading.clock["plain"])) for reading in readings])
            still = 0.0
        measured = _mean_of(each)
        passed = None if measured is None else measured <= shortcut.most or (spread or 0.0) >= LEAST_UNSURE
        results.append(ShortcutResult(shortcut, measured, unit, passed, windows, clock, still, spread))
    return results


def falling(values: np.ndarray) -> float | None:
    """Return Spearman's rank correlation of value and playback time, -1 (falls all the way) to 1.

    0 where all values are the same: they do not fall. None with fewer than two values.
    """
    there = np.isfinite(values)
    if there.sum() < 2:
        return None
    if np.ptp(values[there]) == 0:
        return 0.0
    return float(spearmanr(np.flatnonzero(there), values[there]).statistic)


def _values(answers: Sequence[WindowAnswer]) -> np.ndarray:
    return np.array([np.nan if answer.progress is None else answer.progress for answer in answers], dtype=np.float64)


def _mean(values: np.ndarray) -> float | None:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else None


def _mean_of(values: Sequence[float | None]) -> float | None:
    return _mean(np.array([np.nan if value is None else value for value in values], dtype=np.float64))
