"""Simulate one labelled episode of a Meta-World task: the scripted expert, what goes wrong, and the stage reached.

Knows stages and physics; does not know pictures or files.
"""

from __future__ import annotations

import os

os.environ.setdefault("MUJOCO_GL", "egl")  # before MuJoCo is imported

import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP
from sim_stages import Stage
from sim_tasks import DEMO_TASKS, EVALUATION_TASKS, TRAINING_TASKS

TASKS = {**TRAINING_TASKS, **DEMO_TASKS, **EVALUATION_TASKS}
MAX_STEPS = 320  # control steps of one episode
MIN_FRAMES, MAX_FRAMES = 45, 240
ATTEMPTS = 12  # seeds tried for one episode: the experts fail on some
REST = np.array([0.0, 0.0, 0.0, -1.0])  # stay, gripper open
COMPLETING = ("success", "pause", "recover", "retreat")


class World:
    """What stage predicates may look at, refreshed after every control step.

    Positions are in metres: `hand`, `tcp` (between the fingers), `object`, `target`. `opening` of the gripper is in
    [0, 1]. `grip_run` and `free_run` count the steps since both fingers hold, or no finger touches, the object.
    `remaining` is Meta-World's own distance between object and target, and `success` its own verdict.
    """

    def __init__(self, env, body: str) -> None:
        model = env.model
        self.env, self.grip_run, self.free_run, self.start = env, 0, 0, None
        root = model.body(body).id
        inside = {root}
        for index in range(root + 1, model.nbody):  # a parent always comes before its children
            if model.body_parentid[index] in inside:
                inside.add(index)
        names = [model.body(index).name for index in model.geom_bodyid]
        self._object = {geom for geom in range(model.ngeom) if model.geom_bodyid[geom] in inside}
        self._left = {geom for geom, name in enumerate(names) if name in ("leftpad", "leftclaw")}
        self._right = {geom for geom, name in enumerate(names) if name in ("rightpad", "rightclaw")}

    def update(self, observation: np.ndarray, info: dict) -> None:
        """Read the simulator's state."""
        self.hand, self.opening, self.object = observation[:3].copy(), float(observation[3]), observation[4:7].copy()
        self.tcp = self.env.tcp_center.copy()
        self.target = np.array(self.env._target_pos, float)
        left = right = False
        for contact in self.env.data.contact[: self.env.data.ncon]:
            pair = {int(contact.geom1), int(contact.geom2)}
            if pair & self._object:
                left |= bool(pair & self._left)
                right |= bool(pair & self._right)
        self.pinched = left and right
        self.grip_run = self.grip_run + 1 if self.pinched else 0
        self.free_run = 0 if left or right else self.free_run + 1
        self.success = info["success"] >= 0.5
        self.remaining = float(info["obj_to_target"])
        if self.start is None:
            self.start = self.object
        self.lift = float(self.object[2] - self.start[2])

    def site(self, name: str) -> np.ndarray:
        """Return the position of a MuJoCo site."""
        return self.env.data.site(name).xpos.copy()

    def joint(self, name: str) -> float:
        """Return the position of a one-dimensional MuJoCo joint."""
        return float(self.env.data.joint(name).qpos[0])


class StageTracker:
    """Follow the stages from the simulator's state alone."""

    PATIENCE = 3  # steps a hold condition may be broken

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        self.stages, self.stage, self.ends, self._entry, self._broken = stages, 0, {}, None, 0

    def step(self, world: World, frame: int) -> tuple[int, float]:
        """Return the current stage (len(stages) = all done) and the fraction of it in [0, 1)."""
        if self.stage < len(self.stages):
            hold = self.stages[self.stage].hold
            self._broken = self._broken + 1 if hold and not hold(world) else 0
            if self._broken >= self.PATIENCE:
                self.stage, self.ends, self._entry, self._broken = 0, {}, None, 0
        while self.stage < len(self.stages) and self.stages[self.stage].done(world):
            self.ends[self.stage] = frame
            self.stage, self._entry = self.stage + 1, None
        if self.stage == len(self.stages):
            return self.stage, 0.0
        current = self.stages[self.stage]
        distance = current.distance(world)
        if self._entry is None:
            self._entry = distance
        span = self._entry - current.goal
        return self.stage, float(np.clip((self._entry - distance) / span, 0, 0.99)) if span > 1e-6 else 0.0


