"""The functions that the page's scripts call: one JSON object in, one out, with "ok"; Gradio would hide an exception.

Knows the store, edits, scans and the JSON forms; does not know Gradio or HTML.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from annotate import editing
from annotate.background import BackgroundScanner, strip_count
from annotate.findings import check_demonstration, find_missing, outdated_annotation
from annotate.marking import Marking, stages_from_rows, stages_to_rows
from annotate.other_episodes import episode_like
from annotate.predictions_tab import read_prediction_file
from annotate.queue import Episode
from annotate.samples_tab import TrainOn, default_recipe, find_recipes, preview_samples, shown_path
from annotate.store import ConflictError, ReplacedError, Store
from dataset.demonstration import Demonstration
from dataset.labels import label_curve

ServerFunction = Callable[[dict[str, Any]], dict[str, Any]]


def make_server_functions(store: Store, scanner: BackgroundScanner) -> list[ServerFunction]:
    """Return the functions that the page's scripts call by their names."""

    def open_episode(request: dict[str, Any]) -> dict[str, Any]:
        requested = request.get("id")
        key = requested if requested in store.episodes else store.next_unlabelled()
        reply: dict[str, Any] = {"id": key, "queue": queue_rows(store)}
        try:
            return reply | _opened(store, store.episode(key).id) | {"ok": True}
        except (ValueError, OSError) as error:
            return reply | {"ok": False, "error": str(error), "name": store.episode(key).name}

    def save_episode(request: dict[str, Any]) -> dict[str, Any]:
        key = store.episode(request.get("id")).id
        marking = Marking.from_document(request.get("marking"))
        saved = store.save(key, marking, str(request.get("revision")), request.get("version"))
        row = queue_row(store.episode(key))
        return {"revision": saved.revision, "row": row} | _findings_and_curve(store, key, marking)

    def clear_episode(request: dict[str, Any]) -> dict[str, Any]:
        """Take the files of an episode away; the page then shows an empty marking, and Undo brings the old one back."""
        key = store.episode(request.get("id")).id
        revision, kept = store.clear(key, str(request.get("revision")))
        return {"revision": revision, "kept": kept, "row": queue_row(store.episode(key))}

    def find_labels(request: dict[str, Any]) -> dict[str, Any]:
        return labels_from_others(store, store.episode(request.get("id")).id, str(request.get("task")))

    def edit_stages(request: dict[str, Any]) -> dict[str, Any]:
        key = store.episode(request.get("id")).id
        stages = stages_from_rows(request.get("stages"))
        if "at_frame" in request:  # the stage that the keys act on; edits that wait for the server may come before
            request = {**request, "number": editing.stage_at(stages, request["at_frame"])}
        edited = apply_edit(store, key, stages, request)
        return {"stages": stages_to_rows(edited), "number": request.get("number")}

    def settle_conflict(request: dict[str, Any]) -> dict[str, Any]:
        """Write the version that loses beside the annotation; the page then saves or shows the one that wins."""
        key = store.episode(request.get("id")).id
        on_disk, revision = store.load(key)
        loser = on_disk if request.get("keep_mine") else Marking.from_document(request.get("marking"))
        kept = store.keep_copy(key, loser)
        return {"revision": revision, "marking": on_disk.to_document(), "kept": kept.name}

    def scan_episode(request: dict[str, Any]) -> dict[str, Any]:
        scan = scanner.scan(store.episode(request.get("id")).id)
        return {name: getattr(scan, name) for name in ("scanned", "num_frames", "proposals", "problem")}

    def show_samples(request: dict[str, Any]) -> dict[str, Any]:
        key = store.episode(request.get("id")).id
        train_on: TrainOn = "labelled" if request.get("train_on") == "labelled" else "this"
        return asdict(preview_samples(store, key, str(request.get("recipe")), train_on))

    def read_predictions(request: dict[str, Any]) -> dict[str, Any]:
        episode = store.episode(request.get("id"))
        text, name = request.get("text"), request.get("name")
        if not isinstance(text, str) or not isinstance(name, str):
            raise ValueError("the request holds no file; choose a JSONL file that `python -m infer` wrote")
        return read_prediction_file(text, name, len(store.reader(episode.id)), episode.video)

    functions = (
        save_episode, clear_episode, find_labels, edit_stages, settle_conflict, scan_episode, show_samples,
        read_predictions,
    )  # fmt: skip
    return [open_episode, *map(_with_error_replies, functions)]


def queue_rows(store: Store) -> list[dict[str, str]]:
    """Return the rows of the list of episodes."""
    return [queue_row(episode) for episode in store.episodes.values()]


def queue_row(episode: Episode) -> dict[str, str]:
    """Return one row of the list of episodes."""
    return {"id": episode.id, "name": episode.name, "status": episode.status}


