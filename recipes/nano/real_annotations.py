"""Turn a list of videos with stage ends into annotations.

    python recipes/nano/real_annotations.py VIDEOS/annotations.json --output runs/tuck_box/annotations

The list is a JSON array with, per video, `file`, `task`, `outcome` ("success" or "failure"), `stages` (`text`, and
`end`, the last frame of the stage, or null where it was not reached) and `stages_done`; the videos lie beside it. Each
stage counts alike: a failure that finished 3 of 5 ends at 60 %. Knows lists and annotations; does not know models.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from dataset.annotation import Annotation, Stage
from dataset.annotation_file import write_annotation
from dataset.command_line import run_command
from dataset.video import VideoReader, fingerprint


def annotation_from_row(row: dict[str, Any], video: Path, folder: Path) -> Annotation:
    """Build the annotation of one video, to be written into `folder`.

    Where no stage was finished, the first one lasts for the whole video and progress stays at 0 %.
    """
    reader = VideoReader(video)
    stages, start = [], 0
    for stage in row["stages"]:
        if stage["end"] is not None:
            stages.append(Stage(stage["text"], start, stage["end"] + 1))
            start = stage["end"] + 1
    if not stages:
        stages.append(Stage(row["stages"][0]["text"], 0, len(reader)))
    success = row["outcome"] == "success"
    return Annotation(
        video=os.path.relpath(video, folder),
        fingerprint=fingerprint(video),
        num_frames=len(reader),
        fps=reader.fps,
        task=row["task"],
        stages=tuple(stages),
        success=success,
        final_progress=100.0 if success else round(100.0 * row["stages_done"] / len(row["stages"]), 2),
    )


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list", help="JSON list of videos, beside them")
    parser.add_argument("--output", required=True, help="folder for the annotations, one per video with stages")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Write one annotation per video that has stages."""
    source, folder = Path(arguments.list), Path(arguments.output)
    for row in json.loads(source.read_text(encoding="utf-8")):
        if not row.get("stages"):
            print(f"{row['file']}: no stages, left out")
            continue
        path = folder / f"{Path(row['file']).stem}.json"
        write_annotation(path, annotation_from_row(row, source.parent / row["file"], folder))
        print(f"wrote {path}")


if __name__ == "__main__":
    run_command(make_parser(), main)
