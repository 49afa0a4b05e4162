"""Choose the actions of one episode: Meta-World's scripted expert, with what the kind of the episode does to it.

Knows the experts and the kinds of episode; does not know labels, pictures or files.
"""

from __future__ import annotations

import numpy as np
from metaworld.policies import ENV_POLICY_MAP
from sim_kinds import COMPLETING
from sim_tasks import TASKS

MAX_STEPS = 320  # control steps of one episode
REST = np.array([0.0, 0.0, 0.0, -1.0])  # stay, gripper open
STEP = 0.01  # metres that the hand's set-point moves at full action


class Driver:
    """Choose the actions of an episode.

    Args:
        name: Meta-World task.
        kind: success; pause (hesitates 28 steps); recover (drops the object and grasps it again); retreat (backs off
            and returns); open, drop, miss, beside, astray, stopN, stop_mid: see `sim_kinds.FAILURES`.
        rng: Draws the moments.
        replay: Actions to repeat without looking, instead of asking the expert, who would correct the failure.
    """

    def __init__(self, name: str, kind: str, rng: np.random.Generator, replay: np.ndarray | None = None) -> None:
        self.task, self.kind, self.replay = TASKS[name], kind, replay
        self.expert = ENV_POLICY_MAP[name + "-v3"]()
        self.idle = int(rng.integers(3, 9))
        self.hold = int(rng.integers(14, 25))  # finished steps kept: at least 10 frames after re-timing
        self.delay = int(rng.integers(4, 12))
        # A fast arm runs on for some steps: stopping late in the last stage would still finish it.
        self.depth = float(rng.uniform(0.05, 0.3) if kind == "stop_mid" else rng.uniform(0.2, 0.6))
        last = len(self.task.stages) - 1
        self.event_stage = {"pause": self.task.pause % (last + 1), "stop_mid": last}.get(kind, last)
        if kind == "retreat":
            self.event_stage = int(rng.integers(0, self.task.carry or last + 1))
        elif kind.startswith("stop") and kind != "stop_mid":
            self.event_stage = int(kind[4:])
        self.backwards = np.array([rng.uniform(-0.6, 0.6), rng.uniform(-0.8, -0.1), 0.9])
        self.offset = np.array([0.9, -0.25, 0.3])  # of the first 14 steps, when the object is missed
        if kind == "beside":
            angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.075, 0.10)
            self.offset = distance / (14 * STEP) * np.array([np.cos(angle), np.sin(angle), 0])
        elif kind == "astray":
            self.turn = rng.choice([-1, 1]) * rng.uniform(1.6, np.pi)  # away from the target, in radians
            self.travel = int(rng.integers(14, 26))
        if kind == "drop" or (self.task.drags and kind in ("recover", "astray")):
            self.delay = int(rng.integers(0, 4 if self.task.drags else 8))  # an arm that drags is there at once
        self.step = self.miss_steps = self.event = self.releasing = self.done_steps = self.over_steps = 0
        self.lowering = self.leaving = 0
        self.rising = None  # steps left, once an arm that drags things has lost its object
        self.grip, self.heading, self.lowest = -1.0, None, np.inf  # the hand's lowest height, in metres

    def action(self, observation: np.ndarray, stage: int, fraction: float) -> np.ndarray | None:
        """Return (dx, dy, dz, grip), each in [-1, 1], or None when the episode is over."""
        self.step += 1
        self.lowest = min(self.lowest, observation[2])
        if self.step > MAX_STEPS or (self.kind.startswith("stop") and self.event > 30) or self._finished(stage):
            return None
        action = self._intended(observation)
        if action is not None:
            action = self._disturbed(action, observation, stage, fraction)
        if action is not None:
            self.grip = action[3]
        return action

    def _finished(self, stage: int) -> bool:
        if self.kind not in COMPLETING:
            return False
        count, task = len(self.task.stages), self.task
        self.done_steps += stage >= (count - 1 if task.release else count)
        self.over_steps += stage == count
        if task.release and not self.releasing and self.done_steps > task.settle:
            self.releasing = 1
        return self.over_steps > max(self.hold, 0 if task.release else task.settle) or self.releasing > 60

    def _intended(self, observation: np.ndarray) -> np.ndarray | None:
        if self.step <= self.idle:
            return REST.copy()
        if self.kind in ("miss", "beside") and self.miss_steps < 14:
            self.miss_steps += 1
            return np.array([*self.offset, -1.0])
        if self.rising:
            self.rising -= 1
            self.miss_steps += 1
            return np.array([0, 0, 0.9 if self.rising < 12 else 0.0, -1.0])
        if self.replay is not None:
            index = self.step - self.idle - 1 - self.miss_steps
            return self.replay[index].copy() if index < len(self.replay) else None
        if self.releasing:
            self.releasing += 1
            direction = {"up": (0, 0, 1), "back": (0, -1, 0.25), "open": (0, 0, 0)}[self.task.release]
            speed = 0.8 if self.releasing > 9 else 0.0  # the fingers need a moment to open
            return np.array([*(speed * np.array(direction)), -1.0])
        return np.clip(self.expert.get_action(observation.copy()), -1, 1).astype(float)

    def _disturbed(self, action: np.ndarray, observation: np.ndarray, stage: int, fraction: float) -> np.ndarray | None:
        kind = self.kind
        if kind == "open":
            action[3] = -1.0
            if stage > 0:
                self._rise(18)
        elif kind in ("drop", "recover", "astray"):
            if stage >= self.task.carry or self.event:
                self.event += 1
            since = self.event - self.delay
            if kind == "astray" and since > 0:
                return self._put_away(since, observation)
            if kind == "drop" and since > 0:
                action = np.array([0, 0, 0, -1.0]) if self._rise(22) else np.array([*action[:3], -1.0])
            elif kind == "recover" and 0 < since <= 20:
                action = np.array([0, 0, 0 if since <= 16 else 0.3, -1.0])
        elif kind == "pause" or kind == "retreat" or kind.startswith("stop"):
            past = stage > self.event_stage
            ready = past or (stage == self.event_stage and fraction > self.depth)
            if self.event or ready:
                self.event += 1
            if kind == "retreat" and 0 < self.event <= 16:
                action = np.array([*self.backwards, self.grip])
            elif (kind == "pause" and 0 < self.event <= 28) or (kind.startswith("stop") and self.event):
                action = np.array([0, 0, 0, self.grip])
        return action

    def _rise(self, steps: int) -> bool:
        """Begin to leave an object that would else be pushed along by the open fingers; says whether it began."""
        if not self.task.drags or self.rising is not None:
            return False
        self.rising = steps
        return True

    def _put_away(self, since: int, observation: np.ndarray) -> np.ndarray | None:
        """Carry the object away from the target, lower it, let go and rise."""
        if self.heading is None:
            toward = observation[-3:-1] - observation[:2]
            angle = np.arctan2(toward[1], toward[0]) + self.turn
            self.heading = 0.9 * np.array([np.cos(angle), np.sin(angle)])
        if since <= self.travel:
            return np.array([*self.heading, 0.0, self.grip])
        if observation[2] > self.lowest + 0.01 and self.lowering < 25 and not self.leaving:
            self.lowering += 1
            return np.array([0, 0, -0.8, self.grip])
        self.leaving += 1
        if self.leaving > 36:
            return None
        return np.array([0, 0, 0.8 if self.leaving > 9 else 0.0, -1.0])
