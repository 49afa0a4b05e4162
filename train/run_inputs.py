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

from dataset.recording_identity import contents
from infer.model.base_files import base_digest, base_folder
from infer.model.errors import ModelError
from train.training_data import TrainingData

Inputs = dict[str, dict[str, str]]  # kind -> name -> digest
BASE, BASE_FILE = "base", "file of the base"
FILES_BESIDE_WEIGHTS = (  # those of a base that change what it reads and answers
    "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "chat_template.json",
    "chat_template.jinja", "preprocessor_config.json",
)  # fmt: skip


def describe_inputs(base_name: str, data: TrainingData, processes: int = 1) -> Inputs:
    """Return a digest of everything that a run reads, by kind and name; no path of this machine is part of it.

    Args:
        base_name: The base, as `model` of a recipe.
        data: What the run trains on and is evaluated on.
        processes: How many processes share each batch.
    """
    samples = {d.name: [source] for d, source in zip(data.demonstrations, data.sources, strict=True)}
    for sample in data.samples:
        samples[sample.episode].append(asdict(sample) | {"video": Path(sample.video).name})
    held_out = {
        episode.demonstration.name: [
            sorted(contents(episode.demonstration)),
            episode.demonstration.annotation.task,
            episode.frames,
            [f"{label:.6f}" for label in episode.labels],
        ]
        for episode in data.held_out
    }
    return {
        "annotation": _digests(samples.items()),
        "held-out episode": _digests(held_out.items()),
        "number of": {"processes": str(processes)},
        **base_inputs(base_name),
    }


def changed_inputs(before: Inputs, now: Inputs) -> list[str]:
    """Return what differs, as readers name it: 'annotation demo.json'. A base that is not here is not compared."""
    return [
        f"{kind} {name}"
        for kind in now
        for name in dict.fromkeys([*before.get(kind, {}), *now[kind]])
        if before.get(kind, {}).get(name) != now[kind].get(name) and not (kind in (BASE, BASE_FILE) and not now[BASE])
    ]


def base_inputs(base_name: str) -> Inputs:
    """Return digests of a base's weights and of the files beside them; both empty where it is not on this machine."""
    try:
        weights = {base_name: base_digest(base_name)}
    except ModelError:  # not downloaded yet; loading it says what is wrong, if anything is
        return {BASE: {}, BASE_FILE: {}}
    folder = base_folder(base_name)
    files = [folder / name for name in FILES_BESIDE_WEIGHTS if (folder / name).is_file()] if folder else []
    return {BASE: weights, BASE_FILE: {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:32] for file in files}}


def _digests(items: Iterable[tuple[str, Any]]) -> dict[str, str]:
    return {name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32] for name, value in items}
