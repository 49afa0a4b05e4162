"""decord against PyAV: which frame does each return, and how long does it take?

    python benchmarks/video_backends.py
    python benchmarks/video_backends.py --speed recipes/demo/demo.mp4 VIDEO.mp4

Without `--speed`: videos of 60 frames are made in a temporary folder. All frames are read in a shuffled order, and the
numbers in the pictures are compared with those of a plain decode from the start. With `--speed`: the same work is done
with both backends in turn, opening the file included, and the median CPU times and the median ratios are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import av
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "dataset")]

from material import number_of, write_video  # noqa: E402
from test_video import CODECS  # noqa: E402

from dataset.video import Backend, VideoReader  # noqa: E402
from dataset.window import WindowSpec, window_indices  # noqa: E402

NUM_FRAMES = 60
REPEATS = 3
WINDOWS = 24


def expected_numbers(path: Path) -> list[int]:
    """Return the number in every frame, decoded once from the first to the last."""
    with av.open(str(path)) as container:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def verdict(numbers: list[int], count: int, expected: list[int], order: np.ndarray) -> str:
    """Return how many of the frames are wrong."""
    wrong = sum(number != expected[index] for number, index in zip(numbers, order, strict=True))
    lengths = "" if count == len(expected) else f", counts {count} frames of {len(expected)}"
    return f"{wrong} wrong{lengths}" if wrong or lengths else "right"


def read_with_decord(path: Path, expected: list[int], order: np.ndarray) -> str:
    """Read with decord alone, without the comparison that our reader makes."""
    import decord

    try:
        video = decord.VideoReader(str(path), num_threads=1)
        inside = order[order < len(video)]
        return verdict([number_of(video[int(i)].asnumpy()) for i in inside], len(video), expected, inside)
    except Exception as error:  # any error is a result here
        return f"error ({type(error).__name__})"


def open_with_decord_backend(path: Path) -> str:
    """Return whether our reader accepts this file with the decord backend."""
    try:
        VideoReader(path, backend="decord")
    except ValueError:
        return "refused"
    return "accepted"


def print_exactness() -> None:
    """Print one row of a table per kind of video."""
    order = np.random.default_rng(0).permutation(NUM_FRAMES)
    print("| video | decord 0.6.0 alone | decord backend here | `VideoReader` (PyAV with an index) |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (codec, suffix, options)) in enumerate(CODECS.items()):
            path = write_video(Path(folder) / f"{number}{suffix}", NUM_FRAMES, codec, **options)
            expected = expected_numbers(path)
            reader = VideoReader(path, "pyav")
            ours = verdict([number_of(frame) for frame in reader.frames(order)], len(reader), expected, order)
            decord_alone = read_with_decord(path, expected, order)
            print(f"| {name} | {decord_alone} | {open_with_decord_backend(path)} | {ours} |", flush=True)


def all_frames(reader: VideoReader) -> None:
    """Read every frame in order."""
    for _ in reader.iter_frames():
        pass


def every_fourth(reader: VideoReader) -> None:
    """Read every fourth frame in order."""
    for _ in reader.iter_frames(range(0, len(reader), 4)):
        pass


def shuffled_windows(reader: VideoReader) -> None:
    """Read windows of 8 frames, 4 apart, in a shuffled order."""
    for t in np.random.default_rng(0).permutation(len(reader))[:WINDOWS]:
        reader.frames(window_indices(WindowSpec(8, stride=4), int(t), reader.timing))


def print_speed(paths: list[str]) -> None:
    """Print one row of a table per video and kind of work: CPU seconds, all threads together.

    "decord alone" leaves out the comparison that our reader makes when it opens a file.
    """
    work: dict[str, Callable[[VideoReader], None]] = {
        "opening only": lambda reader: None,
        "all frames": all_frames,
        "every 4th frame": every_fourth,
        f"{WINDOWS} shuffled windows": shuffled_windows,
    }
    print("| video | work, opening included | PyAV | decord | decord alone | decord / PyAV | decord alone / PyAV |")
    print("|---|---|---|---|---|---|---|")
    for path in paths:
        label = f"{Path(path).name}, {len(VideoReader(path, 'pyav'))} frames"
        for name, job in work.items():
            rounds = [
                (cost(path, "pyav", job), cost(path, "decord", job), unguarded(path, job)) for _ in range(REPEATS)
            ]
            pyav, decord, alone = (statistics.median(column) for column in zip(*rounds, strict=True))
            ratio = statistics.median(row[1] / row[0] for row in rounds)
            alone_ratio = statistics.median(row[2] / row[0] for row in rounds)
            figures = f"{pyav:.2f} s | {decord:.2f} s | {alone:.2f} s | {ratio:.1f} | {alone_ratio:.1f}"
            print(f"| {label} | {name} | {figures} |", flush=True)


def cost(path: str, backend: Backend, job: Callable[[VideoReader], None]) -> float:
    """Return the CPU seconds of opening a video and doing the work."""
    started = time.process_time()
    job(VideoReader(path, backend))
    return time.process_time() - started


def unguarded(path: str, job: Callable[[VideoReader], None]) -> float:
    """Return the CPU seconds with decord, of which only frame 0 is compared."""
    with patch("dataset.video._decord_probes", return_value=[0]):
        return cost(path, "decord", job)


def main() -> None:
    """Print the table of frames, or of times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", nargs="+", metavar="VIDEO", help="videos to time")
    arguments = parser.parse_args()
    av.logging.set_level(None)
    if arguments.speed:
        print_speed(arguments.speed)
    else:
        print_exactness()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
