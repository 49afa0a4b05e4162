"""Generate: check a finished annotation, write its samples, show some of them, say how to train on it.

Knows the store, the check and samples; does not know the page's elements.
"""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from annotate.findings import Note, check_notes, missing_notes
from annotate.store import Store
from dataset.demonstration import read_demonstration
from dataset.preview import choose_samples
from dataset.recipe import read_data_section
from dataset.sample_file import VqaSample, write_samples
from dataset.samples import build_sample_set

GPU_RECIPE = "recipes/oneshot.yaml"


@dataclass(frozen=True)
class Generated:
    """What came of it.

    Args:
        notes: What is missing, wrong or doubtful.
        summary: What was written and where; "" when nothing was.
        commands: How to train on it: a line that says for what, and the command.
        preview: Some of the samples, spread over them.
    """

    notes: tuple[Note, ...]
    summary: str = ""
    commands: tuple[tuple[str, str], ...] = ()
    preview: tuple[VqaSample, ...] = ()


def generate(store: Store, key: str) -> Generated:
    """Check one episode as it is on disk and write its samples to `samples/` beside its annotation.

    Raises:
        ValueError: A file cannot be read.
        OSError: The samples cannot be written.
    """
    episode = store.episode(key)
    missing = missing_notes(store.load(key)[0])
    if missing:
        return Generated(tuple(missing))
    demonstration = read_demonstration(episode.annotation)
    data = read_data_section(None)
    notes = check_notes(demonstration, labels=data.labels, pixels=True)
    if any(note.level == "error" for note in notes):
        return Generated(tuple(notes))
    samples = build_sample_set([demonstration], data.window, data.sampling, data.labels)
    path = episode.annotation.parent / "samples" / f"{episode.annotation.stem}.jsonl"
    write_samples(path, samples, data.window, [demonstration])
    counts = ", ".join(f"{count} {name}" for name, count in Counter(sample.direction for sample in samples).items())
    return Generated(
        notes=tuple(notes),
        summary=f"{shown_path(episode.annotation)} is ready; wrote {len(samples)} samples ({counts}) to "
        f"{shown_path(path)}. Training makes them anew by its recipe.",
        commands=training_commands(store, key),
        preview=tuple(choose_samples(samples)),
    )


def training_commands(store: Store, key: str) -> tuple[tuple[str, str], ...]:
    """Return the commands that adapt a model, to be run in the repository: this episode, and all that are labelled."""
    this = store.episode(key).annotation
    labelled = [episode.annotation for episode in store.episodes.values() if episode.status == "labelled"]
    commands = [
        ("on one GPU", training_command([this], GPU_RECIPE)),
        ("a trial of the whole job on a CPU", training_command([this])),
    ]
    if len(labelled) > 1:
        commands.append((f"all {len(labelled)} labelled episodes", training_command(labelled, GPU_RECIPE)))
    return tuple(commands)


def training_command(annotations: list[Path], recipe: str = "recipes/nano.yaml") -> str:
    """Return the command that adapts a model to annotations by a recipe; quoted for a shell."""
    paths = [shown_path(path) for path in annotations]
    if all(path == shlex.quote(path) for path in paths):
        value = paths[0] if len(paths) == 1 else f'"{" ".join(paths)}"'
        return f"make lora ANNOTATIONS={value} RECIPE={recipe}"
    quoted = ",".join(f'"{path}"' for path in paths)  # make would split its variable at the blanks of a path
    return f"python -m train --config {recipe} {shlex.quote(f'data.annotations=[{quoted}]')}"


def shown_path(path: Path) -> str:
    """Return a path as short as it can be: relative to the working directory when it is inside."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)
