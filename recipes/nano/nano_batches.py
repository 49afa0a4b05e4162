"""Draw training batches for the embedded base from labelled episodes: which windows, how the pictures vary, the answer.

Knows episodes, windows, prompts and pixels; does not know weights or optimizers.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from repaint import draw_look
from scenes import COLOURS, GOALS, OBJECTS, Episode, draw_episode
from sim_tasks import NEVER_TRAIN_ON, TASKS
from tqdm import tqdm

from dataset.prompts import build_absent_completion, build_completion, build_prompt
from dataset.video import VideoReader
from infer.model.model import ProgressModel


@dataclass(frozen=True)
class FrameTruth:
    """What `FrameProbe` reads a frame against.

    Args:
        task_tokens: Tokens of its task.
        progress: Percent.
        held: 1, 0 or nan, see `scenes.Episode`.
        hand, thing: Places in the picture as the model sees it, (x, y); nan where unknown or out of sight.
    """

    task_tokens: list[int]
    progress: float
    held: float
    hand: tuple[float, float] = (math.nan, math.nan)
    thing: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True)
class Pools:
    """The episodes to draw from: simulated ones, and drawn ones that are replaced while training goes on."""

    simulated: Sequence[Episode]
    drawn: list[Episode]

    def draw(self, simulated_share: float, rng: np.random.Generator) -> Episode:
        """Draw an episode of either pool."""
        pool = self.simulated if rng.random() < simulated_share else self.drawn
        return pool[rng.integers(len(pool))]


def load_simulated(
    folders: Sequence[str], size: int, held_out_every: int, rank: int = 0, processes: int = 1
) -> tuple[list[Episode], list[Episode]]:
    """Read labelled clips into memory, resized once to (size, size); returns those to train on and those to watch.

    Args:
        folders: Folders of clips, <task>/epNN.{mp4,json}; tasks of `NEVER_TRAIN_ON` are left out.
        size: Side in pixels.
        held_out_every: Every n-th clip is kept out of training; 0 for none.
        rank, processes: Of several processes each reads its share of those to train on, and all of those to watch.
    """
    paths = [path for folder in folders for path in sorted(Path(folder).glob("*/ep*.json"))]
    paths = [path for path in paths if path.parent.name.split("__")[0] not in NEVER_TRAIN_ON]
    if not paths:
        raise SystemExit(f"no clips in {folders}; make some with recipes/nano/simulate.py")
    train, watch = [], []
    for number, path in enumerate(tqdm(paths, desc="reading clips", disable=rank > 0)):
        kept_out = held_out_every and number % held_out_every == held_out_every - 1
        if not kept_out and number % processes != rank:
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        frames = [
            np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC))
            for _, frame in VideoReader(path.with_suffix(".mp4")).iter_frames()
        ]
        stage_index = np.array(record["stage_index"])
        episode = Episode(
            frames=np.stack(frames),
            task=record["instruction"],
            stages=tuple(stage["description"] for stage in record["stages"]),
            stage_index=stage_index,
            progress=100.0 * np.array(record["progress"]),
            held=held_by_contact(record, stage_index),
            hand=places(record, "hand_xy"),
            thing=places(record, "object_xy"),
            colour=repaintable_colour(record),
        )
        (watch if kept_out else train).append(episode)
    return train, watch


def held_by_contact(record: dict, stage_index: np.ndarray) -> np.ndarray:
    """Return whether the gripper holds the object; for clips that do not say so told from the stage, nan in between."""
    carry, count = TASKS[record["task"]].carry, len(record["stages"])
    if carry is None:
        return np.full(len(stage_index), np.nan)
    if "touched" in record:
        return np.where((stage_index >= carry - 1) & (stage_index < carry), np.nan, np.array(record["touched"], float))
    last = count - 1 if TASKS[record["task"]].release else count
    held = np.where(stage_index < carry - 1, 0.0, np.nan)
    held[(stage_index >= carry) & (stage_index < last)] = 1.0
    return held


def repaintable_colour(record: dict) -> str | None:
    """Return the colour of a clip's object, if its look may be changed.

    That is so where its places are known, something is grasped, and not the colour alone tells it from another object.
    """
    grasped = TASKS[record["task"]].carry is not None and record["kind"] != "decoy"
    return record.get("colour") if grasped and "object_xy" in record else None


def places(record: dict, key: str) -> np.ndarray:
    """Return a clip's places of hand or object, shape (T, 2); nan where it does not name them."""
    return np.array(record[key]) if key in record else np.full((record["n_frames"], 2), np.nan)


def corpus(episodes: Sequence[Episode], rng: np.random.Generator) -> Iterator[str]:
    """Yield texts in the exact prompt and answer format, for the tokenizer."""
    for episode in [*episodes, *(draw_episode(rng, 32) for _ in range(100))]:
        for first in range(len(episode.stages) + 1):
            yield build_prompt(episode.task)
            yield build_completion(float(rng.uniform(0, 100)), episode.stages[first:])
    yield build_absent_completion()
    yield from (f"{colour} {thing}" for colour in COLOURS for thing in (*OBJECTS, *GOALS))


