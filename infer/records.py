"""Records: what a prediction is, how one is made from an answer, and its JSONL form. Imports no torch.

Names are those of ProcVLM's records; further fields follow them. Knows names and files; does not know models or videos.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from dataset.files import json_lines, numbered_lines, write_text_atomically
from infer.decoding.window_answer import ProgressSource, WindowAnswer

FLUSH_SEC = 1.0
FIRST_KEY = b'{"video_path": '  # how every row begins
REQUIRED = ("video_path", "frame_index", "progress")  # fields that every row has; samples have no video_path


@dataclass(frozen=True)
class Prediction:
    """One frame's prediction; the first six fields and their names are those of ProcVLM's records.

    Args:
        frame_index: Source frame.
        timestamp_sec: Its presentation time.
        window_frame_indices: Source frames of the window, oldest first.
        progress: Percent, 0 to 100; None where the answer has none and the previous one is not repeated.
        reasoning: The answer without its progress sentence.
        model_output: The raw answer.
        parsed_progress: The percentage in this very text; None where it has none.
        progress_source: "model" (the text's number), "expected" (mean over the numbers that the model might have put
            there), "forced" (the answer ran past its budget, and the model was made to fill in the tag), "previous"
            (repeated from an earlier frame, see `carry_forward`) or None.
        progress_std: Standard deviation of an expected value, points.
        progress_mass: Share of the probability that an expected value follows to the last digit, 0 to 1.
    """

    frame_index: int
    timestamp_sec: float
    window_frame_indices: tuple[int, ...]
    progress: float | None
    reasoning: str
    model_output: str
    parsed_progress: float | None
    progress_source: ProgressSource | None
    progress_std: float | None = None
    progress_mass: float | None = None


def make_prediction(
    answer: WindowAnswer, frame_index: int, timestamp_sec: float, window_frame_indices: tuple[int, ...]
) -> Prediction:
    """Return the prediction for a frame that the answer to its window gives."""
    return Prediction(
        frame_index=frame_index,
        timestamp_sec=round(timestamp_sec, 6),
        window_frame_indices=window_frame_indices,
        progress=answer.progress,
        reasoning=answer.reasoning,
        model_output=answer.text,
        parsed_progress=answer.parsed,
        progress_source=answer.source,
        progress_std=answer.std,
        progress_mass=answer.mass,
    )


def percentages(predictions: Iterable[Prediction]) -> np.ndarray:
    """Return the values that figures are made of, percent, float64: `progress`, nan for none.

    Forced and expected numbers count, in the report as during training.
    """
    return np.array([np.nan if p.progress is None else p.progress for p in predictions], dtype=np.float64)


def in_the_text(predictions: Iterable[Prediction]) -> list[bool]:
    """Return for each prediction whether the answer's text holds the percentage; a parse rate is the share of these."""
    return [prediction.parsed_progress is not None for prediction in predictions]


def carry_forward(predictions: Iterable[Prediction], previous: float | None = None) -> Iterator[Prediction]:
    """Repeat the last percentage where a prediction has none, with `progress_source` "previous".

    Args:
        predictions: In the order of playback.
        previous: The percentage before the first one; None leaves predictions without one until the first percentage.
    """
    for prediction in predictions:
        if prediction.progress is None and previous is not None:
            yield replace(prediction, progress=previous, progress_source="previous")
        else:
            yield prediction
            previous = prediction.progress


