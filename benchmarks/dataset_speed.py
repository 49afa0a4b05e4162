"""How fast the dataset core is: one long demonstration against plain decoding, many demonstrations with cached labels.

    OMP_NUM_THREADS=1 python benchmarks/dataset_speed.py

Everything is made in a temporary folder. The sides of a comparison take turns in one process; medians are printed.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from dataset.annotation import Annotation, Stage
from dataset.annotation_file import write_annotation
from dataset.demonstration import Demonstration, read_demonstrations
from dataset.samples import SamplingSpec, build_sample_set
from dataset.similarity import frame_similarity
from dataset.video import VideoReader
from dataset.window import WindowSpec

WINDOW = WindowSpec(size=8, rate_hz=6.25)
SAMPLING = SamplingSpec(reversed_share=0.5, held_share=0.1, rewind_share=0.1, speed_share=0.1)
REPEATS = 5


def make_video(path: Path, seconds: float, fps: int, width: int, height: int) -> None:
    """Encode a textured background with a block that wanders over it and a little sensor noise."""
    rng = np.random.default_rng(0)
    background = rng.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    noise = rng.integers(0, 12, (8, height, width, 1), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "23", "preset": "veryfast", "g": "250"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(round(seconds * fps)):
            picture = np.minimum(background, 240) + noise[index % 8]
            left, top = (index * 3) % (width - 80), (index * 2) % (height - 80)
            picture[top : top + 80, left : left + 80] = (200, 40, 40)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def annotate(path: Path, video: Path) -> Path:
    """Write an annotation of five even stages and a finished tail."""
    reader = VideoReader(video)
    step = len(reader) // 6
    stages = tuple(Stage(f"do step {k + 1}", k * step, (k + 1) * step) for k in range(5))
    write_annotation(
        path, Annotation(video.name, reader.fingerprint, len(reader), reader.fps, "Do it", stages, success=True)
    )
    return path


def decode(video: Path) -> int:
    """Decode a video once from the first to the last frame, without converting anything."""
    with av.open(str(video)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0))


def index_label_and_sample(annotation: Path) -> int:
    """Do all that a new demonstration costs: identify and index the video, visual labels, samples."""
    for cached in Path(os.environ["ONETAKE_CACHE"]).glob("*"):
        cached.unlink()
    return len(build_sample_set(read_demonstrations([annotation]), WINDOW, SAMPLING, "visual"))


def cost_of(task: Callable[[], object]) -> tuple[float, float]:
    """Return wall-clock seconds and CPU seconds (of all threads) of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    task()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measure and print one line per question."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["ONETAKE_CACHE"] = str(folder / "cache")
        video = folder / "minute.mp4"
        make_video(video, 60, 30, 640, 480)
        annotation = annotate(folder / "minute.json", video)
        index_label_and_sample(annotation)  # imports are not what is measured
        pairs = [
            (cost_of(lambda: decode(video)), cost_of(lambda: index_label_and_sample(annotation)))
            for _ in range(REPEATS)
        ]
        print(f"60 s of 640x480 at 30 fps, {REPEATS} pairs in turn")
        for place, name in enumerate(("wall", "CPU")):
            plain, ours = (statistics.median(cost[place] for cost in side) for side in zip(*pairs, strict=True))
            ratios = [mine[place] / theirs[place] for theirs, mine in pairs]
            print(
                f"  {name}: decoding once {plain:.2f} s, index + visual labels + samples {ours:.2f} s, "
                f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            )
        print(f"  indexing alone: {cost_of(lambda: VideoReader(video))[1]:.3f} CPU s")
        reader = VideoReader(video)
        spread = np.random.default_rng(0).permutation(len(reader))[:64]
        print(f"  64 spread frames {cost_of(lambda: reader.frames(spread))[1]:.2f} CPU s")

        short = folder / "short.mp4"
        make_video(short, 20, 25, 320, 240)
        paths = []
        for k in range(100):
            copy = folder / f"demo{k:03d}.mp4"
            copy.write_bytes(short.read_bytes() + bytes([k]))  # another recording to the fingerprint, same frames
            paths.append(annotate(folder / f"demo{k:03d}.json", copy))
        demonstrations: list[Demonstration] = read_demonstrations(paths)
        for demonstration in demonstrations:
            frame_similarity(VideoReader(demonstration.video))
        count = 0

        def sample_all() -> None:
            nonlocal count
            count = len(build_sample_set(read_demonstrations(paths), WINDOW, SAMPLING, "visual"))

        wall, cpu = min(cost_of(sample_all) for _ in range(3))
        print(f"100 demonstrations of 500 frames, labels cached: {count} samples in {wall:.2f} s, {cpu:.2f} CPU s")


if __name__ == "__main__":
    main()
