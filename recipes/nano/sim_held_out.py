"""Describe the Meta-World tasks that are kept out of training: the bundled demo, development and evaluation.

As in `sim_tasks`, where the tasks to train on are. One wording each, no colours drawn.
"""

from __future__ import annotations

import numpy as np
from sim_stages import Stage, Task, grasp, held, length, lift, planar, reach


def hole_gap(world) -> float:
    """Return how far the head of the peg is from the axis of the hole."""
    return length((world.site("pegHead") - world.site("hole"))[1:])


def nail_gap(world) -> float:
    """Return how far the hammer's head is from the nail, ignoring the direction of the stroke."""
    return length((world.object + np.array([0.16, 0.06, 0]) - world.env.nail_init_pos)[[0, 2]])


def nail_depth(world) -> float:
    """Return how deep the nail is in, in metres."""
    return world.joint("NailSlideJoint")


def ring_gap(world) -> float:
    """Return the planar distance from the ring's centre to the peg."""
    return planar(world.site("RoundNut"), world.target)


DEMO_TASKS = {
    "pick-place": Task(
        ("Pick up the red puck and bring it to the blue goal marker",),
        "obj",
        (
            reach("red puck"),
            grasp("red puck"),
            lift(("Lift the red puck off the table",), 0.05),
            Stage(("Carry the red puck to the blue goal marker",),
                  lambda w: length(w.object - w.target) < 0.05, lambda w: length(w.object - w.target), 0.05, held),
        ),
        ("open", "stop_mid"), carry=3, pause=3,
    ),
}  # fmt: skip

# Not trained on and not in the evaluation set: settings are chosen on them.
DEVELOPMENT_TASKS = {
    "pick-place-wall": Task(
        ("Pick up the dark red puck and carry it over the wall to the blue marker",),
        "obj",
        (
            reach("dark red puck"),
            grasp("dark red puck"),
            lift(("Lift the puck above the wall",), 0.15),
            Stage(("Carry the puck over the wall to the blue marker",), lambda w: length(w.object - w.target) < 0.06,
                  lambda w: length(w.object - w.target), 0.06, held),
        ),
        ("open", "drop", "stop_mid"), "recover", carry=3, pause=3,
    ),
    "disassemble": Task(
        ("Take the ring off the red peg by its green handle",),
        "RoundNut",
        (
            reach("green handle"),
            grasp("green handle"),
            lift(("Raise the ring to the top of the red peg",), 0.10),
            Stage(("Lift the ring off the peg",), lambda w: w.success,
                  lambda w: max(w.target[2] - w.object[2], 0), hold=held),
        ),
        ("open", "stop2", "stop_mid"), "recover", carry=2, pause=2,
    ),
    "pick-out-of-hole": Task(
        ("Take the red puck out of the hole and bring it to the blue marker",),
        "obj",
        (
            reach("red puck"),
            grasp("red puck"),
            lift(("Lift the red puck out of the hole",), 0.08),
            Stage(("Carry the red puck to the blue marker",), lambda w: length(w.object - w.target) < 0.05,
                  lambda w: length(w.object - w.target), 0.05, held),
        ),
        ("open", "drop", "stop_mid"), "recover", carry=3, pause=3,
    ),
}  # fmt: skip

# Never trained on: they measure what an adaptation learns from one demonstration.
EVALUATION_TASKS = {
    "assembly": Task(
        ("Pick up the ring by its green handle and put the ring onto the red peg",),
        "RoundNut",
        (
            reach("green handle"),
            grasp("green handle"),
            lift(("Lift the ring above the peg",), 0.10),
            Stage(("Align the ring over the red peg",), lambda w: ring_gap(w) < 0.02, ring_gap, 0.02, held),
            Stage(("Lower the ring onto the red peg",), lambda w: w.success,
                  lambda w: max(w.site("RoundNut")[2] - w.target[2], 0), hold=lambda w: ring_gap(w) < 0.06),
        ),
        ("open", "drop", "stop3"), "recover", carry=3, pause=3, settle=10,
    ),
    "basketball": Task(
        ("Pick up the basketball and drop it through the hoop",),
        "bsktball",
        (
            reach("basketball"),
            grasp("basketball", 0.6),
            lift(("Lift the basketball to the height of the hoop",), 0.27),
            Stage(("Move the basketball over the hoop",), lambda w: planar(w.object, w.target) < 0.035,
                  lambda w: planar(w.object, w.target), 0.035, held),
            Stage(("Let go of the basketball in the hoop",),
                  lambda w: w.free_run >= 3 and length(w.object - w.target) < 0.05, lambda w: float(w.free_run < 1),
                  hold=lambda w: planar(w.object, w.target) < 0.09),
        ),
        ("open", "drop", "stop3"), "recover", carry=3, pause=3, release="open", settle=14,
    ),
    "hammer": Task(
        ("Pick up the hammer and drive the nail into the wooden block",),
        "hammer",
        (
            reach("hammer", (-0.04, 0, 0), 0.05),
            grasp("hammer", 0.6),
            lift(("Lift the hammer off the table",), 0.06),
            Stage(("Line the hammer head up with the nail",),
                  lambda w: nail_depth(w) > 0.003 or nail_gap(w) < 0.035, nail_gap, 0.035, held),
            Stage(("Drive the nail into the block",), lambda w: w.success,
                  lambda w: 0.09 - min(nail_depth(w), 0.09) + max(w.env.nail_init_pos[1] - w.object[1] - 0.06, 0),
                  hold=held),
        ),
        ("open", "drop", "stop3"), "recover", carry=3, pause=4,
    ),
    "peg-insert-side": Task(
        ("Pick up the green peg and insert it into the hole in the box",),
        "peg",
        (
            reach("green peg"),
            grasp("green peg", 0.4),
            lift(("Lift the green peg off the table",), 0.06),
            Stage(("Line the green peg up with the hole",), lambda w: hole_gap(w) < 0.025, hole_gap, 0.025, held),
            Stage(("Insert the green peg into the hole",),
                  lambda w: w.success and w.site("pegHead")[0] - w.target[0] < 0.03,
                  lambda w: max(w.site("pegHead")[0] - w.target[0], 0), 0.03,
                  hold=lambda w: held(w) and hole_gap(w) < 0.06),
        ),
        ("open", "drop", "stop4"), "recover", carry=3, pause=4,
    ),
}  # fmt: skip
