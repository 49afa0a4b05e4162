"""Samples as records and as files: one question about one window with its answer, one line of JSON.

Knows JSON and the trainer's data set type; no pixels. Does not know how samples are chosen (see `samples`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dataset.demonstration import Demonstration
from dataset.files import write_text_atomically
from dataset.fingerprint import size_of
from dataset.prompts import PROMPT_VERSION
from dataset.video import fingerprint
from dataset.window import WindowSpec

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class VqaSample:
    """One question about one window, with its answer.

    Args:
        video: Path of the video, seen from the working directory.
        episode: Name of the demonstration; samples of one demonstration share it.
        frame_index: The current frame; `window_frame_indices[-1] == frame_index`.
        window_frame_indices: Source frames shown, oldest first.
        prompt: The question.
        completion: The answer to learn.
        progress: Its percentage, 0 to 100.
        direction: How the window came about: "forward" (as recorded), "single" (the current frame alone), "reversed"
            (played backwards), "held" (the robot pauses), "rewind" (forward, then back), "speed" (faster or slower),
            "wrong_task" (as recorded, but asked about another task).
    """

    video: str
    episode: str
    frame_index: int
    window_frame_indices: tuple[int, ...]
    prompt: str
    completion: str
    progress: float
    direction: str = "forward"

    def __post_init__(self) -> None:
        if not self.window_frame_indices or self.window_frame_indices[-1] != self.frame_index:
            raise ValueError(
                f"the window {list(self.window_frame_indices)} does not end at the current frame {self.frame_index}"
            )


def write_samples(
    path: str | Path, samples: list[VqaSample], window: WindowSpec, demonstrations: Iterable[Demonstration]
) -> None:
    """Write samples as JSONL and, beside it, `<name>.meta.json` with what training must know about them.

    Writing replaces: nothing is ever appended to an earlier set.
    """
    path = Path(path)
    meta = {
        "prompt_version": PROMPT_VERSION,
        "window": window.to_dict(),
        "num_samples": len(samples),
        "demonstrations": [
            {"annotation": d.path, "video": d.video, "fingerprint": _present_form(d), "task": d.annotation.task}
            for d in demonstrations
        ],
    }
    write_text_atomically(path, "".join(json.dumps(asdict(s), ensure_ascii=False) + "\n" for s in samples))
    write_text_atomically(meta_path(path), json.dumps(meta, indent=2, ensure_ascii=False) + "\n")


def _present_form(demonstration: Demonstration) -> str:
    """Return the fingerprint of the video in the form of this version, also where its annotation is older."""
    stored = demonstration.annotation.fingerprint
    return stored if size_of(stored) is not None else fingerprint(demonstration.video)


def as_hf_dataset(samples: Sequence[VqaSample]) -> Dataset:
    """Return the samples as a `datasets.Dataset`, one column per field: what TRL's trainers take."""
    from datasets import Dataset

    return Dataset.from_list([asdict(sample) for sample in samples])


def meta_path(path: str | Path) -> Path:
    """Return the path of the description beside a samples file."""
    return Path(path).with_suffix(".meta.json")


def read_samples(path: str | Path) -> tuple[list[VqaSample], WindowSpec, tuple[str, ...]]:
    """Read samples with their window rule and their task texts.

    Raises:
        ValueError: A file is missing or damaged; the message names it and the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        meta = json.loads(meta_path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"samples {error.filename}: no such file; make them with `python -m dataset`") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{meta_path(path)}: no valid JSON ({error}); make the samples again") from None
    samples = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            samples.append(VqaSample(**{**row, "window_frame_indices": tuple(row["window_frame_indices"])}))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"samples {path}, line {number}: {error}; make the samples again") from None
    tasks = tuple(dict.fromkeys(row["task"] for row in meta["demonstrations"]))
    return samples, WindowSpec(**meta["window"]), tasks
