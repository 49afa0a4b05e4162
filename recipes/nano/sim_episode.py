"""Simulate one labelled episode of a Meta-World task and follow the stage reached; the actions come from `sim_driver`.

Knows stages and physics; does not know pictures or files.
"""

from __future__ import annotations

import os
from types import SimpleNamespace

os.environ.setdefault("MUJOCO_GL", "egl")  # before MuJoCo is imported

import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from sim_driver import REST, Driver
from sim_kinds import REPLAYED, is_wanted
from sim_stages import StageTracker, Task, length
from sim_tasks import TASKS

MIN_FRAMES, MAX_FRAMES, MAX_RECOVERY = 45, 240, 360  # an expert who grasps twice takes longer
ATTEMPTS = 12  # seeds tried for one episode: the experts fail on some


def object_geoms(model, body: str) -> set[int]:
    """Return the geoms of a body and of everything fixed to it."""
    root = model.body(body).id
    inside = {root}
    for index in range(root + 1, model.nbody):  # a parent always comes before its children
        if model.body_parentid[index] in inside:
            inside.add(index)
    return {geom for geom in range(model.ngeom) if model.geom_bodyid[geom] in inside}


class World:
    """What stage predicates may look at, refreshed after every control step.

    Positions are in metres: `hand`, `tcp` (between the fingers), `object`, `target`. `opening` of the gripper is in
    [0, 1]. `grip_run` and `free_run` count the steps since both fingers hold, or no finger touches, the object.
    `remaining` is Meta-World's own distance between object and target, and `success` its own verdict.
    """

    def __init__(self, env, body: str) -> None:
        model = env.model
        self.env, self.grip_run, self.free_run, self.start = env, 0, 0, None
        names = [model.body(index).name for index in model.geom_bodyid]
        self._object = object_geoms(model, body)
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


def make_environment(name: str):
    """Return the task's environment, seedable, with its goal visible to the scripted expert."""
    env = ALL_V3_ENVIRONMENTS[name + "-v3"]()
    env._freeze_rand_vec, env.seeded_rand_vec = False, True
    env._partially_observable = False
    env.__dict__.pop("sawyer_observation_space", None)  # a cached space of zeros would clip the goal away
    env._set_task_called = True
    return env


def resize(model, geoms: set[int], scale: float) -> None:
    """Make an object of plain shapes larger or smaller, in place; meshes stay."""
    geoms = list(geoms)
    if (model.geom_type[geoms] != mujoco.mjtGeom.mjGEOM_MESH).all():
        for sizes in (model.geom_size, model.geom_rbound, model.geom_aabb):
            sizes[geoms] *= scale


def simulate(
    name: str, kind: str, seed: int, rng: np.random.Generator, replay: np.ndarray | None = None, scale: float = 1.0
) -> dict:
    """Run one episode.

    Returns:
        Per-step arrays qpos, stage, fraction, success, actions, hand, tcp, opening, object, lift, moved (of the
        object), gap (to the fingers), remaining (to the target; all metres) and touched; and env, geoms (of the
        object), target, ends, idle, ok.
    """
    env, task = make_environment(name), TASKS[name]
    geoms = object_geoms(env.model, task.body)
    resize(env.model, geoms, scale)
    env.seed(seed)  # env.reset(seed=) is ignored
    env.reset()
    for _ in range(15):  # objects fall into place
        observation, _, _, _, info = env.step(REST)
    world, tracker, driver = World(env, task.body), StageTracker(task.stages), Driver(name, kind, rng, replay)
    steps = []
    while True:
        world.update(observation, info)
        stage, fraction = tracker.step(world, len(steps))
        action = driver.action(observation, stage, fraction)
        steps.append(
            {
                "qpos": env.data.qpos.copy(),
                "stage": stage,
                "fraction": fraction,
                "success": world.success,
                "actions": action,
                "hand": world.hand,
                "tcp": world.tcp,
                "opening": world.opening,
                "object": world.object,
                "lift": world.lift,
                "moved": length(world.object - world.start),
                "gap": length(world.tcp - world.object),
                "remaining": length(world.object - world.target),  # Meta-World's own is 0 in some tasks
                "touched": world.free_run == 0,
            }
        )
        if action is None:
            break
        observation, _, _, _, info = env.step(action)
    recording = {key: np.array([step[key] for step in steps]) for key in steps[0] if key != "actions"}
    recording["actions"] = np.array([step["actions"] for step in steps[:-1]])
    about = {"env": env, "geoms": geoms, "target": world.target, "ends": tracker.ends, "idle": driver.idle}
    return recording | about | {"ok": stage == len(task.stages), "bystander": None}


def find_episode(name: str, kind: str, entropy: list[int]) -> tuple[dict, int, np.random.Generator] | None:
    """Return (re-timed recording, environment seed, generator) of the first seed that gives the wanted kind."""
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([*entropy, attempt])
        seed = int(rng.integers(100_000, 2**31))
        scale = float(rng.uniform(0.9, 1.15)) if TASKS[name].colours else 1.0
        replay = None
        if kind in REPLAYED:
            success = simulate(name, "success", seed, rng, scale=scale)
            if not success["ok"]:
                continue
            replay = success["actions"][success["idle"] :]
        recording = simulate(name, "success" if kind == "decoy" else kind, seed, rng, replay, scale)
        if kind == "decoy" or ("decoy" in TASKS[name].failures and rng.random() < 0.4):
            recording["bystander"] = free_place(recording, rng)
        if kind == "decoy":
            if not recording["ok"] or recording["bystander"] is None:
                continue
            recording = taken_for(recording, TASKS[name])
        if is_wanted(recording, kind, TASKS[name]):
            recording = retime(recording, rng)
            if MIN_FRAMES <= len(recording["qpos"]) <= (MAX_RECOVERY if kind == "recover" else MAX_FRAMES):
                return recording, seed, rng
    return None


def free_place(recording: dict, rng: np.random.Generator) -> np.ndarray | None:
    """Return a place (x, y, z) on the table, in metres, that neither arm nor object comes near, or None."""
    busy = np.concatenate([recording["tcp"], recording["object"], [recording["target"]]])[:, :2]
    for place in rng.uniform((-0.25, 0.5), (0.25, 0.85), (60, 2)):
        if np.linalg.norm(busy - place, axis=1).min() > 0.12:
            return np.array([*place, recording["object"][0][2]])
    return None


def taken_for(recording: dict, task: Task) -> dict:
    """Label the recording as if the task named the bystander: the arm works on the wrong object."""
    place, tracker, steps = recording["bystander"], StageTracker(task.stages), []
    seen = zip(recording["hand"], recording["tcp"], recording["opening"], strict=True)
    for index, (hand, tcp, opening) in enumerate(seen):
        world = SimpleNamespace(
            hand=hand, tcp=tcp, opening=float(opening), object=place, start=place, target=recording["target"],
            pinched=False, grip_run=0, free_run=index + 99, success=False, lift=0.0,
            remaining=length(place - recording["target"]),
        )  # fmt: skip
        steps.append(tracker.step(world, index))
    stage, fraction = map(np.array, zip(*steps, strict=True))
    labels = {"stage": stage, "fraction": fraction, "success": np.zeros(len(stage), bool)}
    return recording | labels | {"ends": tracker.ends, "ok": False}


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
    steps = {key: recording[key][before] for key in ("stage", "fraction", "success", "touched")}
    return {key: recording[key] for key in ("env", "geoms", "ok", "bystander")} | {"qpos": qpos, "ends": ends, **steps}
