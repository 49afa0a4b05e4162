"""Which frame do you get when you ask for frame i? decord against `VideoReader`, on frames that carry their number.

    python benchmarks/video_backends.py

Videos of 60 frames are made in a temporary folder; each is asked for all its frames in a shuffled order, and the
numbers in the pictures are compared with those of a plain decode from the start.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import av
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from material import number_of, write_video  # noqa: E402
from test_video import CODECS  # noqa: E402

from dataset.video import VideoReader  # noqa: E402

NUM_FRAMES = 60


def expected_numbers(path: Path) -> list[int]:
    """Return the number in every frame, decoded once from the first to the last."""
    with av.open(str(path)) as container:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def judge(numbers: list[int], count: int, expected: list[int], order: np.ndarray) -> str:
    """Say how many of the frames are others than asked for."""
    wrong = sum(number != expected[index] for number, index in zip(numbers, order, strict=True))
    lengths = "" if count == len(expected) else f", counts {count} frames of {len(expected)}"
    return f"{wrong} wrong{lengths}" if wrong or lengths else "right"


def ask_decord(path: Path, expected: list[int], order: np.ndarray) -> str:
    """Read with decord alone, without the guard of our reader."""
    import decord

    try:
        video = decord.VideoReader(str(path), num_threads=1)
        inside = order[order < len(video)]
        return judge([number_of(video[int(i)].asnumpy()) for i in inside], len(video), expected, inside)
    except Exception as error:  # whatever it raises is the result
        return f"error ({type(error).__name__})"


def ask_guarded(path: Path) -> str:
    """Say whether our reader takes the decord backend for this file."""
    try:
        VideoReader(path, backend="decord")
    except ValueError:
        return "refused"
    return "taken"


def main() -> None:
    """Print one row of a table per kind of video."""
    av.logging.set_level(None)
    order = np.random.default_rng(0).permutation(NUM_FRAMES)
    print("| video | decord 0.6.0 alone | decord backend here | `VideoReader` (PyAV with an index) |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (codec, suffix, options)) in enumerate(CODECS.items()):
            path = write_video(Path(folder) / f"{number}{suffix}", NUM_FRAMES, codec, **options)
            expected = expected_numbers(path)
            reader = VideoReader(path)
            ours = judge([number_of(frame) for frame in reader.frames(order)], len(reader), expected, order)
            print(f"| {name} | {ask_decord(path, expected, order)} | {ask_guarded(path)} | {ours} |", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
