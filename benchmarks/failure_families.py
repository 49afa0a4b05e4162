"""Families for `one_shot.py` that show what a failure among the demonstrations does to successes.

    python benchmarks/failure_families.py runs/failure_families

Each is the bundled demo with one of its two failures as a further demonstration, marked as docs/annotation_guide.md
says: without measured progress, the steps that were attempted, and an end on the scale of the success. Held out are the
five successes. `freezes`: the arm stops halfway to the goal. `never_closes`: the gripper passes the puck by
and moves on.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from dataset.annotation import Annotation
from dataset.annotation_file import read_annotation, write_annotation
from dataset.command_line import run_command
from dataset.labels import step_levels

DEMO = Path(__file__).resolve().parents[1] / "recipes" / "demo"


def mark_freezing(failure: Annotation, levels: tuple[float, ...]) -> Annotation:
    """Mark the arm that stops halfway through the last step."""
    return replace(failure, final_progress=round((levels[-2] + levels[-1]) / 2), measured_progress=None)


def mark_never_closing(failure: Annotation, levels: tuple[float, ...]) -> Annotation:
    """Mark the gripper that reached the puck (step 1) and attempted step 2: it ends like step 1."""
    return replace(failure, final_progress=round(levels[1]), measured_progress=None)


FAMILIES = {"freezes": ("failure_stop", mark_freezing), "never_closes": ("failure_open", mark_never_closing)}


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", help="folder for the families; files in it are replaced")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Write the families."""
    levels = step_levels(read_annotation(DEMO / "demo.json"))
    for name, (failure, mark) in FAMILIES.items():
        family = Path(arguments.output) / name
        copy(DEMO / "demo.json", family / "demo.json")
        source = DEMO / "held_out" / f"{failure}.json"
        copy(source, family / "more" / f"{failure}.json", mark(read_annotation(source), levels))
        for path in sorted((DEMO / "held_out").glob("*.json")):
            if read_annotation(path).success:
                copy(path, family / "held_out" / path.name)
        print(f"wrote {family}")


def copy(source: Path, target: Path, annotation: Annotation | None = None) -> None:
    """Write an annotation into another folder; its video stays where it is."""
    annotation = annotation or read_annotation(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_annotation(
        target, replace(annotation, video=os.path.relpath(source.parent / annotation.video, target.parent))
    )


if __name__ == "__main__":
    run_command(make_parser(), main)
