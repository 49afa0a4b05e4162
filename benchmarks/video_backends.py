"""decord against PyAV: which frame does each return, and how long does it take?

    python benchmarks/video_backends.py
    python benchmarks/video_backends.py --speed recipes/demo/demo.mp4 VIDEO.mp4

Without `--speed`: videos of 60 frames are made in a temporary folder. All frames are read in a shuffled order, and the
numbers in the pictures are compared with those of a plain decode from the start. With `--speed`: the same work is done
with both backends in turn, opening the file included, and the median times and their ratio are printed.
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

import av
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "dataset")]

from material import number_of, write_video  # noqa: E402
from test_video import CODECS  # noqa: E402

from dataset.video import VideoReader  # noqa: E402
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
        reader.frames(window_indices(WindowSpec(8, stride=4), int(t), reader.fps))


def print_speed(paths: list[str]) -> None:
    """Print one row of a table per video and kind of work."""
    work: dict[str, Callable[[VideoReader], None]] = {
        "opening only": lambda reader: None,
        "all frames": all_frames,
        "every 4th frame": every_fourth,
        f"{WINDOWS} shuffled windows": shuffled_windows,
    }
    print("| video | work, opening included | PyAV, s | decord, s | decord without its comparison, s | decord / PyAV |")
    print("|---|---|---|---|---|---|")
    for path in paths:
        opening = 0.0
        for name, job in work.items():
            times: dict[str, list[float]] = {"pyav": [], "decord": []}
            for _ in range(REPEATS):
                for backend, column in times.items():
                    started = time.perf_counter()
                    job(VideoReader(path, backend))  # type: ignore[arg-type]
                    column.append(time.perf_counter() - started)
            ratio = statistics.median(d / p for p, d in zip(times["pyav"], times["decord"], strict=True))
            pyav, decord = (statistics.median(column) for column in times.values())
            opening = opening or decord
            label = f"{Path(path).name}, {len(VideoReader(path, 'pyav'))} frames"
            print(
                f"| {label} | {name} | {pyav:.2f} | {decord:.2f} | {decord - opening:.2f} | {ratio:.1f} |", flush=True
            )


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
