"""Define tasks as stages, with predicates over the simulator's state, and build the stages that many tasks share.

Positions are metres in the world frame (x to the robot's right, y away from it, z up). `world` in the predicates is a
`sim_episode.World`. Knows nothing about MuJoCo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# Stages whose fingers left the object for this many control steps have lost it.
LOST_AFTER = 4
COLOURS = {
    "red": (0.80, 0.10, 0.10), "green": (0.10, 0.60, 0.20), "blue": (0.10, 0.25, 0.85), "yellow": (0.95, 0.80, 0.10),
    "orange": (0.95, 0.45, 0.05), "purple": (0.50, 0.15, 0.65), "white": (0.95, 0.95, 0.95),
    "black": (0.08, 0.08, 0.08), "brown": (0.40, 0.22, 0.10), "pink": (0.95, 0.50, 0.70), "grey": (0.50, 0.50, 0.50),
}  # fmt: skip


def colours_but(*names: str) -> tuple[str, ...]:
    """Return the names of `COLOURS` without those that something else in the scene has."""
    return tuple(colour for colour in COLOURS if colour not in names)


@dataclass(frozen=True)
class Stage:
    """One step of a task.

    Args:
        texts: Wordings; the first is the canonical one.
        done: Says whether the stage is finished.
        distance: What remains to be done inside the stage; falls to `goal`.
        goal: The distance at which the stage counts as finished.
        hold: Must stay true, else the task falls back to its first stage.
    """

    texts: Sequence[str]
    done: Callable
    distance: Callable
    goal: float = 0.0
    hold: Callable | None = None


@dataclass(frozen=True)
class Task:
    """A task, its stages, and what can go wrong with it.

    Args:
        texts: Wordings of the instruction; the first is the canonical one.
        body: MuJoCo body whose geoms are the object (for finger contacts).
        stages: In order.
        failures: Kinds of failed episodes: keys of `sim_kinds.FAILURES`, "stopN" (stops in stage N) or "stop_mid" (in
            the last).
        setback: "retreat" (the arm backs off and returns), "recover" (drops the object and grasps it again)
            or "pause", where the scripted expert does not find its way back.
        carry: First stage in which the object is held; None for tasks without a grasp.
        pause: Stage in which an episode of kind "pause" hesitates.
        faces_robot: Whether the object hides what happens from a camera on the far side of the table.
        release: How the arm leaves when the expert is done: "up", "back", "open" or None.
        settle: Control steps the expert keeps running after success, before the release.
        drags: Whether the object is moved along the table; an arm that lost it rises before it goes on.
        colours: Keys of `COLOURS` that the object may have, "{colour}" in the texts; empty: it keeps its own.
    """

    texts: Sequence[str]
    body: str
    stages: Sequence[Stage]
    failures: Sequence[str] = ("stop_mid", "miss", "stop1")
    setback: str = "retreat"
    carry: int | None = None
    pause: int = -1
    faces_robot: bool = False
    release: str | None = None
    settle: int = 0
    drags: bool = False
    colours: Sequence[str] = ()


def length(vector) -> float:
    """Return the Euclidean norm."""
    return float(np.linalg.norm(vector))


def planar(first, second) -> float:
    """Return the distance in the plane of the table."""
    return length((first - second)[:2])


def held(world) -> bool:
    """Say whether a finger touches the object, or did a moment ago."""
    return world.free_run < LOST_AFTER


def reach(name: str, offset=(0, 0, 0), radius: float = 0.035) -> Stage:
    """Bring the point between the fingers to the object."""

    def distance(world):
        return length(world.tcp - (world.object + offset))

    texts = (f"Move the gripper to the {name}", f"Reach for the {name}", f"Bring the hand down to the {name}")
    return Stage(texts, lambda world: distance(world) < radius or world.pinched, distance, radius)


def grasp(name: str, closed: float = 0.55) -> Stage:
    """Close the fingers until both touch the object; `closed` is the opening at which they usually do."""
    return Stage(
        (f"Close the gripper on the {name}", f"Grasp the {name}", f"Grip the {name} with the fingers"),
        lambda world: world.grip_run >= 3,
        lambda world: max(world.opening - closed, 0),
        hold=lambda world: length(world.tcp - world.object) < 0.09,
    )


def lift(texts: Sequence[str], height: float) -> Stage:
    """Raise the held object by `height`."""
    return Stage(texts, lambda world: world.lift > height, lambda world: max(height - world.lift, 0), hold=held)


def let_go(name: str) -> Stage:
    """Open the fingers at the target and leave."""

    def at_target(world):
        return planar(world.object, world.target) < 0.09 and abs(world.object[2] - world.target[2]) < 0.08

    def gap(world):
        return length(world.tcp - world.object)

    return Stage(
        (
            f"Let go of the {name} and move the gripper away",
            f"Release the {name} and back off",
            f"Open the gripper, leave the {name} and retreat",
        ),
        lambda world: world.free_run >= 3 and gap(world) > 0.10 and at_target(world),
        lambda world: max(0.10 - gap(world), 0),
    )


def approach(texts: Sequence[str], offset, radius: float, axes=(0, 1)) -> Stage:
    """Bring the hand near object + offset, measured along `axes` only (0, 1, 2 = x, y, z)."""

    def distance(world):
        return length((world.hand - world.object - offset)[list(axes)])

    return Stage(texts, lambda world: distance(world) < radius, distance, radius)


def close_in(texts: Sequence[str], axis: int, offset: float, stray: float, sign: int = 1) -> Stage:
    """Move the hand along one axis until it is `offset` from the object; falls back when it strays from it.

    Args:
        texts: Wordings.
        axis: 0, 1, 2 = x, y, z.
        offset: Done when sign * (hand - object) along the axis is below it.
        stray: Distance from hand to object, across the movement, at which the arm has left.
        sign: +1 to come from above (or from +x, +y), -1 from below.
    """

    def distance(world):
        return sign * float(world.hand[axis] - world.object[axis])

    across = [0, 2] if axis == 1 else [0, 1]
    return Stage(
        texts,
        lambda world: distance(world) < offset,
        distance,
        offset,
        hold=lambda world: length((world.hand - world.object)[across]) < stray,
    )


def actuate(texts: Sequence[str], goal: float, stray: float = 0.22, hold: Callable | None = None) -> Stage:
    """Move the object to its target; `goal` is the remaining distance at which Meta-World reports success."""
    return Stage(
        texts,
        lambda world: world.success,
        lambda world: world.remaining,
        goal,
        hold=hold or (lambda world: length(world.hand - world.object) < stray),
    )


class StageTracker:
    """Follow the stages from the simulator's state alone."""

    PATIENCE = 3  # steps a hold condition may be broken

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        self.stages, self.stage, self.ends, self._entries, self._broken = stages, 0, {}, {}, 0

    def step(self, world, frame: int) -> tuple[int, float]:
        """Return the current stage (len(stages) = all done) and the fraction of it in [0, 1)."""
        if self.stage < len(self.stages):
            hold = self.stages[self.stage].hold
            self._broken = self._broken + 1 if hold and not hold(world) else 0
            if self._broken >= self.PATIENCE:
                self.stage, self.ends, self._broken = 0, {}, 0
        while self.stage < len(self.stages) and self.stages[self.stage].done(world):
            self.ends[self.stage] = frame
            self.stage += 1
        if self.stage == len(self.stages):
            return self.stage, 0.0
        current = self.stages[self.stage]
        distance = current.distance(world)
        # The first entry counts after a fall-back too: what looks the same gets the same number.
        entry = self._entries.setdefault(self.stage, distance)
        span = entry - current.goal
        return self.stage, float(np.clip((entry - distance) / span, 0, 0.99)) if span > 1e-6 else 0.0
