"""What the page asks the server for: one JSON object in, one out, with "ok"; Gradio would hide an exception.

Knows the store, edits, scans and the JSON forms; does not know Gradio or HTML.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from annotate import editing
from annotate.background import Scanner, strip_count
from annotate.findings import check_notes, missing_notes
from annotate.marking import Draft, stages_from_rows, stages_to_rows
from annotate.predictions_tab import read_results
from annotate.samples_tab import generate
from annotate.store import ConflictError, ReplacedError, Store
from dataset.demonstration import Demonstration
from dataset.labels import label_curve

Call = Callable[[dict[str, Any]], dict[str, Any]]


def make_calls(store: Store, scanner: Scanner) -> list[Call]:
    """Return the functions that the page's script calls by their names."""

    def open_episode(request: dict[str, Any]) -> dict[str, Any]:
        asked = request.get("id")
        shown = asked if asked in store.episodes else store.next_unlabelled()
        answer: dict[str, Any] = {"id": shown, "queue": queue(store)}
        try:
            return answer | _opened(store, store.episode(shown).id) | {"ok": True}
        except (ValueError, OSError) as error:
            return answer | {"ok": False, "error": str(error), "name": store.episode(shown).video.name}

    def save_episode(request: dict[str, Any]) -> dict[str, Any]:
        key = store.episode(request.get("id")).id
        draft = Draft.from_document(request.get("draft"))
        saved = store.save(key, draft, str(request.get("revision")), request.get("version"))
        return {"revision": saved.revision, "queue": queue(store)} | _judged(store, key, draft)

    def edit_stages(request: dict[str, Any]) -> dict[str, Any]:
        key = store.episode(request.get("id")).id
        stages = apply_edit(store, key, stages_from_rows(request.get("stages")), request)
        return {"stages": stages_to_rows(stages)}

    def settle_conflict(request: dict[str, Any]) -> dict[str, Any]:
        """Keep the version that loses beside the annotation; the page then saves or shows the one that wins."""
        key = store.episode(request.get("id")).id
        on_disk, revision = store.load(key)
        loser = on_disk if request.get("keep_mine") else Draft.from_document(request.get("draft"))
        kept = store.keep_copy(key, loser)
        return {"revision": revision, "draft": on_disk.to_document(), "kept": kept.name}

    def scan_episode(request: dict[str, Any]) -> dict[str, Any]:
        known = scanner.scan(store.episode(request.get("id")).id)
        return {
            "scanned": known.scanned,
            "num_frames": known.num_frames,
            "proposals": known.proposals,
            "problem": known.problem,
        }

    def generate_samples(request: dict[str, Any]) -> dict[str, Any]:
        return asdict(generate(store, store.episode(request.get("id")).id))

    def read_predictions(request: dict[str, Any]) -> dict[str, Any]:
        episode = store.episode(request.get("id"))
        text, name = request.get("text"), request.get("name")
        if not isinstance(text, str) or not isinstance(name, str):
            raise ValueError("no file came; choose a JSONL file that `python -m infer` wrote")
        return read_results(text, name, len(store.reader(episode.id)), episode.video.name)

    ours = (save_episode, edit_stages, settle_conflict, scan_episode, generate_samples, read_predictions)
    return [open_episode, *map(_answered, ours)]


def queue(store: Store) -> list[dict[str, str]]:
    """Return what the list of episodes shows."""
    return [{"id": key, "name": e.video.name, "status": e.status} for key, e in store.episodes.items()]


def apply_edit(store: Store, key: str, stages: editing.Stages, request: dict[str, Any]) -> editing.Stages:
    """Do what the page asks for: `request["op"]` names a function of `editing`, the other keys are its arguments."""
    op, num_frames = request.get("op"), len(store.reader(key))
    if op == "mark_end":
        return editing.mark_end(stages, request["end"], request["text"], num_frames)
    if op == "move_boundary":
        return editing.move_boundary(stages, request["number"], request["end"], num_frames)
    if op == "remove_boundary":
        return editing.remove_boundary(stages, request["number"])
    if op == "rename":
        return editing.rename(stages, request["number"], request["text"])
    if op == "exclude":
        return editing.exclude(stages, request["number"], request["excluded"])
    if op == "fall_back":
        return editing.fall_back(stages, request["number"])
    if op == "copy_earlier":
        earlier = store.earlier(key)
        if earlier is None:
            raise ValueError("no other episode of the queue has stages yet; mark one first")
        return editing.rescale(earlier[0].stages, earlier[1], num_frames)
    raise ValueError(f"there is no edit {op!r}; reload the page")


def _opened(store: Store, key: str) -> dict[str, Any]:
    episode, reader = store.episode(key), store.reader(key)
    draft, revision = store.load(key)
    for camera in range(1, len(episode.cameras)):
        store.reader(key, camera)
    earlier = store.earlier(key)
    texts = [stage.subtask for stage in earlier[0].kept_stages] if earlier else []
    return {
        "name": episode.video.name,
        "revision": revision,
        "version": store.version(key),
        "draft": draft.to_document(),
        "num_frames": len(reader),
        "timestamps_sec": [round(float(time), 4) for time in reader.timestamps_sec],
        "cameras": [name for name, _ in episode.cameras],
        "strip_count": strip_count(len(reader)),
        "labels": list(dict.fromkeys(texts)),
    } | _judged(store, key, draft)


def _judged(store: Store, key: str, draft: Draft) -> dict[str, Any]:
    """Return what is to be said about a draft, and its progress curve where it has one."""
    notes = missing_notes(draft)
    try:
        annotation = store.finish(key, draft.as_if_finished())
    except ValueError:
        return {"notes": [asdict(note) for note in notes], "curve": None}
    curve = [None if math.isnan(value) else round(float(value), 2) for value in label_curve(annotation)]
    if not notes:
        episode = store.episode(key)
        notes = check_notes(Demonstration(str(episode.annotation), annotation, str(episode.video)), alone=True)
    return {"notes": [asdict(note) for note in notes], "curve": curve}


def _answered(call: Call) -> Call:
    """Turn refusals into answers that the page can show."""

    @functools.wraps(call)
    def answered(request: dict[str, Any]) -> dict[str, Any]:
        try:
            return call(request) | {"ok": True}
        except ConflictError as error:
            return {"ok": False, "conflict": True, "error": str(error)}
        except ReplacedError as error:
            return {"ok": False, "replaced": True, "error": str(error)}
        except OSError as error:
            reason = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
            return {"ok": False, "error": f"a file cannot be written or read ({reason}); mend its disk or its folder"}
        except ValueError as error:
            return {"ok": False, "error": str(error)}

    return answered