def make_record(video_path: str, task: str, number: int, prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as one row of a JSONL file; `number` counts the rows of its video from 0."""
    return {
        "video_path": video_path,
        "task": task,
        "sample_index": number,
        **asdict(prediction),
        "window_frame_indices": list(prediction.window_frame_indices),
    }


def make_records(video_path: str, task: str, predictions: Iterable[Prediction]) -> list[dict[str, Any]]:
    """Return the predictions of one video as the rows of a JSONL file."""
    return [make_record(video_path, task, number, prediction) for number, prediction in enumerate(predictions)]


def write_records(path: str | Path, records: Iterable[dict[str, Any]]) -> None:
    """Write records as JSONL, one per line; an earlier file is replaced in one step."""
    write_text_atomically(path, json_lines(records))


def read_records(path: str | Path) -> list[dict[str, Any]]:
    """Read records back; ValueError names the line that is no JSON."""
    return _parse(path, Path(path).read_text(encoding="utf-8"))


def _parse(path: str | Path, text: str) -> list[dict[str, Any]]:
    records = []
    for number, line in numbered_lines(text):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: no valid JSON ({error}); restore the file") from None
        missing = [key for key in REQUIRED if not isinstance(record, dict) or key not in record]
        if missing:
            raise ValueError(
                f"{path}, line {number}: no prediction (it has no {', '.join(missing)}); name a file that "
                "`python -m infer` wrote"
            )
        records.append(record)
    return records


class RecordFile:
    """A JSONL file that grows while predictions are made; what was written survives the process.

    Beside it, in `run_path`, stands how its rows are made: model, window and decoding. Rows of two kinds never mix.

    Args:
        path: The file.
        resume: Keep the complete rows that are there (a last line that was cut off is removed) and append to them.
            Otherwise an earlier file is replaced when the first row comes.

    Attributes:
        earlier: The rows that were kept.

    Raises:
        ValueError: The rows that are there cannot be read.
    """

    def __init__(self, path: str | Path, resume: bool = False) -> None:
        self.path = Path(path)
        self.earlier: list[dict[str, Any]] = []
        self._file: IO[bytes] | None = None
        self._run: dict[str, Any] | None = None
        self._keep = 0  # bytes of complete rows
        self._size: int | None = None  # of the file that was read
        if resume and self.path.exists():
            content = self.path.read_bytes()
            self._size, self._keep = len(content), content.rfind(b"\n") + 1
            cut_off = content[self._keep :]
            try:
                text = content[: self._keep].decode("utf-8")
                if not (cut_off.startswith(FIRST_KEY) or FIRST_KEY.startswith(cut_off)):
                    raise ValueError
            except ValueError:
                raise ValueError(
                    f"{self.path}: no file of predictions; leave --resume out to replace it, or "
                    "choose another --output_path"
                ) from None
            self.earlier = _parse(self.path, text)

    def made_by(self, run: dict[str, Any]) -> None:
        """Take how the rows of this run are made, as JSON; it is written with the first row.

        Its "videos" are the fingerprints of the recordings by path; a run that goes on may name others.

        Raises:
            ValueError: The rows that were kept were made in another way; the message names what differs.
        """
        self._run = json.loads(json.dumps(run))
        if not self.earlier:
            return
        path = run_path(self.path)
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ValueError(
                f"{path} is missing or damaged, so that nobody knows which model made the rows of {self.path}; leave "
                "--resume out to start again"
            ) from None
        videos = before.get("videos", {})
        changed = [
            path for path, content in self._run.get("videos", {}).items() if videos.get(path, content) != content
        ]
        if changed:
            raise ValueError(
                f"{self.path} has rows of another recording that was at {', '.join(changed)}; leave --resume out to "
                "start again"
            )
        if "videos" in self._run:
            self._run["videos"] = videos | self._run["videos"]
        differing = [name for name in self._run if name != "videos" and before.get(name) != self._run[name]]
        if differing:
            changes = "; ".join(f"{name}: {before.get(name)} then, {self._run[name]} now" for name in differing)
            raise ValueError(
                f"{self.path} was made in another way ({changes}); resume with the same model and settings, or leave "
                "--resume out to start again"
            )

    def append(self, records: Iterable[dict[str, Any]]) -> None:
        """Write rows and wait until they are on the disk."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("r+b" if self.path.exists() else "wb")
            _lock(self._file, self.path)
            if self._size is not None and os.fstat(self._file.fileno()).st_size != self._size:
                raise ValueError(f"another process has written {self.path} since it was read; resume again")
            self._file.truncate(self._keep)
            self._file.seek(self._keep)
            if self._run is not None:
                write_text_atomically(run_path(self.path), json.dumps(self._run, indent=2, ensure_ascii=False) + "\n")
        self._file.write(json_lines(records).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def write_through(self, records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Pass rows on and write them to the disk every `FLUSH_SEC`, and those left when the rows end or break off."""
        waiting: list[dict[str, Any]] = []
        written = time.monotonic()
        try:
            for record in records:
                waiting.append(record)
                if time.monotonic() - written >= FLUSH_SEC:
                    self.append(waiting)
                    waiting, written = [], time.monotonic()
                yield record
        finally:
            if waiting:
                self.append(waiting)

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()


def run_path(path: str | Path) -> Path:
    """Return the file beside a file of records that says how they were made: p.jsonl has p.run.json."""
    return Path(path).with_suffix(".run.json")


def _lock(file: IO[bytes], path: Path) -> None:
    """Keep other processes from writing the same file; it is unlocked when it is closed."""
    try:
        import fcntl
    except ImportError:  # Windows, which lets one process write a file that is open
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ValueError(f"another process writes {path}; wait for it, or choose another --output_path") from None