def draw_batch(model: ProgressModel, pools: Pools, options, rng: np.random.Generator) -> tuple[dict, list]:
    """Draw windows of a few episodes; every frame is encoded once and shared by the windows it is in.

    All windows of a batch have the same number of frames, so that little is padding.

    Returns:
        The model's inputs with labels, and per frame what `FrameProbe.loss` needs.
    """
    size = int(rng.choice(list(options.window_sizes), p=list(options.window_shares)))
    prompts, completions, places = [], [], []
    pixels, truths = [], []
    for _ in range(options.episodes_per_step):
        episode = pools.draw(options.simulated_share, rng)
        chosen = [draw_window(len(episode.frames), size, options, rng) for _ in range(options.windows_per_episode)]
        used = sorted({index for window in chosen for index in window})
        position = {index: sum(map(len, pixels)) + rank for rank, index in enumerate(used)}
        blank = rng.random() < options.blank_share
        if blank:
            pixels.append(blank_images(len(used), episode.frames.shape[1], rng))
            truths += [FrameTruth(model.tokenizer(episode.task)["input_ids"], 0.0, 0.0)] * len(used)
        else:
            episode, shown = show(episode, used, options, rng)
            view = draw_view(episode, options, rng)
            pixels.append(view.show(shown))
            truths += frame_truths(model, episode, used, view)
        for window in chosen:
            places.append([position[index] for index in window])
            if blank:
                task, completion = episode.task, build_absent_completion()
            else:
                task, completion = ask(episode, window[-1], pools, options, rng)
            prompts.append(build_prompt(task))
            completions.append(completion)
    features = encode(model, torch.cat(pixels))
    frames = [(f.embedding, truth) for f, truth in zip(features, truths, strict=True)]
    windows = [[features[place] for place in window] for window in places]
    return model.inputs.build(windows, prompts, completions), frames


