"""Folds: a demonstration split so that a part of every stage is held out in turn.

Knows annotations and samples; does not know pixels, models or recipes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dataset.annotation import Annotation
from dataset.sample_file import VqaSample

FINISHED = "(finished)"


@dataclass(frozen=True)
class Part:
    """A piece of one stage that is held out as a whole.

    Args:
        stage: The stage's text; `FINISHED` for the frames after the last one.
        number: Which fold holds it out, 0-based.
        count: Number of folds.
        start, end: Frames, half-open.
    """

    stage: str
    number: int
    count: int
    start: int
    end: int

    @property
    def name(self) -> str:
        """Its name for people: "middle third of ..."."""
        if self.count == 2:
            place = ("first half", "second half")[self.number]
        elif self.count == 3:
            place = ("first third", "middle third", "last third")[self.number]
        else:
            place = f"part {self.number + 1} of {self.count}"
        return f"{place} of the finished frames" if self.stage == FINISHED else f'{place} of "{self.stage}"'


def split_stages(annotation: Annotation, count: int) -> list[Part]:
    """Return the parts in order of time: every kept stage, and the tail, in `count` contiguous parts.

    A stage with fewer frames has fewer parts.
    """
    ranges = [(stage.subtask, stage.start, stage.end) for stage in annotation.kept_stages]
    if annotation.last_stage_end < annotation.num_frames:
        ranges.append((FINISHED, annotation.last_stage_end, annotation.num_frames))
    parts = []
    for name, start, end in ranges:
        edges = [start + (end - start) * number // count for number in range(count + 1)]
        parts += [
            Part(name, number, count, low, high) for number, (low, high) in enumerate(pairwise(edges)) if low < high
        ]
    return parts


def without_fold(samples: Sequence[VqaSample], parts: Sequence[Part], number: int) -> list[VqaSample]:
    """Return the samples whose current frame is not held out in fold `number`.

    Their windows may still hold held-out frames as earlier frames.
    """
    held_out = {frame for part in parts if part.number == number for frame in range(part.start, part.end)}
    return [sample for sample in samples if sample.frame_index not in held_out]
