"""Sample files: one question about one window with its answer, as rows of a `datasets.Dataset`, JSONL or Parquet.

Knows rows and files; no pixels. Does not know how samples are chosen (see `samples`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dataset.demonstration import Demonstration
from dataset.files import json_lines, write_bytes_atomically, write_text_atomically
from dataset.prompts import PROMPT_VERSION
from dataset.window import WindowSpec

if TYPE_CHECKING:
    from datasets import Dataset, Features

JSONL, PARQUET = ".jsonl", ".parquet"


@dataclass(frozen=True)
class VqaSample:
    """One question about one window, with its answer.

    Args:
        video: Path of the video, relative to the working directory.
        episode: Name of the demonstration; samples of one demonstration share it.
        frame_index: The current frame; `window_frame_indices[-1] == frame_index`.
        window_frame_indices: Source frames of the window, oldest first.
        prompt: The question.
        completion: The answer to learn.
        progress: Its percentage, 0 to 100.
        direction: How the window was made: "forward" (as recorded), "single" (the current frame alone), "reversed"
            (played backwards), "held" (the robot pauses), "rewind" (forward, then back), "speed" (faster or slower),
            "wrong_task" (as recorded, but the question names another task).
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


def to_dataset(samples: Sequence[VqaSample]) -> Dataset:
    """Return samples as a `datasets.Dataset`, one row per sample and one column per field.

    This is what TRL's trainers take. Its own methods do the rest: `push_to_hub("me/my-samples")`, `to_parquet`, `map`.
    It is held in memory and leaves nothing in the cache folder of `datasets`.
    """
    from datasets import Dataset

    def rows() -> Iterator[dict[str, Any]]:
        yield from map(asdict, samples)

    # a cache of its own: with the user's, an earlier call's samples could come back
    with TemporaryDirectory() as cache, _without_progress_bars():
        return Dataset.from_generator(rows, features=_features(), cache_dir=cache, keep_in_memory=True)


def from_dataset(rows: Dataset) -> list[VqaSample]:
    """Return the samples that the rows of a dataset hold, in order.

    Raises:
        ValueError: A row is no sample; the message has its number, counted from 1.
    """
    samples = []
    for number, row in enumerate(rows, start=1):
        try:
            samples.append(VqaSample(**{**row, "window_frame_indices": tuple(row["window_frame_indices"])}))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"row {number} is no sample: {error}") from None
    return samples


def checked_sample_path(path: str | Path) -> Path:
    """Return the path of a file of samples; ValueError unless its name ends in `.jsonl` or `.parquet`."""
    path = Path(path)
    if path.suffix not in (JSONL, PARQUET):
        raise ValueError(f"samples {path}: the name must end in {JSONL} or {PARQUET}; name the file so")
    return path


def meta_path(path: str | Path) -> Path:
    """Return the path of the file beside samples that says how they were made: `NAME.jsonl.meta.json`."""
    return Path(path).with_name(f"{Path(path).name}.meta.json")


def write_samples(
    path: str | Path, samples: Dataset, window: WindowSpec, demonstrations: Iterable[Demonstration]
) -> None:
    """Write samples, and beside them `meta_path`: the window rule, the prompt version and where they came from.

    An earlier file is replaced in one step.

    Args:
        path: A file of JSON lines (`.jsonl`) or of Parquet (`.parquet`).
        samples: From `to_dataset`.
        window: The window rule that the samples were made with.
        demonstrations: The demonstrations that the samples were made from.
    """
    path = checked_sample_path(path)
    meta = {
        "prompt_version": PROMPT_VERSION,
        "window": window.to_dict(),
        "num_samples": len(samples),
        "demonstrations": [
            {"annotation": d.path, "video": d.video, "fingerprint": d.annotation.fingerprint, "task": d.annotation.task}
            for d in demonstrations
        ],
    }
    if path.suffix == PARQUET:
        with TemporaryDirectory() as folder, _without_progress_bars():
            samples.to_parquet(Path(folder) / "samples")
            write_bytes_atomically(path, (Path(folder) / "samples").read_bytes())
    else:
        write_text_atomically(path, json_lines(samples))
    write_text_atomically(meta_path(path), json.dumps(meta, indent=2, ensure_ascii=False) + "\n")


def read_samples(path: str | Path) -> Dataset:
    """Read a file of samples, JSON lines or Parquet; `from_dataset` turns its rows into `VqaSample`s.

    Raises:
        ValueError: The file is missing or damaged.
    """
    from datasets import DatasetDict, load_dataset
    from datasets.exceptions import DatasetGenerationError

    if not Path(path).is_file():
        raise ValueError(f"samples {path}: no such file; make it with `python -m dataset`")
    kind = "parquet" if Path(path).suffix == PARQUET else "json"
    try:
        with TemporaryDirectory() as cache, _without_progress_bars():
            files = load_dataset(kind, data_files=str(path), features=_features(), cache_dir=cache, keep_in_memory=True)
    except DatasetGenerationError as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise ValueError(f"samples {path}: damaged ({cause}); make the file again with `python -m dataset`") from None
    assert isinstance(files, DatasetDict)  # one file without a split is the split "train"
    return files["train"]


def _features() -> Features:
    from datasets import Features, List, Value

    text, number = Value("string"), Value("int64")
    return Features(
        {
            "video": text,
            "episode": text,
            "frame_index": number,
            "window_frame_indices": List(number),
            "prompt": text,
            "completion": text,
            "progress": Value("float64"),
            "direction": text,
        }
    )


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Hide the progress bars of `datasets` inside the block: samples are made in less than a second."""
    import datasets

    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
