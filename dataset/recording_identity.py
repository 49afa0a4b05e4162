"""Which recordings are the same: by the content of every camera, not by names. The one rule for "was trained on".

Training, evaluation and reports ask here. Knows fingerprints; opens no video (reading a demonstration has compared the
videos with its fingerprints). A recording that was cut or encoded again has another content and is not recognised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dataset.demonstration import Demonstration


def camera_fingerprints(demonstration: Demonstration) -> dict[str, str]:
    """Return the fingerprint of every further camera, by its name."""
    return {camera.name: camera.fingerprint for camera in demonstration.annotation.cameras}


def contents(demonstration: Demonstration) -> set[str]:
    """Return the fingerprints of all cameras of a demonstration."""
    return {demonstration.annotation.fingerprint, *camera_fingerprints(demonstration).values()}


def contents_of_source(source: Mapping[str, Any]) -> set[str]:
    """Return the fingerprints in a row of `train_summary.json`; version 0.1 wrote the main camera's only."""
    return {source["fingerprint"], *source.get("cameras", {}).values()}


def seen_in_training(demonstrations: Sequence[Demonstration], sources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the annotation paths of those demonstrations of which any camera was trained on, under any name.

    Args:
        demonstrations: Annotated episodes.
        sources: Rows with a `fingerprint` and `cameras`, as in `data` of `train_summary.json`.
    """
    trained_on = {content for source in sources for content in contents_of_source(source)}
    return [demonstration.path for demonstration in demonstrations if contents(demonstration) & trained_on]
