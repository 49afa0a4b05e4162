"""What a run depends on beside its recipe, as digests: samples, held-out frames, base. A resumed run needs the same.

Knows training data and the digest of a base's weights; does not know folders.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infer.model.base_files import base_digest
from infer.model.errors import ModelError
from train.training_data import TrainingData

Inputs = dict[str, dict[str, str]]  # kind -> name -> digest


def describe_inputs(base_name: str, data: TrainingData) -> Inputs:
    """Return a digest of everything that a run reads, by kind and name; no path of this machine is part of it.

    Args:
        base_name: The base, as `model` of a recipe.
        data: What the run trains on and is evaluated on.
    """
    samples: dict[str, list[Any]] = {source["annotation"]: [source] for source in data.sources}
    of_video = {d.video: source["annotation"] for d, source in zip(data.demonstrations, data.sources, strict=True)}
    for sample in data.samples:
        samples[of_video[sample.video]].append(asdict(sample) | {"video": Path(sample.video).name})
    held_out = {
        Path(episode.demonstration.path).name: [
            episode.demonstration.annotation.fingerprint,
            episode.frames,
            [f"{label:.6f}" for label in episode.labels],
        ]
        for episode in data.held_out
    }
    try:
        base = {base_name: base_digest(base_name)}
    except ModelError:  # not downloaded yet; loading it says what is wrong, if anything is
        base = {}
    return {"annotation": _digests(samples.items()), "held-out episode": _digests(held_out.items()), "base": base}


def changed_inputs(before: Inputs, now: Inputs) -> list[str]:
    """Return what differs, as readers name it: 'annotation demo.json'. A base that is not here is not compared."""
    return [
        f"{kind} {name}"
        for kind in now
        for name in dict.fromkeys([*before.get(kind, {}), *now[kind]])
        if before.get(kind, {}).get(name) != now[kind].get(name) and not (kind == "base" and not now[kind])
    ]


def _digests(items: Iterable[tuple[str, Any]]) -> dict[str, str]:
    return {name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32] for name, value in items}