def draw_frames(model: ProgressModel, pools: Pools, count: int, options, rng: np.random.Generator) -> list:
    """Draw single frames, two of an episode, encode them, and return per frame what `FrameProbe.loss` needs."""
    pixels, truths = [], []
    for _ in range(count // 2):
        episode = pools.draw(options.simulated_share, rng)
        indices = [int(index) for index in rng.integers(len(episode.frames), size=2)]
        episode, shown = show(episode, indices, options, rng)
        view = draw_view(episode, options, rng)
        pixels.append(view.show(shown))
        truths += frame_truths(model, episode, indices, view)
    features = encode(model, torch.cat(pixels))
    return [(f.embedding, truth) for f, truth in zip(features, truths, strict=True)]


def show(episode: Episode, indices: Sequence[int], options, rng: np.random.Generator) -> tuple[Episode, np.ndarray]:
    """Return an episode's pictures, and the episode with the texts that fit them: its object may have another look."""
    frames = episode.frames[list(indices)]
    if episode.colour is None or rng.random() >= options.repainted_share:
        return episode, frames
    episode, look = draw_look(episode, rng)
    return episode, look.show(frames, episode.thing[list(indices)])


def frame_truths(model: ProgressModel, episode: Episode, indices: Sequence[int], view: View) -> list[FrameTruth]:
    """Return what is known of each frame as a view shows it."""
    tokens = model.tokenizer(episode.task)["input_ids"]
    return [
        FrameTruth(
            tokens,
            float(episode.progress[index]),
            float(episode.held[index]),
            view.place(*episode.hand[index]),
            view.place(*episode.thing[index]),
        )
        for index in indices
    ]


def ask(episode: Episode, frame: int, pools: Pools, options, rng: np.random.Generator) -> tuple[str, str]:
    """Return a task and the right answer at a frame: mostly the episode's own, else one that it does not show."""
    if rng.random() < options.wrong_task_share:
        other = pools.draw(options.simulated_share, rng)
        if not set(other.stages) & set(episode.stages):
            return other.task, build_absent_completion()
    progress = float(round(episode.progress[frame]))  # whole percents: decimals would be noise to learn
    return episode.task, build_completion(progress, episode.stages[episode.stage_index[frame] :])


def draw_window(num_frames: int, size: int, options, rng: np.random.Generator) -> list[int]:
    """Draw one window of `size` frames: forward, reversed, there and back, or with the current frame held."""
    t = int(rng.integers(num_frames))
    if rng.random() < 0.12:  # the ends of an episode are few frames and matter most
        t = num_frames - 1 - int(rng.integers(min(8, num_frames)))
    stride = int(rng.choice(list(options.strides)))
    offsets = np.arange(size - 1, -1, -1) * stride
    if size > 1 and rng.random() < options.pause_share:
        offsets = np.maximum(offsets - stride * int(rng.integers(1, size)), 0)
    sign = 1 if rng.random() < options.reversed_share else -1
    if size > 1 and rng.random() < options.rewind_share:  # past the current frame and back to it
        turn = stride * int(rng.integers(1, size))
        offsets = np.where(offsets > turn, 2 * turn - offsets, offsets) * -1
        sign = -1
    return [int(index) for index in np.clip(t + sign * offsets, 0, num_frames - 1)]


@dataclass(frozen=True)
class View:
    """How an episode's pictures are changed, alike for all of them.

    Args:
        mirrored: Left and right exchanged, before the rest.
        left, top, size: The part that is shown, in shares of the side; it may reach beyond the edge, which is repeated.
        gain: Contrast per channel.
        shift: Brightness added, of 255.
    """

    mirrored: bool
    left: float
    top: float
    size: float
    gain: tuple[float, float, float]
    shift: float

    def show(self, frames: np.ndarray) -> torch.Tensor:
        """Return RGB uint8 frames, shape (T, side, side, 3), as floats in [0, 255], shape (T, 3, side, side)."""
        images = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
        side = images.shape[-1]
        edges = (self.left, self.top, 1.0 - self.left - self.size, 1.0 - self.top - self.size)
        margin = max(0, *(math.ceil(-edge * side) + 1 for edge in edges))
        if self.mirrored:
            images = images.flip(-1)
        images = torch.nn.functional.pad(images, (margin,) * 4, mode="replicate")
        left, top, size = (round(share * side) for share in (self.left, self.top, self.size))
        images = images[..., top + margin : top + margin + size, left + margin : left + margin + size]
        if size != side:
            images = torch.nn.functional.interpolate(images, (side, side), mode="bilinear", align_corners=False)
        gain = torch.tensor(self.gain).view(3, 1, 1)
        return ((images - 128) * gain + 128 + self.shift).clamp_(0, 255)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a place of the picture is in the view; nan where it is out of sight."""
        x = 1.0 - x if self.mirrored else x
        x, y = (x - self.left) / self.size, (y - self.top) / self.size
        return (float(x), float(y)) if 0.0 <= x <= 1.0 and 0.0 <= y <= 1.0 else (math.nan, math.nan)


def draw_view(episode: Episode, options, rng: np.random.Generator) -> View:
    """Draw how an episode is shown: mirrored or not, all of it or a part enlarged, shifted, other light."""
    mirrored = draw_mirrored(episode, options, rng)
    size = rng.uniform(options.least_crop, 1.0) if rng.random() < options.zoomed_share else 1.0
    left, top = rng.uniform(0.0, 1.0 - size, 2) + rng.uniform(-options.largest_shift, options.largest_shift, 2)
    gain = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
    return View(mirrored, float(left), float(top), float(size), tuple(gain.tolist()), float(rng.uniform(-18, 18)))


def blank_images(count: int, side: int, rng: np.random.Generator) -> torch.Tensor:
    """Return images of one shade, as a covered or broken camera gives; float in [0, 255], shape (count, 3, side, side).

    Half of them are grey, half have a tint; a third are noisy.
    """
    shade = np.full(3, rng.uniform(0, 255)) if rng.random() < 0.5 else rng.uniform(0, 255, 3)
    images = torch.tensor(shade, dtype=torch.float32).view(1, 3, 1, 1).repeat(count, 1, side, side)
    if rng.random() < 1 / 3:
        images += torch.from_numpy(rng.normal(0, rng.uniform(2, 30), images.shape).astype(np.float32))
    return images.clamp_(0, 255)


def draw_mirrored(episode: Episode, options, rng: np.random.Generator) -> bool:
    """Decide whether to show an episode mirrored; never one whose texts tell left from right."""
    texts = " ".join((episode.task, *episode.stages))
    return bool(rng.random() < options.mirrored_share) and not re.search(r"\b(left|right)\b", texts)


def encode(model: ProgressModel, images: torch.Tensor) -> list:
    """Encode images that have their final size already; float in [0, 255], shape (T, 3, side, side)."""
    return model.encode_pixels(**preprocess_square(model, images))


def preprocess_square(model: ProgressModel, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Do what the image processor does, for square images of their final size, all at once."""
    processor = model.image_processor
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (processor.image_mean, processor.image_std))
    images = (images / 255.0 - mean) / std
    count, channels, side, _ = images.shape
    patch, merge = processor.patch_size, processor.merge_size
    blocks = side // patch // merge
    grid = images.reshape(count, channels, blocks, merge, patch, blocks, merge, patch)
    patches = grid.permute(0, 2, 5, 3, 6, 1, 4, 7)[:, :, :, :, :, :, None]
    patches = patches.expand(*patches.shape[:6], processor.temporal_patch_size, *patches.shape[7:])
    sides = torch.tensor([[1, blocks * merge, blocks * merge]]).repeat(count, 1)
    return {"pixel_values": patches.reshape(count * (blocks * merge) ** 2, -1), "image_grid_thw": sides}


def image_side(model: ProgressModel) -> int:
    """Return the side of a square image in pixels."""
    return math.isqrt(model.image_processor.size["longest_edge"])


def image_tokens(model: ProgressModel) -> int:
    """Return how many tokens of the language model one image takes."""
    processor = model.image_processor
    return (image_side(model) // (processor.patch_size * processor.merge_size)) ** 2
