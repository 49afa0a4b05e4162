"""Give the object of a simulated episode another look: a shape drawn over it, wherever it is in each picture.

The simulator has a handful of objects to grasp, and a model that has seen only these does not tell whether a gripper
holds another one. The places of the object are known, so that its look can be drawn anew as often as one likes. Knows
pixels, places and colours; does not know tasks or models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw
from scenes import COLOURS, Episode

SCALE = 4  # shapes are drawn so many times larger, then reduced
SHAPES = ("ellipse", "box", "triangle", "ring", "bar", "mallet")


@dataclass(frozen=True)
class Look:
    """What is drawn into the pictures of an episode.

    Args:
        thing: The object, float RGBA in [0, 255], shape (size, size, 4).
        around: Other things that lie about, each with its place (x, y) as shares of the picture.
    """

    thing: np.ndarray
    around: tuple[tuple[tuple[float, float], np.ndarray], ...]

    def show(self, frames: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return RGB uint8 frames, shape (T, side, side, 3), with the object at its places, shape (T, 2), where known.

        It hides the fingers that hold it, which is a little less truthful than a picture of the simulator.
        """
        frames = frames.copy()
        for frame, place in zip(frames, places, strict=True):
            for there, patch in self.around:
                _stamp(frame, there, patch)
            if np.isfinite(place).all():
                _stamp(frame, tuple(place), self.thing)
        return frames


def draw_look(episode: Episode, rng: np.random.Generator) -> tuple[Episode, Look]:
    """Draw another look for an episode's object; the colour that its texts name becomes the new one's.

    Args:
        episode: With `colour`.
        rng: Source of shape, size, colour and of what lies about.
    """
    side, colours = episode.frames.shape[1], list(COLOURS)
    colour = str(rng.choice(colours))
    around = tuple(
        ((rng.uniform(0.1, 0.9), rng.uniform(0.4, 0.9)), _draw(rng, side, str(rng.choice(colours))))
        for _ in range(int(rng.integers(0, 3)))
    )
    was = re.compile(rf"\b{episode.colour}\b")
    texts = {"task": was.sub(colour, episode.task), "stages": tuple(was.sub(colour, s) for s in episode.stages)}
    return replace(episode, colour=colour, **texts), Look(_draw(rng, side, colour), around)


def _draw(rng: np.random.Generator, side: int, colour: str) -> np.ndarray:
    """Draw one shape of a colour; float RGBA in [0, 255], shape (size, size, 4), transparent around it."""
    size = int(np.ceil(side * rng.uniform(0.05, 0.11)))
    full = size * SCALE
    ink = np.clip(np.array(COLOURS[colour]) + rng.normal(0, 18, 3), 0, 255)
    other = np.clip(ink * rng.uniform(0.4, 1.0) + rng.uniform(0, 60), 0, 255)
    image = Image.new("RGBA", (full, full), (*(int(v) for v in ink), 0))
    pen = ImageDraw.Draw(image)
    fill, second = (*(int(v) for v in ink), 255), (*(int(v) for v in other), 255)
    flat = rng.uniform(0.15, 0.4) * full  # how much of the height is left empty on either side
    shape = str(rng.choice(SHAPES))
    if shape == "ellipse":
        pen.ellipse((0, flat / 2, full - 1, full - 1 - flat / 2), fill=fill)
    elif shape == "box":
        pen.rectangle((full * 0.1, flat / 2, full * 0.9, full - 1 - flat / 2), fill=fill)
        pen.rectangle((full * 0.1, flat / 2, full * 0.9, full * 0.4), fill=second)
    elif shape == "triangle":
        pen.polygon([(0, full - 1), (full - 1, full - 1), (full / 2, 0)], fill=fill)
    elif shape == "ring":
        pen.ellipse((0, 0, full - 1, full - 1), outline=fill, width=max(2, int(full * rng.uniform(0.18, 0.35))))
    elif shape == "bar":
        pen.rectangle((0, flat, full - 1, full - 1 - flat), fill=fill)
    else:  # mallet
        pen.rectangle((0, full * 0.42, full - 1, full * 0.58), fill=second)
        pen.rectangle((full * 0.6, flat, full - 1, full - 1 - flat), fill=fill)
    angle = float(rng.uniform(0, 360)) if shape != "triangle" else 0.0
    image = image.rotate(angle, Image.Resampling.BILINEAR).resize((size, size), Image.Resampling.BOX)
    patch = np.asarray(image, dtype=np.float32).copy()
    light = 1.0 + rng.uniform(-0.3, 0.3) * np.linspace(-1, 1, size)[:, None, None]
    patch[..., :3] = np.clip(patch[..., :3] * light, 0, 255)
    return patch


def _stamp(frame: np.ndarray, place: tuple[float, float], patch: np.ndarray) -> None:
    """Draw a patch into a frame, shape (side, side, 3), in place; what is outside is left out."""
    side, size = len(frame), len(patch)
    left, top = (round(float(share) * side - size / 2) for share in place)
    rows, columns = slice(max(0, top), max(0, top + size)), slice(max(0, left), max(0, left + size))
    there = frame[rows, columns]
    height, width = there.shape[:2]
    part = patch[max(0, -top) : max(0, -top) + height, max(0, -left) : max(0, -left) + width]
    alpha = part[..., 3:] / 255.0
    there[:] = (there * (1.0 - alpha) + part[..., :3] * alpha).astype(np.uint8)
