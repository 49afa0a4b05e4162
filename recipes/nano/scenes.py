"""Procedurally drawn manipulation scenes: a cheap second source of episodes with exact labels.

A gripper, an object and a goal, drawn with Pillow in two dimensions; colours, shapes, sizes, camera and wording are
drawn at random. Labels come from the scene's state, never from time. Knows drawing and wording; does not know models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

COLOURS = {
    "red": (200, 45, 40), "green": (50, 150, 70), "blue": (45, 85, 190), "yellow": (225, 195, 50),
    "orange": (230, 130, 40), "purple": (130, 60, 160), "white": (235, 235, 230), "black": (35, 35, 40),
    "brown": (120, 80, 45), "pink": (230, 140, 170), "grey": (130, 130, 135),
}  # fmt: skip
OBJECTS = ("block", "cube", "ball", "puck", "cylinder", "cup", "box", "brick")
GOALS = ("marker", "bin", "tray", "plate", "shelf", "bowl", "pad", "zone")

REACH = ("Move the gripper to the {o}", "Reach for the {o}", "Bring the gripper over to the {o}")
GRASP = ("Close the gripper on the {o}", "Grasp the {o}", "Grip the {o} with both fingers")
LIFT = ("Lift the {o} off the table", "Raise the {o}", "Pick the {o} up from the table")
CARRY = ("Carry the {o} to the {g}", "Move the {o} above the {g}", "Bring the {o} to the {g}")
LOWER = ("Lower the {o} onto the {g}", "Set the {o} down on the {g}", "Place the {o} on the {g}")
RELEASE = (
    "Let go of the {o} and move the gripper away",
    "Release the {o} and retract",
    "Open the gripper and back off",
)
PUSH = ("Push the {o} to the {g}", "Slide the {o} along to the {g}", "Shove the {o} over to the {g}")
CARRYING = ("lift", "carry", "lower")  # phases in which the object is in the gripper
PLACE_TASKS = ("Pick up the {o} and place it on the {g}", "Put the {o} on the {g}", "Move the {o} onto the {g}")
PUSH_TASKS = ("Push the {o} to the {g}", "Slide the {o} over to the {g}")


@dataclass(frozen=True)
class Episode:
    """One labelled episode.

    Args:
        frames: RGB uint8, shape (T, H, W, 3).
        task: The instruction.
        stages: Texts of all stages in order.
        stage_index: Current stage per frame, shape (T,); `len(stages)` means done.
        progress: Percent per frame, shape (T,).
        held: 1 where the gripper holds the object, 0 where it does not, nan where nobody knows, shape (T,).
        hand, thing: Where gripper and object are in the picture, (x, y) as shares from the upper left, nan where nobody
            knows, shape (T, 2).
        colour: The name of the object's colour in the texts, where its look may be drawn anew (`repaint.py`).
    """

    frames: np.ndarray
    task: str
    stages: tuple[str, ...]
    stage_index: np.ndarray
    progress: np.ndarray
    held: np.ndarray
    hand: np.ndarray
    thing: np.ndarray
    colour: str | None = None


def draw_episode(rng: np.random.Generator, size: int = 96) -> Episode:
    """Draw one random episode: a success, or one with a pause, an empty grasp, a drop or an early stop."""
    colour, goal_colour = rng.choice(list(COLOURS), 2, replace=False)
    names = {"o": f"{colour} {rng.choice(OBJECTS)}", "g": f"{goal_colour} {rng.choice(GOALS)}"}
    pushing = rng.random() < 0.3
    kind = rng.choice(["success", "pause", "open", "drop", "stop"], p=[0.5, 0.1, 0.15, 0.15, 0.1])
    states, stage_index, fraction, held, count = _simulate(rng, pushing, str(kind))
    texts = (REACH, PUSH, RELEASE) if pushing else (REACH, GRASP, LIFT, CARRY, LOWER, RELEASE)[:count]
    stages = tuple(str(rng.choice(variants)).format(**names) for variants in texts)
    task = str(rng.choice(PUSH_TASKS if pushing else PLACE_TASKS)).format(**names)
    painter = Painter(rng, size, COLOURS[colour], COLOURS[goal_colour], names["o"].split()[1], names["g"].split()[1])
    frames = np.stack([painter.paint(state) for state in states])
    progress = 100.0 * np.minimum((stage_index + fraction) / len(stages), 1.0)
    hand = np.array([painter.place(state[0], state[1]) for state in states])
    thing = np.array([painter.place(state[3], state[4]) for state in states])
    return Episode(frames, task, stages, stage_index, progress, held, hand, thing)


def _simulate(rng: np.random.Generator, pushing: bool, kind: str):
    """Play a scripted motion. Returns [(gripper x, y, opening, object x, y, goal x)], stage, fraction, held, stages.

    Coordinates in [0, 1], y upward; the table top is y = 0.
    """
    count = 3 if pushing else int(rng.integers(4, 7))
    side = rng.choice([-1, 1])
    obj = np.array([0.5 - side * rng.uniform(0.12, 0.35), 0.0])
    goal_x = 0.5 + side * rng.uniform(0.12, 0.35)
    gripper = np.array([rng.uniform(0.15, 0.85), rng.uniform(0.45, 0.85)])
    opening, height = 1.0, rng.uniform(0.3, 0.6)
    contact = np.array([-side * 0.07, 0.0]) if pushing else np.zeros(2)
    fail_stage = int(rng.integers(1, count)) if kind in ("drop", "stop", "pause") else -1
    grasping = kind != "open"
    dropped = stopped = False
    pause_left = int(rng.integers(8, 20))
    states, stages, fractions, holds = [], [], [], []
    stage, start_distance = 0, None
    speed = rng.uniform(0.02, 0.05)
    tail = int(rng.integers(6, 14))
    for _ in range(240):
        # where the script wants to go, and how far the *scene* still is from the end of the stage
        phase = (
            ("reach", "push", "leave")[stage]
            if pushing and stage < 3
            else (("reach", "grasp", "lift", "carry", "lower", "leave")[stage] if stage < count else "done")
        )
        target, closing = gripper, opening
        if phase == "reach":
            target = obj + contact
            distance = float(np.linalg.norm(gripper - target))
        elif phase == "grasp":
            closing, distance = 0.0, opening
        elif phase == "lift":
            target = np.array([gripper[0], height])
            distance = height - (obj[1] if grasping else gripper[1])
        elif phase == "carry":
            target = np.array([goal_x, height])
            distance = abs((obj if grasping else gripper)[0] - goal_x)
        elif phase == "lower":
            target = np.array([goal_x, 0.0])
            distance = (obj if grasping else gripper)[1]
        elif phase == "push":
            target = np.array([goal_x, 0.0]) + contact
            distance = abs((obj if grasping else gripper)[0] - goal_x)
        elif phase == "leave":
            target, closing = np.array([gripper[0], 0.6]), 1.0
            distance = max(0.25 - float(np.linalg.norm(gripper - obj)), 0.0)
        else:
            distance = 0.0
        start_distance = max(distance, 1e-6) if start_distance is None else start_distance
        true_stage = stage
        fraction = float(np.clip(1.0 - distance / start_distance, 0.0, 0.99)) if stage < count else 0.0
        if not grasping and stage >= 1:  # the hand is empty: the scene has not passed its first stage
            true_stage, fraction = 1, 0.0
        if dropped:
            near = float(np.linalg.norm(gripper - obj - contact))
            true_stage, fraction = 0, float(np.clip(1.0 - near / 0.6, 0.0, 0.9))
        states.append((*gripper, opening, *obj, goal_x))
        stages.append(true_stage)
        fractions.append(fraction)
        unclear = grasping and (phase == "grasp" or (phase == "done" and count < 6))  # closing, or never let go
        holds.append(np.nan if unclear and not pushing else float(grasping and not dropped and phase in CARRYING))
        if stage == count:
            tail -= 1
            if tail <= 0:
                break
            continue
        if stage == fail_stage and fraction > 0.4:
            if kind == "pause" and pause_left > 0:
                pause_left -= 1
                continue
            if kind == "stop":
                stopped = True
            if kind == "drop" and not pushing and stage in (2, 3):
                dropped = True
        if stopped:
            pause_left -= 1
            if pause_left < 0:
                break
            continue
        step = target - gripper
        length = float(np.linalg.norm(step))
        gripper = gripper + step * min(1.0, speed * rng.uniform(0.6, 1.4) / max(length, 1e-6))
        wanted = 0.0 if closing == 0.0 and grasping else (opening if closing else 0.45)
        if closing == 1.0:
            wanted = 1.0
        opening += float(np.clip(wanted - opening, -0.2, 0.2))
        attached = grasping and not dropped and phase in CARRYING
        if attached:
            obj = gripper.copy()
        elif dropped or phase == "leave":
            obj = np.array([obj[0], max(obj[1] - 0.12, 0.0)])
        if phase == "push" and grasping:
            obj = np.array([(gripper - contact)[0], 0.0])
        finished = (
            length < 0.02
            if phase not in ("grasp", "leave")
            else (abs(opening - wanted) < 0.03 if phase == "grasp" else float(np.linalg.norm(gripper - obj)) > 0.25)
        )
        if finished:
            stage, start_distance = stage + 1, None
            if dropped or not grasping:
                stage = min(stage, count - 1)
                if stage == count - 1 and finished:
                    stopped, pause_left = True, min(pause_left, 10)
    return states, np.array(stages), np.array(fractions), np.array(holds), count


class Painter:
    """Draws scene states with one random style."""

    def __init__(self, rng, size, colour, goal_colour, shape, goal) -> None:
        self.size, self.scale = size, 2  # drawn at twice the size, then reduced
        self.colour, self.goal_colour, self.shape, self.goal = colour, goal_colour, shape, goal
        full = size * self.scale
        wall, table, self.metal = (rng.integers(40, 225, 3) for _ in range(3))
        self.horizon = int(full * rng.uniform(0.35, 0.7))
        noise = rng.normal(0, rng.uniform(2, 10), (full, full, 1))
        picture = np.where(np.arange(full)[:, None, None] < self.horizon, wall, table) + noise
        self.background = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
        draw = ImageDraw.Draw(self.background)
        for _ in range(int(rng.integers(0, 4))):  # distractors
            x, y, w = rng.uniform(0, full), rng.uniform(self.horizon * 0.5, full), rng.uniform(6, 24)
            draw.rectangle((x, y, x + w, y + w), fill=tuple(int(c) for c in rng.integers(20, 235, 3)))
        self.floor = full * rng.uniform(0.72, 0.88)
        self.reach = full * rng.uniform(0.5, 0.7)
        self.slant = rng.uniform(-0.15, 0.15)
        self.object_size = full * rng.uniform(0.045, 0.08)
        self.finger = full * rng.uniform(0.05, 0.08)
        self.light, self.gain = rng.uniform(-20, 20), rng.uniform(0.8, 1.2)

    def _pixel(self, x: float, y: float) -> tuple[float, float]:
        full = self.size * self.scale
        return full * (0.08 + 0.84 * x + self.slant * y * 0.5), self.floor - self.reach * y + self.slant * full * (
            x - 0.5
        )

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the scene is in the picture, as shares of its side from the upper left."""
        px, py = self._pixel(x, y)
        return px / (self.size * self.scale), py / (self.size * self.scale)

    def paint(self, state) -> np.ndarray:
        gx, gy, opening, ox, oy, goal_x = state
        image = self.background.copy()
        draw = ImageDraw.Draw(image)
        s = self.object_size
        px, py = self._pixel(goal_x, 0.0)
        self._goal(draw, px, py + s, s)
        px, py = self._pixel(ox, oy)
        box = (px - s, py - s, px + s, py + s)
        if self.shape in ("ball", "puck", "cylinder"):
            draw.ellipse(box, fill=self.colour, outline=(20, 20, 20))
        else:
            draw.rectangle(box, fill=self.colour, outline=(20, 20, 20))
        px, py = self._pixel(gx, gy)
        metal = tuple(int(c) for c in self.metal)
        half = s * (0.95 + 0.9 * opening)
        arm_end = max(py - self.finger * 1.8, -5)  # the arm may have left through the upper edge
        draw.rectangle((px - s * 0.8, -5, px + s * 0.8, arm_end), fill=metal, outline=(15, 15, 15))
        draw.rectangle((px - half - 5, py - self.finger * 2, px + half + 5, py - self.finger * 1.3), fill=metal)
        for side in (-1, 1):
            x = px + side * half
            draw.rectangle((x - 3, py - self.finger * 1.5, x + 3, py + self.finger * 0.6), fill=(25, 25, 30))
        small = np.asarray(image.resize((self.size, self.size), Image.Resampling.BICUBIC), dtype=np.float32)
        return np.clip((small - 128) * self.gain + 128 + self.light, 0, 255).astype(np.uint8)

    def _goal(self, draw: ImageDraw.ImageDraw, x: float, y: float, s: float) -> None:
        if self.goal in ("bin", "bowl", "tray"):
            draw.rectangle((x - 2 * s, y - s, x + 2 * s, y), outline=self.goal_colour, width=4)
        elif self.goal == "shelf":
            draw.rectangle((x - 2 * s, y - 6, x + 2 * s, y + 6), fill=self.goal_colour)
        else:
            draw.ellipse((x - 1.8 * s, y - 0.5 * s, x + 1.8 * s, y + 0.5 * s), fill=self.goal_colour)
