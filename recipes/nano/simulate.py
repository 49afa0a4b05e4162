"""Render robot clips with labelled stages from Meta-World (MuJoCo), on a CPU and without a display.

    pip install metaworld==3.1.1 packaging av        # in an environment of its own
    MUJOCO_GL=egl python recipes/nano/simulate.py --set training --output clips

Writes OUTPUT/<task>/epNN.mp4 and .json. An episode is simulated first and rendered afterwards from the recorded joint
positions. Labels never use time: a small state machine (`sim_stages.StageTracker`) advances on contacts, positions
and joint angles, and falls back when the object is lost; each stage is then played at its own random speed. Files that
exist are kept, so an interrupted run continues where it stopped. Tasks and their stages are in `sim_tasks.py`.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
import zlib
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
from sim_episode import ATTEMPTS, find_episode
from sim_kinds import FAILURES, list_episodes
from sim_render import FPS, VIEWS, bystander_geom, draw_look, paint, render, write_video
from sim_stages import COLOURS
from sim_tasks import NEVER_TRAIN_ON, TASK_SETS, TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--set",
        choices=tuple(TASK_SETS),
        default="training",
        help="training: many tasks, varied wordings, cameras and colours; demo: pick-place, one fixed "
        "look; development and evaluation: tasks that training never sees, same look, to choose settings on and to "
        "measure (default: training)",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the clips")
    parser.add_argument("--labels", type=Path, help="folder of the JSON files (default: beside the clips)")
    parser.add_argument("--tasks", help="comma-separated Meta-World names (default: every task of the set)")
    parser.add_argument("--kinds", help="comma-separated kinds of episode, such as success (default: all)")
    parser.add_argument(
        "--view", choices=tuple(VIEWS), default="main", help="camera of the sets with a fixed look (default: main)"
    )
    parser.add_argument("--episodes", type=int, default=12, help="episodes per task of a training set (default: 12)")
    parser.add_argument(
        "--grasp_episodes",
        type=int,
        help="episodes per training task in which something is grasped (default: three times --episodes)",
    )
    parser.add_argument("--size", type=int, help="width and height in pixels (default: 192 for training, else 256)")
    parser.add_argument(
        "--plain",
        action=argparse.BooleanOptionalAction,
        help="leave out shadows, 2.5 times as fast (default: only for training)",
    )
    parser.add_argument("--crf", type=int, help="H.264 quality, lower is better (default: 20 for training, else 26)")
    parser.add_argument("--seed", type=int, default=0, help="changes every episode (default: 0)")
    parser.add_argument("--dry", action="store_true", help="simulate and print, render nothing")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")  # gymnasium warns about every environment of Meta-World
    training = arguments.set == "training"
    size = arguments.size or (192 if training else 256)
    crf = arguments.crf or (20 if training else 26)
    plain = training if arguments.plain is None else arguments.plain
    try:
        tasks = choose_tasks(arguments.set, arguments.tasks)
    except ValueError as error:
        parser.error(str(error))

    grasp_episodes = 3 * arguments.episodes if arguments.grasp_episodes is None else arguments.grasp_episodes
    for name, file, kind in list_episodes(arguments.set, tasks, arguments.episodes, grasp_episodes):
        if arguments.kinds and kind not in arguments.kinds.split(","):
            continue
        folder = arguments.output if arguments.set == "demo" else arguments.output / name
        labels = arguments.labels or folder
        if (labels / f"{file}.json").exists():
            continue
        started = time.perf_counter()
        episode = find_episode(name, kind, [arguments.seed, zlib.crc32(f"{name}/{file}".encode())])
        if episode is None:
            print(f"{name:20s} {file:12s} {kind}: skipped, no seed of {ATTEMPTS} gave such an episode", flush=True)
            continue
        recording, seed, rng = episode
        look = {"view": arguments.view, **VIEWS[arguments.view]}
        colour = bystander = None
        if training:
            look = draw_look(recording["env"].model, rng, far_side=not TASKS[name].faces_robot)
        if training and TASKS[name].colours:
            colour = str(rng.choice(TASKS[name].colours))
            taken = colour
            if recording["bystander"] is not None:
                other = str(rng.choice([each for each in TASKS[name].colours if each != colour]))
                taken, left = (other, colour) if kind == "decoy" else (colour, other)
                bystander = bystander_geom(
                    recording["env"].model, recording["geoms"], recording["bystander"], COLOURS[left]
                )
            paint(recording["env"].model, recording["geoms"], COLOURS[taken], rng)
        record = describe(name, file, kind, seed, recording, rng if training else None, colour)
        record |= {"width": size, "height": size, "camera": look, "colour": colour}
        simulated = time.perf_counter()
        if not arguments.dry:
            folder.mkdir(parents=True, exist_ok=True)
            labels.mkdir(parents=True, exist_ok=True)
            body = None if kind == "decoy" else TASKS[name].body
            smooth = not training  # training makes the pictures smaller, which smooths them as well
            pictures = list(render(recording["env"], recording["qpos"], look, size, not plain, smooth, bystander, body))
            frames = [image for image, _ in pictures]
            record["frames_sha256_16"] = write_video(folder / f"{file}.mp4", frames, size, crf)
            record |= {f"{each}_xy": [places[each] for _, places in pictures] for each in ("hand", "object")}
            write_atomically(labels / f"{file}.json", json.dumps(record))
        recording["env"].close()
        print(
            f"{name:20s} {file:12s} {kind:9s} {record['n_frames']:3d} frames, success {record['success']!s:5}, "
            f"stages end {[stage['end_frame'] for stage in record['stages']]}, "
            f"{simulated - started:.1f} + {time.perf_counter() - simulated:.1f} s",
            flush=True,
        )


def choose_tasks(chosen_set: str, names: str | None) -> list[str]:
    """Return the tasks of a set, or the named ones.

    Raises:
        ValueError: A name is unknown, or one of the evaluation set in a training set.
    """
    known = TASK_SETS[chosen_set]
    tasks = names.split(",") if names else list(known)
    for name in tasks:
        if name in NEVER_TRAIN_ON and chosen_set == "training":
            raise ValueError(f'task "{name}" is kept for evaluation and must not be in training data')
        if name not in known:
            raise ValueError(f'no task "{name}" in the {chosen_set} set; it has {", ".join(known)}')
    return tasks


def write_atomically(path: Path, text: str) -> None:
    """Write a text file, complete or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def describe(
    name: str,
    file: str,
    kind: str,
    seed: int,
    recording: dict,
    rng: np.random.Generator | None,
    colour: str | None = None,
) -> dict:
    """Return the labels of an episode; wordings are drawn with `rng`, or the first ones without it.

    `progress` in [0, 1] gives every stage the same share. `segments` also shows falling back.
    """
    task, stage = TASKS[name], recording["stage"]
    count, frames = len(task.stages), len(stage)

    def pick(texts: Sequence[str]) -> str:
        return (str(rng.choice(texts)) if rng else texts[0]).format(colour=colour)

    instruction, texts = pick(task.texts), [pick(each.texts) for each in task.stages]
    bounds = [0, *(np.flatnonzero(np.diff(stage)) + 1).tolist(), frames]
    failure = None if recording["ok"] else FAILURES["stop" if kind.startswith("stop") else kind]
    return {
        "id": f"{name}/{file}",
        "task": name,
        "instruction": instruction,
        "kind": kind,
        "success": bool(recording["ok"]),
        "failure": failure,
        "seed": seed,
        "fps": FPS,
        "n_frames": frames,
        "stages": [
            {"description": text, "end_frame": recording["ends"].get(index), "completed": index in recording["ends"]}
            for index, text in enumerate(texts)
        ],
        "segments": [
            {
                "stage": int(stage[start]),
                "description": [*texts, "done"][stage[start]],
                "start_frame": start,
                "end_frame": end - 1,
            }
            for start, end in pairwise(bounds)
        ],
        "max_stage_reached": int(stage.max()),
        "progress": np.minimum((stage + recording["fraction"]) / count, 1.0).round(4).tolist(),
        "stage_index": stage.tolist(),
        "stage_frac": recording["fraction"].round(4).tolist(),
        "touched": (recording["touched"] & (kind != "decoy")).astype(int).tolist(),
        "env_success": recording["success"].astype(int).tolist(),
        "source": {
            "simulator": f"mujoco {version('mujoco')}",
            "env": f"metaworld {version('metaworld')}",
            "licence": "MIT (Meta-World)",
        },
    }


if __name__ == "__main__":
    main()
