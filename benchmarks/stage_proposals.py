"""How near stage proposals come to the boundaries that people marked: python benchmarks/stage_proposals.py

Reads the simulated and the real demonstrations at ../shared/demos, beside the repository. For every true end of a stage
it asks whether a proposal lies within a quarter of a second, and how often as many evenly spaced ticks would.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from annotate.background import STRIP_BOX
from annotate.proposals import frame_feature, propose_boundaries
from dataset import VideoReader

DEMOS = Path(__file__).resolve().parents[2] / "shared" / "demos"
NEAR_SEC = 0.25


def simulated() -> dict[Path, list[int]]:
    """Return videos with the frame after the last one of every completed stage."""
    found = {}
    for path in sorted(DEMOS.glob("sim/*/ep*.json")):
        stages = json.loads(path.read_text())["stages"]
        ends = [
            stage["end_frame"] for stage in stages if stage["end_frame"] is not None and stage.get("completed", True)
        ]
        found[path.with_suffix(".mp4")] = ends
    return found


def real() -> dict[Path, list[int]]:
    """As `simulated`, for recordings of real robots; their ends were read by eye."""
    rows = json.loads((DEMOS / "real" / "annotations.json").read_text())
    return {
        DEMOS / "real" / row["file"]: [stage["end"] + 1 for stage in row["stages"] if stage["end"] is not None]
        for row in rows
        if row.get("stages")
    }


def score(videos: dict[Path, list[int]]) -> str:
    """Return one row of the table."""
    near, near_even, distances, num_ticks = [], [], [], 0
    reading_sec, finding_sec, num_frames = 0.0, 0.0, 0
    for path, ends in videos.items():
        reader = VideoReader(path)
        start = time.perf_counter()
        features = np.stack([frame_feature(frame) for _, frame in reader.iter_frames(fit=STRIP_BOX)])
        read = time.perf_counter()
        ticks = np.array(propose_boundaries(features, reader.fps), dtype=np.float64)
        finding_sec += time.perf_counter() - read
        reading_sec += read - start
        num_frames += len(reader)
        num_ticks += len(ticks)
        even = np.arange(1, len(ticks) + 1) * len(reader) / (len(ticks) + 1)
        for end in (end for end in ends if 0 < end < len(reader) - 1):
            distances.append(np.abs(ticks - end).min(initial=np.inf) / reader.fps)
            near.append(distances[-1] <= NEAR_SEC)
            near_even.append(np.abs(even - end).min(initial=np.inf) / reader.fps <= NEAR_SEC)
    cells = [
        f"{len(videos)}",
        f"{len(near)}",
        f"{num_ticks / len(videos):.1f}",
        f"{np.mean(near):.0%}",
        f"{np.mean(near_even):.0%}",
        f"{np.median(distances):.2f} s",
        f"{1000 * reading_sec / num_frames:.1f} s",
        f"{finding_sec / len(videos):.3f} s",
    ]
    return " | ".join(cells)


if __name__ == "__main__":
    heads = ["videos", "n", "ends", "ticks each", "within 0.25 s", "even ticks", "median distance"]
    print(f"| {' | '.join([*heads, 'read 1,000 frames', 'find'])} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, videos in (("simulated", simulated()), ("real", real())):
        print(f"| {name} | {score(videos)} |", flush=True)
