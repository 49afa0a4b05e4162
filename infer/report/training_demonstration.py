"""What an adapter was trained on: the demonstrations behind its folder, and which episodes are not held out.

Knows the files of an adapter folder, annotations and fingerprints; does not know models or metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataset.demonstration import Demonstration, read_demonstration, read_demonstrations, with_plans
from dataset.recording_identity import seen_in_training
from infer.model.adapter_folder import read_recipe_document


def find_training_demonstrations(
    adapter: str | Path, sources: Sequence[dict[str, Any]], named: Sequence[str | Path] = ()
) -> tuple[list[Demonstration], str | None]:
    """Return the annotated episodes that an adapter was trained on, and why some or all are missing.

    Args:
        adapter: The adapter folder; its recipe holds the paths of the annotations.
        sources: `data` of `train_summary.json`.
        named: Annotations to use instead, checked against the fingerprints.

    Raises:
        ValueError: A named annotation cannot be read, or its recording was not trained on.
    """
    if named:
        demonstrations = read_demonstrations(named)
        seen = seen_in_training(demonstrations, sources)
        other = next((d for d in demonstrations if sources and d.path not in seen), None)
        if other is not None:
            raise ValueError(
                f"{other.path} (--train_annotations): {adapter} was not trained on its recording, but on "
                f"{', '.join(source['video'] for source in sources)}; name the annotation of that recording"
            )
        return demonstrations, None
    demonstrations = []
    tried = _recorded_annotations(adapter)
    for path in tried:
        try:
            demonstration = read_demonstration(path)
        except ValueError:
            continue  # moved, edited or deleted since; the notice below names it
        if seen_in_training([demonstration], sources):
            demonstrations.append(demonstration)
    demonstrations = with_plans(demonstrations)
    if demonstrations and len(demonstrations) >= len(sources):
        return demonstrations, None
    missing = ", ".join(source["annotation"] for source in sources) or "unknown"
    places = ", ".join(map(str, tried)) or "the adapter folder records no path"
    return demonstrations, (
        f"{len(demonstrations)} of {len(sources)} training demonstrations ({missing}) were found (tried: {places}); "
        "name them with --train_annotations"
    )


def _recorded_annotations(adapter: str | Path) -> list[str]:
    """Return the annotation paths that the recipe holds."""
    data = read_recipe_document(adapter).get("data") or {}
    return list(data.get("annotations") or [])
