"""What an episode takes from the others of the queue: the task text, labels to mark with, stages to copy.

Knows the files of the queue; opens no video. Stages come from an episode of the same task only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from annotate.marking import Marking
from annotate.queue import Episode
from dataset.annotation_file import read_annotation
from dataset.wording import same_text


def first_task(episodes: Mapping[str, Episode], key: str) -> str:
    """Return the task text of the nearest episode before `key` that has one, else ""."""
    keys = list(episodes)
    previous = filter(None, (_on_disk(episodes[other]) for other in keys[: keys.index(key)][::-1]))
    return next((marking.task for marking in previous if marking.task), "")


def episode_like(episodes: Mapping[str, Episode], key: str, task: str) -> tuple[str, Marking] | None:
    """Return id and marking of the nearest episode of the same task with stages; a Done one before all others."""
    others = [other for other in _nearest(episodes, key, task) if other[1].kept_stages]
    return next((other for other in others if other[1].success), next(iter(others), None))


def _nearest(episodes: Mapping[str, Episode], key: str, task: str) -> Iterator[tuple[str, Marking]]:
    """Yield the other episodes of a task: those before `key` from the last to the first, then those after it."""
    keys = list(episodes)
    position = keys.index(key)
    for other in keys[:position][::-1] + keys[position + 1 :]:
        marking = _on_disk(episodes[other])
        if marking is not None and same_text(marking.task, task):
            yield other, marking


def _on_disk(episode: Episode) -> Marking | None:
    """Return the marking of another episode; None where there is none, or its file is damaged."""
    try:
        if episode.marking_file.exists():
            return Marking.from_document(json.loads(episode.marking_file.read_text(encoding="utf-8")))
        if episode.annotation.exists():
            return Marking.from_annotation(read_annotation(episode.annotation))
    except (ValueError, OSError):
        return None  # opening that episode shows the error
    return None