def labels_from_others(store: Store, key: str, task: str) -> dict[str, Any]:
    """Return labels to mark with, and the name of the episode whose stages can be copied; of the same task only."""
    like = episode_like(store.episodes, key, task)
    if like is None:
        return {"labels": [], "copy_from": None}
    texts = [stage.subtask for stage in like[1].kept_stages]
    return {"labels": list(dict.fromkeys(texts)), "copy_from": store.episode(like[0]).name}


def apply_edit(store: Store, key: str, stages: editing.Stages, request: dict[str, Any]) -> editing.Stages:
    """Edit the stages: `request["op"]` names a function of `editing`, the other keys are its arguments."""
    op, num_frames = request.get("op"), len(store.reader(key))
    if op == "mark_end":
        return editing.mark_end(stages, request["end"], request["text"], num_frames)
    if op == "move_boundary":
        return editing.move_boundary(stages, request["number"], request["end"], num_frames)
    if op == "nudge_boundary":
        return editing.nudge_boundary(stages, request["number"], request["frames"], num_frames)
    if op == "remove_boundary":
        return editing.remove_boundary(stages, request["number"])
    if op == "rename":
        return editing.rename(stages, request["number"], request["text"])
    if op == "toggle_excluded":
        return editing.toggle_excluded(stages, request["number"])
    if op == "fall_back":
        return editing.fall_back(stages, request["number"])
    if op == "copy_earlier":
        like = episode_like(store.episodes, key, str(request.get("task")))
        if like is None:
            raise ValueError("no other episode of the queue has this task and stages; mark one first")
        return editing.rescale(like[1].stages, len(store.reader(like[0])), num_frames)
    raise ValueError(f"there is no edit {op!r}; reload the page")


def _opened(store: Store, key: str) -> dict[str, Any]:
    """Return everything that the page shows of an episode."""
    episode, reader = store.episode(key), store.reader(key)
    marking, revision = store.load(key)
    for camera in range(1, len(episode.cameras)):
        store.reader(key, camera)
    recipes = find_recipes()
    return (
        {
            "name": episode.name,
            "file": shown_path(episode.annotation),
            "revision": revision,
            "version": store.version(key),
            "marking": marking.to_document(),
            "num_frames": len(reader),
            "timestamps_sec": [round(float(time), 4) for time in reader.timestamps_sec],
            "cameras": [name for name, _ in episode.cameras],
            "strip_count": strip_count(len(reader)),
            "recipes": recipes,
            "default_recipe": default_recipe(recipes),
        }
        | labels_from_others(store, key, marking.task)
        | _findings_and_curve(store, key, marking)
    )


def _findings_and_curve(store: Store, key: str, marking: Marking) -> dict[str, Any]:
    """Return the findings about a marking, and the corners of its progress curve where it has one."""
    episode = store.episode(key)
    findings = find_missing(marking)
    if findings and episode.annotation.exists():
        findings.append(outdated_annotation(episode.annotation))
    rows = [asdict(finding) for finding in findings]
    try:
        annotation = store.finish(key, marking.as_if_finished())
    except ValueError:
        return {"findings": rows, "curve": None}
    if not findings:
        demonstration = Demonstration(str(episode.annotation), annotation, str(episode.video))
        rows = [asdict(finding) for finding in check_demonstration(demonstration, alone=True)]
    return {"findings": rows, "curve": curve_corners(label_curve(annotation))}


def curve_corners(curve: np.ndarray) -> list[tuple[int, float | None]]:
    """Return (frame, percent) where a curve bends, begins or ends; the page draws straight lines between them.

    A percentage of None stands for all frames up to the next corner.
    """
    known = ~np.isnan(curve)
    inside = known[:-2] & known[1:-1] & known[2:]
    bend = np.ones(len(curve), bool)
    bend[1:-1] = ~(inside & (np.abs(curve[:-2] - 2 * curve[1:-1] + curve[2:]) < 1e-9))
    bend[1:] &= known[1:] | known[:-1]  # of frames without a label, the first one is enough
    return [(int(i), round(float(curve[i]), 2) if known[i] else None) for i in np.flatnonzero(bend)]


def _with_error_replies(function: ServerFunction) -> ServerFunction:
    """Turn the errors that a person can correct into replies that the page shows."""

    @functools.wraps(function)
    def replying(request: dict[str, Any]) -> dict[str, Any]:
        try:
            return function(request) | {"ok": True}
        except ConflictError as error:
            return {"ok": False, "conflict": True, "error": str(error)}
        except ReplacedError as error:
            return {"ok": False, "replaced": True, "error": str(error)}
        except OSError as error:
            reason = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
            return {"ok": False, "error": f"a file cannot be written or read ({reason}); check its disk and folder"}
        except ValueError as error:
            return {"ok": False, "error": str(error)}

    return replying