class Driver:
    """Choose the actions of an episode: the scripted expert, with what its kind does to it.

    Args:
        name: Meta-World task.
        kind: success; pause (hesitates 28 steps); recover (drops the object and grasps it again); retreat (backs off
            and returns); open, drop, miss, stopN, stop_mid: see `sim_stages.FAILURES`.
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
        self.step = self.asked = self.event = self.releasing = self.done_steps = self.over_steps = 0
        self.grip = -1.0

    def action(self, world_observation: np.ndarray, stage: int, fraction: float) -> np.ndarray | None:
        """Return (dx, dy, dz, grip), each in [-1, 1], or None when the episode is over."""
        self.step += 1
        if self.step > MAX_STEPS or (self.kind.startswith("stop") and self.event > 30) or self._finished(stage):
            return None
        action = self._intended(world_observation)
        if action is not None:
            action = self._disturbed(action, stage, fraction)
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
        if self.kind == "miss" and self.asked < 14:
            self.asked += 1
            return np.array([0.9, -0.25, 0.3, -1.0])
        if self.replay is not None:
            index = self.step - self.idle - 1 - self.asked
            return self.replay[index].copy() if index < len(self.replay) else None
        if self.releasing:
            self.releasing += 1
            direction = {"up": (0, 0, 1), "back": (0, -1, 0.25), "open": (0, 0, 0)}[self.task.release]
            speed = 0.8 if self.releasing > 9 else 0.0  # the fingers need a moment to open
            return np.array([*(speed * np.array(direction)), -1.0])
        return np.clip(self.expert.get_action(observation.copy()), -1, 1).astype(float)

    def _disturbed(self, action: np.ndarray, stage: int, fraction: float) -> np.ndarray:
        kind = self.kind
        if kind == "open":
            action[3] = -1.0
        elif kind in ("drop", "recover"):
            if stage >= self.task.carry or self.event:
                self.event += 1
            since = self.event - self.delay
            if kind == "drop" and since > 0:
                action[3] = -1.0
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


def make_environment(name: str):
    """Return the task's environment, seedable, with its goal visible to the scripted expert."""
    env = ALL_V3_ENVIRONMENTS[name + "-v3"]()
    env._freeze_rand_vec, env.seeded_rand_vec = False, True
    env._partially_observable = False
    env.__dict__.pop("sawyer_observation_space", None)  # a cached space of zeros would clip the goal away
    env._set_task_called = True
    return env


def simulate(name: str, kind: str, seed: int, rng: np.random.Generator, replay: np.ndarray | None = None) -> dict:
    """Run one episode; returns per-step arrays qpos, stage, fraction, success, actions, and env, ends, idle, ok."""
    env, task = make_environment(name), TASKS[name]
    env.seed(seed)  # env.reset(seed=) is ignored
    env.reset()
    for _ in range(15):  # objects fall into place
        observation, _, _, _, info = env.step(REST)
    world, tracker, driver = World(env, task.body), StageTracker(task.stages), Driver(name, kind, rng, replay)
    log = {"qpos": [], "stage": [], "fraction": [], "success": [], "actions": []}
    while True:
        world.update(observation, info)
        stage, fraction = tracker.step(world, len(log["qpos"]))
        for key, value in (("qpos", env.data.qpos.copy()), ("stage", stage), ("fraction", fraction)):
            log[key].append(value)
        log["success"].append(world.success)
        action = driver.action(observation, stage, fraction)
        if action is None:
            break
        log["actions"].append(action)
        observation, _, _, _, info = env.step(action)
    recording = {key: np.array(value) for key, value in log.items()}
    return recording | {"env": env, "ends": tracker.ends, "idle": driver.idle, "ok": stage == len(task.stages)}


def find_episode(name: str, kind: str, entropy: list[int]) -> tuple[dict, int, np.random.Generator] | None:
    """Return (re-timed recording, environment seed, generator) of the first seed that gives the wanted kind."""
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([*entropy, attempt])
        seed = int(rng.integers(100_000, 2**31))
        if kind in ("open", "drop", "miss"):
            success = simulate(name, "success", seed, rng)
            if not success["ok"]:
                continue
            recording = simulate(name, kind, seed, rng, replay=success["actions"][success["idle"] :])
        else:
            recording = simulate(name, kind, seed, rng)
        if is_wanted(recording, kind, len(TASKS[name].stages)):
            recording = retime(recording, rng)
            if MIN_FRAMES <= len(recording["qpos"]) <= MAX_FRAMES:
                return recording, seed, rng
    return None


def is_wanted(recording: dict, kind: str, count: int) -> bool:
    """Say whether the recording shows what its kind promises; a failure must never even touch success."""
    progress = (recording["stage"] + recording["fraction"]) / count
    if kind in COMPLETING:
        fell = float((np.maximum.accumulate(progress) - progress).max())
        return recording["ok"] and (kind not in ("recover", "retreat") or fell > 0.08)
    return not recording["ok"] and not recording["success"].any()


def retime(recording: dict, rng: np.random.Generator) -> dict:
    """Play every stage at its own rate, 0.5 to 1.2 of the simulated one, so that time says little about progress."""
    stage, last = recording["stage"], len(recording["qpos"]) - 1
    rates = rng.uniform(0.5, 1.2, stage.max() + 1)
    moments, moment = [], 0.0
    while moment <= last:
        moments.append(moment)
        moment += rates[stage[int(moment)]]
    if moments[-1] < last:
        moments.append(float(last))
    before = np.floor(moments).astype(int)
    weight = (np.array(moments) - before)[:, None]
    after = np.minimum(before + 1, last)
    # Neighbouring steps are so close that linear interpolation serves for quaternions too.
    qpos = recording["qpos"][before] * (1 - weight) + recording["qpos"][after] * weight
    ends = {key: int(np.searchsorted(before, frame)) for key, frame in recording["ends"].items()}
    steps = {key: recording[key][before] for key in ("stage", "fraction", "success")}
    return {"env": recording["env"], "ok": recording["ok"], "qpos": qpos, "ends": ends, **steps}
