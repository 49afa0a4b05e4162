"""Describe Meta-World tasks as stages: several wordings each, and predicates over the simulator's state.

`object` (of `w`, a `sim_episode.World`) is what Meta-World observes for the task: a puck, a handle, the top of a
button. Thresholds of the last stages are those of Meta-World's own success. All lengths are metres.
"""

from __future__ import annotations

import numpy as np
from sim_stages import (
    Stage,
    Task,
    actuate,
    approach,
    close_in,
    colours_but,
    grasp,
    held,
    length,
    let_go,
    lift,
    planar,
    reach,
)


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


GRASP_FAILURES = ("open", "drop", "beside", "stop_mid", "astray")
CARRY_FAILURES = ("open", "drop", "beside", "stop3", "astray")

TRAINING_TASKS = {
    "shelf-place": Task(
        ("Pick up the {colour} block and place it on the shelf", "Put the {colour} block onto the shelf",
         "Take the {colour} block from the table and store it in the shelf"),
        "obj",
        (
            reach("{colour} block"),
            grasp("{colour} block"),
            lift(("Lift the {colour} block to the height of the shelf", "Raise the {colour} block level with the shelf",
                  "Bring the {colour} block up to the shelf"), 0.24),
            Stage(("Push the {colour} block into the shelf", "Move the {colour} block onto the shelf",
                   "Slide the {colour} block over the shelf board"),
                  lambda w: length(w.object - w.target) < 0.06, lambda w: length(w.object - w.target), 0.06, held),
            let_go("{colour} block"),
        ),
        CARRY_FAILURES, "recover", carry=3, pause=3, release="back", settle=12, faces_robot=True,
        colours=colours_but("green"),
    ),
    "bin-picking": Task(
        ("Move the {colour} cube from the red bin into the blue bin", "Transfer the {colour} cube to the blue bin",
         "Take the {colour} cube out of the red bin and put it in the blue one"),
        "obj",
        (
            reach("{colour} cube"),
            grasp("{colour} cube"),
            lift(("Lift the {colour} cube out of the red bin", "Raise the {colour} cube above the red bin",
                  "Take the {colour} cube up from the bin"), 0.08),
            Stage(("Carry the {colour} cube above the blue bin", "Move the {colour} cube over to the blue bin",
                   "Bring the {colour} cube over the blue bin"),
                  lambda w: planar(w.object, w.target) < 0.06, lambda w: planar(w.object, w.target), 0.06, held),
            Stage(("Lower the {colour} cube into the blue bin", "Set the {colour} cube down in the blue bin",
                   "Put the {colour} cube in the blue bin"),
                  lambda w: planar(w.object, w.target) < 0.09 and w.object[2] < 0.05,
                  lambda w: max(w.object[2] - 0.05, 0),
                  hold=lambda w: held(w) or planar(w.object, w.target) < 0.09),
            let_go("{colour} cube"),
        ),
        CARRY_FAILURES, "recover", carry=3, pause=3, release="up", settle=14,
        colours=colours_but("red", "blue"),
    ),
    "drawer-open": Task(
        ("Open the green drawer", "Pull the green drawer out", "Slide the drawer of the green cabinet open"),
        "drawer_link",
        (
            approach(("Move the gripper above the drawer handle", "Go over the white drawer handle",
                      "Position the hand above the handle of the drawer"), (0, 0, 0), 0.05),
            Stage(("Lower the gripper behind the drawer handle", "Hook the fingers behind the drawer handle",
                   "Bring the hand down to the handle"),
                  lambda w: abs(w.hand[2] - w.object[2]) < 0.045 and planar(w.hand, w.object) < 0.07,
                  lambda w: abs(w.hand[2] - w.object[2]), 0.045, hold=lambda w: planar(w.hand, w.object) < 0.10),
            Stage(("Pull the drawer open", "Drag the drawer out", "Draw the drawer towards the front"),
                  lambda w: w.success, lambda w: length(w.object - w.target), 0.03,
                  hold=lambda w: length(w.hand - w.object) < 0.12),
        ),
        faces_robot=True,
    ),
    "door-open": Task(
        ("Open the door of the safe by pulling its handle", "Pull the safe's door open", "Open the dark safe"),
        "door_link",
        (
            approach(("Move the gripper above the door handle", "Go over the handle of the safe",
                      "Position the hand above the door handle"), (0, 0, 0), 0.125),
            Stage(("Lower the gripper behind the door handle", "Bring the hand down to the door handle",
                   "Hook the gripper on the handle of the safe"),
                  lambda w: abs(w.hand[2] - w.object[2]) < 0.05 and planar(w.hand, w.object) < 0.13,
                  lambda w: max(w.hand[2] - w.object[2], 0), 0.05),
            Stage(("Pull the door open", "Swing the door open", "Drag the handle until the safe is open"),
                  lambda w: w.success, lambda w: max(abs(w.object[0] - w.target[0]) - 0.08, 0),
                  hold=lambda w: length(w.hand - w.object) < 0.2),
        ),
        faces_robot=True,
    ),
    "sweep-into": Task(
        ("Push the small {colour} block into the hole in the table", "Sweep the {colour} block into the hole",
         "Drag the little {colour} block to the hole"),
        "obj",
        (
            reach("{colour} block", (0, 0, 0.01), 0.04),
            grasp("{colour} block", 0.6),
            Stage(("Drag the {colour} block to the hole", "Sweep the {colour} block towards the hole",
                   "Pull the {colour} block across the table to the hole"),
                  lambda w: length(w.object - w.target) < 0.07, lambda w: length(w.object - w.target), 0.07, held),
            Stage(("Let go of the {colour} block at the hole", "Release the {colour} block into the hole",
                   "Open the gripper over the hole"),
                  lambda w: w.free_run >= 3 and length(w.object - w.target) < 0.08, lambda w: float(w.free_run < 1)),
        ),
        ("open", "drop", "beside", "stop2", "astray"), "recover", carry=2, pause=2, release="open", settle=2,
        drags=True, colours=colours_but("blue"),
    ),
    "push": Task(
        ("Push the {colour} puck to the green marker", "Slide the {colour} puck over to the green ball",
         "Move the {colour} puck along the table to the green marker"),
        "obj",
        (reach("{colour} puck"), grasp("{colour} puck"),
         actuate(("Push the puck to the green marker", "Slide the puck towards the green marker",
                  "Bring the puck to the green marker along the table"), 0.05, hold=held)),
        GRASP_FAILURES, "recover", carry=2,
        drags=True, colours=colours_but("green"),
    ),
    "push-back": Task(
        ("Pull the {colour} block back to the green marker", "Drag the {colour} block towards the green marker",
         "Move the small {colour} cube back to the green ball"),
        "obj",
        (reach("{colour} block", (0, 0, 0.0), 0.045), grasp("{colour} block", 0.5),
         actuate(("Pull the block back to the green marker", "Drag the block to the green marker",
                  "Slide the block backwards until it is at the marker"), 0.07, hold=held)),
        ("open", "beside", "stop_mid", "astray"), "recover", carry=2,
        drags=True, colours=colours_but("green"),
    ),
    "coffee-push": Task(
        ("Push the {colour} mug under the coffee machine", "Slide the mug to the coffee machine",
         "Put the {colour} cup below the spout of the coffee machine"),
        "obj",
        (reach("{colour} mug", radius=0.045), grasp("{colour} mug", 0.6),
         actuate(("Push the mug under the coffee machine", "Slide the mug to the machine",
                  "Move the mug forward to its place in the machine"), 0.07, hold=held)),
        GRASP_FAILURES, "recover", carry=2, faces_robot=True,
        drags=True, colours=colours_but(),
    ),
    "coffee-pull": Task(
        ("Pull the {colour} mug away from the coffee machine", "Take the mug out of the coffee machine",
         "Drag the {colour} cup from the machine to the green marker"),
        "obj",
        (reach("{colour} mug", radius=0.045), grasp("{colour} mug", 0.6),
         actuate(("Pull the mug to the green marker", "Drag the mug away from the machine",
                  "Move the mug back to the marker"), 0.07, hold=held)),
        GRASP_FAILURES, "recover", carry=2, faces_robot=True,
        drags=True, colours=colours_but("green"),
    ),
    "hand-insert": Task(
        ("Put the {colour} block into the square hole of the table", "Insert the small {colour} block into the hole",
         "Drop the {colour} block through the hole in the table"),
        "obj",
        (
            reach("{colour} block"),
            grasp("{colour} block", 0.4),
            Stage(("Carry the block over the hole", "Move the block to the hole", "Bring the block above the hole"),
                  lambda w: planar(w.object, w.target) < 0.06, lambda w: planar(w.object, w.target), 0.06, held),
            actuate(("Lower the block into the hole", "Insert the block into the hole",
                     "Push the block down into the hole"), 0.05, hold=held),
        ),
        ("open", "drop", "beside", "stop2", "astray"), "recover", carry=2,
        drags=True, colours=colours_but("blue"),
    ),
    "box-close": Task(
        ("Put the {colour} lid on the box", "Close the box with its {colour} lid",
         "Cover the wooden box with the {colour} lid"),
        "top_link",
        (
            Stage(("Move the gripper to the handle of the {colour} lid", "Reach for the lid's handle",
                   "Bring the hand down to the lid"),
                  lambda w: length(w.tcp - w.object) < 0.035, lambda w: length(w.tcp - w.object), 0.035),
            Stage(("Grasp the {colour} lid and lift it", "Pick the lid up", "Raise the lid off the table"),
                  lambda w: w.lift > 0.05, lambda w: max(0.05 - w.lift, 0),
                  hold=lambda w: length(w.tcp - w.object) < 0.06),
            actuate(("Put the {colour} lid on the box", "Place the lid over the box",
                     "Carry the lid to the box and cover it"), 0.08, hold=lambda w: length(w.tcp - w.object) < 0.06),
        ),
        ("open", "drop", "stop_mid"), "recover", carry=2, settle=10,
        colours=colours_but("green"),
    ),
    "button-press-topdown": Task(
        ("Press the red button from above", "Push the red button down", "Press down the button on the yellow box"),
        "button",
        (
            approach(("Move the gripper above the red button", "Go over the red button",
                      "Position the hand above the button"), (0, 0, 0), 0.05),
            close_in(("Lower the gripper onto the red button", "Come down to touch the red button",
                      "Bring the fingers onto the button"), 2, 0.066, 0.10),
            actuate(("Press the red button down", "Push the button all the way in", "Press the button"), 0.024),
        ),
    ),
    "button-press": Task(
        ("Press the red button on the side of the box", "Push the red button in",
         "Press the button at the front of the yellow box"),
        "button",
        (
            approach(("Line the gripper up with the red button", "Move the hand in front of the red button",
                      "Align the gripper with the button"), (0, 0, -0.07), 0.03, axes=(0, 2)),
            close_in(("Move forward to the red button", "Advance until the hand touches the button",
                      "Bring the hand to the button"), 1, 0.06, 0.14, sign=-1),
            actuate(("Push the red button in", "Press the button all the way", "Press the red button"), 0.02),
        ),
        faces_robot=True,
    ),
    "coffee-button": Task(
        ("Press the button of the coffee machine", "Start the coffee machine",
         "Push the round button on the coffee machine"),
        "cmbutton",
        (
            approach(("Line the gripper up with the button", "Move the hand in front of the coffee machine's button",
                      "Align the gripper with the round button"), (0, 0, -0.07), 0.025, axes=(0, 2)),
            close_in(("Move forward to the button", "Advance until the hand touches the machine's button",
                      "Bring the hand to the button of the machine"), 1, 0.06, 0.14, sign=-1),
            actuate(("Push the button of the machine in", "Press the coffee button", "Press the button"), 0.02),
        ),
        ("stop1", "miss", "stop0"),
        faces_robot=True,
    ),
    "window-open": Task(
        ("Slide the window open", "Open the window", "Push the window's handle to the right until it is open"),
        "window",
        (
            approach(("Move the gripper over the window handle", "Go above the handle of the window",
                      "Position the hand over the white handle"), (-0.03, -0.03, 0), 0.045),
            close_in(("Lower the gripper beside the window handle", "Bring the hand down next to the handle",
                      "Come down to the window handle"), 2, -0.055, 0.12),
            actuate(("Slide the window open", "Push the handle aside to open the window", "Push the window open"),
                    0.05),
        ),
        ("stop1", "miss", "stop0"),
    ),
    "window-close": Task(
        ("Slide the window shut", "Close the window", "Push the window's handle to the left until it is closed"),
        "window",
        (
            approach(("Move the gripper over the window handle", "Go above the handle of the open window",
                      "Position the hand over the white handle"), (0.03, -0.03, 0), 0.045),
            close_in(("Lower the gripper beside the window handle", "Bring the hand down next to the handle",
                      "Come down to the handle"), 2, -0.055, 0.12),
            actuate(("Slide the window shut", "Push the handle aside to close the window", "Push the window closed"),
                    0.05),
        ),
        ("stop1", "miss", "stop0"),
    ),
    "faucet-open": Task(
        ("Turn the red tap handle to open the faucet", "Open the faucet", "Rotate the red handle of the tap open"),
        "faucetBase",
        (
            approach(("Move the gripper above the red tap handle", "Go over the handle of the faucet",
                      "Position the hand above the red handle"), (-0.04, 0, 0), 0.045),
            close_in(("Lower the gripper beside the red tap handle", "Bring the hand down next to the red handle",
                      "Come down to the faucet"), 2, 0.06, 0.12),
            actuate(("Turn the faucet open", "Push the red handle around", "Rotate the tap handle"), 0.07),
        ),
    ),
    "faucet-close": Task(
        ("Turn the red tap handle to close the faucet", "Close the faucet", "Rotate the red handle of the tap shut"),
        "faucetBase",
        (
            approach(("Move the gripper above the red tap handle", "Go over the handle of the faucet",
                      "Position the hand above the red handle"), (0.04, 0, 0), 0.045),
            close_in(("Lower the gripper beside the red tap handle", "Bring the hand down next to the red handle",
                      "Come down to the faucet"), 2, 0.06, 0.12),
            actuate(("Turn the faucet shut", "Push the red handle back", "Rotate the tap handle closed"), 0.07),
        ),
    ),
    "drawer-close": Task(
        ("Push the green drawer shut", "Close the green drawer", "Slide the drawer back into the green cabinet"),
        "drawer_link",
        (
            approach(("Move the gripper in front of the drawer", "Go to the front side of the open drawer",
                      "Position the hand before the drawer handle"), (0, -0.075, 0), 0.035),
            close_in(("Lower the gripper to the drawer handle", "Bring the hand down in front of the handle",
                      "Come down to the drawer"), 2, 0.045, 0.13),
            actuate(("Push the drawer shut", "Slide the drawer in", "Press the drawer closed"), 0.055),
        ),
        ("stop1", "miss", "stop0"),
        faces_robot=True,
    ),
    "door-close": Task(
        ("Push the door of the safe shut", "Close the safe", "Swing the dark door closed"),
        "door_link",
        (
            approach(("Move the gripper behind the open door", "Go around to the outer side of the door",
                      "Bring the hand to the door"), (0.03, 0.12, 0.1), 0.06, axes=(0, 1, 2)),
            actuate(("Push the door shut", "Swing the door closed", "Press the door until the safe is closed"), 0.08,
                    stray=0.32),
        ),
        ("stop_mid", "miss", "stop0"), "pause", faces_robot=True,
    ),
    "door-lock": Task(
        ("Turn the lock of the safe", "Lock the safe's door", "Rotate the round knob to lock the door"),
        "lock_link",
        (
            approach(("Move the gripper above the lock", "Go over the knob of the safe",
                      "Position the hand above the lock"), (0, 0, 0), 0.05),
            close_in(("Lower the gripper onto the lock", "Come down to the knob", "Bring the hand down to the lock"),
                     2, 0.065, 0.10),
            actuate(("Turn the lock", "Push the knob down to lock the door", "Rotate the lock"), 0.02),
        ),
        faces_robot=True,
    ),
    "handle-press": Task(
        ("Press the red handle down", "Push the red lever of the grey box down", "Press down on the red handle"),
        "handle_link",
        (
            approach(("Move the gripper above the red handle", "Go over the red handle",
                      "Position the hand above the red bar"), (0, -0.02, 0), 0.028),
            close_in(("Lower the gripper onto the red handle", "Come down to touch the red handle",
                      "Bring the hand onto the red bar"), 2, 0.03, 0.10),
            actuate(("Press the red handle down", "Push the handle to the bottom", "Press the bar down"), 0.02),
        ),
        ("stop1", "miss", "stop0"),
        faces_robot=True,
    ),
    "handle-pull": Task(
        ("Pull the red handle up", "Lift the red lever of the grey box", "Raise the red handle"),
        "handle_link",
        (
            Stage(("Move the gripper down to the red handle", "Reach under the red handle",
                   "Bring the hand to the red bar"),
                  lambda w: abs(w.hand[2] - w.object[2]) < 0.03 and planar(w.hand, w.object) < 0.08,
                  lambda w: length(w.hand - w.object), 0.06),
            actuate(("Pull the red handle up", "Lift the handle", "Raise the red bar"), 0.045),
        ),
        ("stop_mid", "miss", "stop0"),
        faces_robot=True,
    ),
    "lever-pull": Task(
        ("Raise the lever with the blue ball", "Pull the grey lever up", "Lift the lever until it points upwards"),
        "lever_link1",
        (
            approach(("Move the gripper below the blue ball of the lever", "Go under the lever",
                      "Bring the hand beneath the lever"), (0, -0.055, 0), 0.03),
            Stage(("Push the lever up", "Lift the lever", "Raise the blue ball to the red marker"),
                  lambda w: w.success, lambda w: length(w.object - w.target), 0.02,
                  hold=lambda w: length(w.hand - w.object) < 0.25),
        ),
        ("stop_mid", "miss", "stop0"),
    ),
    "plate-slide": Task(
        ("Slide the {colour} puck into the goal", "Push the {colour} disc into the net",
         "Shoot the {colour} puck into the red and white goal"),
        "puck_channel",
        (
            approach(("Move the gripper above the near side of the {colour} puck", "Go behind the {colour} disc",
                      "Position the hand next to the {colour} puck"), (0, -0.055, 0), 0.03),
            close_in(("Lower the gripper behind the {colour} puck", "Bring the hand down to the {colour} disc",
                      "Come down beside the puck"), 2, 0.075, 0.10),
            actuate(("Slide the {colour} puck into the goal", "Push the disc into the net",
                     "Push the puck forward into the goal"), 0.07, stray=0.15),
        ),
        colours=colours_but("red", "white"),
    ),
    "plate-slide-side": Task(
        ("Slide the {colour} puck sideways into the goal", "Push the {colour} disc to the left into the net",
         "Move the {colour} puck into the goal at its side"),
        "puck_channel",
        (
            approach(("Move the gripper to the right of the {colour} puck", "Go beside the {colour} disc",
                      "Position the hand next to the puck"), (0.07, 0, 0), 0.03),
            close_in(("Lower the gripper beside the {colour} puck", "Bring the hand down next to the {colour} disc",
                      "Come down to the puck"), 2, 0.05, 0.13),
            actuate(("Slide the {colour} puck into the goal", "Push the disc sideways into the net",
                     "Push the puck into the goal"), 0.07, stray=0.15),
        ),
        colours=colours_but("red", "white"),
    ),
    "soccer": Task(
        ("Push the football into the blue goal", "Roll the ball into the goal", "Score with the small football"),
        "soccer_ball",
        (
            approach(("Move the gripper to the ball", "Reach for the football", "Bring the hand behind the ball"),
                     (0, 0, 0.03), 0.045, axes=(0, 1, 2)),
            actuate(("Push the ball into the goal", "Roll the football into the blue goal",
                     "Drive the ball to the goal"), 0.07, stray=0.18),
        ),
        ("miss", "stop_mid", "stop0"),
    ),
    "reach": Task(
        ("Move the gripper to the red marker", "Touch the red ball with the gripper",
         "Bring the hand to the red marker"),
        "obj",
        (
            Stage(("Move the gripper to the red marker", "Reach the red marker", "Approach the red ball"),
                  lambda w: w.success, lambda w: w.remaining, 0.05),
        ),
        ("stop0", "miss"),
    ),
}  # fmt: skip

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
        ("drop", "stop3"), carry=3, pause=3, settle=10,
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
        ("open", "drop"), carry=3, pause=3, release="open", settle=14,
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
        ("open", "stop3"), carry=3, pause=4,
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
        ("open", "stop4"), carry=3, pause=4,
    ),
}  # fmt: skip

# Refused in training sets: the demo, the evaluation tasks and the Meta-World tasks that look like them.
LOOK_ALIKES = ("pick-place-wall", "disassemble", "peg-unplug-side", "pick-out-of-hole")
NEVER_TRAIN_ON = (*DEMO_TASKS, *EVALUATION_TASKS, *LOOK_ALIKES)

TASKS = {**TRAINING_TASKS, **DEMO_TASKS, **EVALUATION_TASKS}
