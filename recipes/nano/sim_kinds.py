"""Kinds of episode: which there are, which of them a task shows and in what order, and what each promises.

Knows tasks by name and recordings as arrays; knows neither the simulator nor pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import numpy as np
from sim_stages import Task
from sim_tasks import TASKS

COMPLETING = ("success", "pause", "recover", "retreat")
REPLAYED = ("open", "drop", "miss", "beside")  # the expert would notice and correct these
FAILURES = {
    "open": "the gripper never closes; the arm goes through the motion with an empty hand",
    "drop": "the object is dropped on the way",
    "miss": "the arm misses the object because of a sideways offset",
    "beside": "the gripper closes beside the object and goes on without it",
    "decoy": "the arm takes another object than the task names",
    "astray": "the object is carried away from its target and put down there",
    "stop": "the arm stops part-way and never finishes",
}
DEMO_EPISODES = {
    "demo": "success", "success_1": "success", "success_2": "success", "success_3": "success",
    "pause": "pause", "recovery": "recover", "failure_open": "open", "failure_stop": "stop_mid",
}  # fmt: skip


def list_episodes(chosen_set: str, tasks: list[str], count: int, grasp_count: int) -> Iterator[tuple[str, str, str]]:
    """Yield (task, file name, kind). Training goes round the tasks, so that an early stop leaves some of each.

    Args:
        chosen_set: A key of `TASK_SETS`.
        tasks: Their names.
        count: Training episodes per task without a grasp.
        grasp_count: Training episodes per task with one.
    """
    if chosen_set == "training":
        rounds = max(1, -(-count // 4))
        for turn in range(rounds):
            for name in tasks:
                wanted = count if TASKS[name].carry is None else grasp_count
                kinds = training_kinds(TASKS[name], wanted)
                for index in range(turn * wanted // rounds, (turn + 1) * wanted // rounds):
                    yield name, f"ep{index:02d}", kinds[index]
    elif chosen_set == "demo":
        for name in tasks:
            yield from ((name, file, kind) for file, kind in DEMO_EPISODES.items())
    else:
        for name in tasks:
            kinds = {file: kind for file, kind in DEMO_EPISODES.items() if kind in ("success", "pause")}
            if TASKS[name].setback == "recover":
                kinds["recovery"] = "recover"
            kinds |= {f"failure_{kind}": kind for kind in TASKS[name].failures}
            yield from ((name, file, kind) for file, kind in kinds.items())


def training_kinds(task: Task, count: int) -> list[str]:
    """Return the kinds of `count` training episodes, repeating 12 of them, the failures of the task in turn.

    Without a grasp half of them are plain successes, 1 hesitates, 2 have a setback and 3 fail. With one, 4 of 12 are
    plain successes and 5 or 6 fail: a gripper without the object must be seen as often as one that holds it.
    """
    pattern = "SFSBSFPSBSFS" if task.carry is None else "SFFSBFSFFPSB"
    failures, kinds = cycle(task.failures), []
    for index in range(count):
        letter = pattern[index % len(pattern)]
        kinds.append({"S": "success", "P": "pause", "B": task.setback}.get(letter) or next(failures))
    return kinds


def is_wanted(recording: dict, kind: str, task: Task) -> bool:
    """Say whether the recording shows what its kind promises; a failure must never even touch success.

    Of a grasped object: `open` never lifts it, `beside` not even touches it, `drop` and `astray` carry it
    and leave it behind, 10 cm from its target or more; a stop while carrying ends with it in the fingers.
    """
    stage, moved = recording["stage"], recording["moved"]
    if kind in COMPLETING:
        progress = (stage + recording["fraction"]) / len(task.stages)
        fell = float((np.maximum.accumulate(progress) - progress).max())
        return recording["ok"] and (kind not in ("recover", "retreat") or fell > 0.08)
    if recording["ok"] or recording["success"].any():
        return False
    if task.carry is None:
        return True
    left_behind = not recording["touched"][-10:].any() and recording["gap"][-1] > 0.08 and stage[-1] == 0
    if kind == "decoy":
        return stage.max() == 0
    if kind == "open":
        return left_behind and stage.max() < task.carry and recording["lift"].max() < 0.03
    if kind == "beside":
        return left_behind and not recording["touched"].any() and moved.max() < 0.01
    if kind in ("drop", "astray"):
        carried = stage.max() >= task.carry and moved.max() > 0.04
        return left_behind and carried and recording["remaining"][-1] > 0.1
    if kind.startswith("stop") and stage.max() >= task.carry:
        return bool(recording["touched"][-10:].all()) and stage[-1] >= task.carry
    return True
