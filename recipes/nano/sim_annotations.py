"""Turn the simulator's records into annotations.

    python recipes/nano/sim_annotations.py RECORDS/*.json --videos recipes/demo/held_out

A record (see `simulate.py`) holds the true stage and progress of every frame. The annotation gets the stages as a
person would mark them and, unless named in `--stages_only`, the measured progress of every frame, which is the truth
that recoveries and failures are scored against. Knows records and annotations; does not know the simulator or models.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from dataset.annotation import Annotation, Stage
from dataset.annotation_file import write_annotation
from dataset.command_line import run_command
from dataset.video import VideoReader, fingerprint


def annotation_from_record(record: dict[str, Any], video: Path, measured: bool) -> Annotation:
    """Build the annotation of one simulated clip.

    A success has all stages, each ending where it was completed for good. A failure has the stages that it entered
    before it got no further; the frames after them show the failed state.

    Args:
        record: One JSON document of the simulator.
        video: The clip; the annotation will lie beside it.
        measured: Whether to keep the measured progress of every frame.
    """
    reader = VideoReader(video)
    if len(reader) != record["n_frames"]:
        raise ValueError(f"{video} has {len(reader)} frames, its record {record['n_frames']}; render it again")
    progress = 100.0 * np.array(record["progress"])
    texts = [stage["description"] for stage in record["stages"]]
    if record["success"]:
        ends = [stage["end_frame"] for stage in record["stages"]]
    else:
        index = np.array(record["stage_index"])
        ends = [int(np.argmax(index > stage)) for stage in range(int(index.max()))]
        ends.append(len(reader) - 1 if not ends else min(ends[-1] + 25, len(reader) - 1))
    starts = [0, *ends[:-1]]
    stages = tuple(
        Stage(text, start, end) for text, start, end in zip(texts, starts, ends, strict=False) if end > start
    )
    return Annotation(
        video=video.name,
        fingerprint=fingerprint(video),
        num_frames=len(reader),
        fps=reader.fps,
        task=record["instruction"],
        stages=stages,
        success=record["success"],
        final_progress=100.0 if record["success"] else round(float(min(progress[-1], 99.0)), 2),
        measured_progress=tuple(round(float(value), 2) for value in progress) if measured else None,
    )


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", nargs="+", help="JSON records of the simulator")
    parser.add_argument("--videos", required=True, help="folder of the clips; annotations are written there")
    parser.add_argument("--stages_only", nargs="*", default=[], help="clips whose measured progress is left out")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Write one annotation per record."""
    for path in map(Path, arguments.records):
        video = Path(arguments.videos) / f"{path.stem}.mp4"
        record = json.loads(path.read_text(encoding="utf-8"))
        write_annotation(
            video.with_suffix(".json"), annotation_from_record(record, video, path.stem not in arguments.stages_only)
        )
        print(f"wrote {video.with_suffix('.json')}")


if __name__ == "__main__":
    run_command(make_parser(), main)
