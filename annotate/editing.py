"""Edits of a list of stages: mark, split, move, rename and so on; each returns a new, still contiguous tuple.

Knows stages and frame numbers. Does not know files, the page or undo (the page keeps the earlier tuples). Stage numbers
are 0-based positions in the tuple; messages count from 1 and name the last frame of a stage, as the page does.
"""

from __future__ import annotations

from dataclasses import replace

from dataset.annotation import DELETE_MARK, Stage

Stages = tuple[Stage, ...]


def mark_end(stages: Stages, end: int, subtask: str, num_frames: int) -> Stages:
    """End a stage with the text `subtask` at frame `end` (half-open).

    After the last stage this appends a stage that starts where the last one ends. Inside a stage it splits that stage,
    and the text goes to the first half. The text "/delete" makes an excluded stage without a text.
    """
    if not 0 < end <= num_frames:
        raise ValueError(f"a stage cannot end after frame {end - 1}; the video has frames 0 to {num_frames - 1}")
    last_end = stages[-1].end if stages else 0
    if end <= last_end:
        return split(stages, end, subtask)
    return (*stages, _stage(subtask, last_end, end))


def split(stages: Stages, frame: int, subtask: str) -> Stages:
    """Split the stage around `frame`: the frames before it get the text `subtask`, the rest keeps its text."""
    for number, stage in enumerate(stages):
        if stage.end == frame:
            raise ValueError(
                f'stage {number + 1} "{stage.subtask}" already ends at frame {frame - 1}; edit its text, or choose '
                "another frame"
            )
        if stage.start < frame < stage.end:
            first = _stage(subtask, stage.start, frame)
            return _renumbered((*stages[:number], first, replace(stage, start=frame), *stages[number + 1 :]), number, 1)
    raise ValueError(f"frame {frame} is inside no stage; choose a frame between the start and the end of one")


def move_boundary(stages: Stages, number: int, end: int, num_frames: int) -> Stages:
    """Move the end of stage `number`, and the start of the next one, to frame `end` (half-open); each keeps a frame."""
    stage = _at(stages, number)
    last = num_frames if number == len(stages) - 1 else stages[number + 1].end - 1
    if not stage.start < end <= last:
        raise ValueError(
            f'stage {number + 1} "{stage.subtask}" cannot end at frame {end - 1}; choose a frame from {stage.start} to '
            f"{last - 1}, so that every stage keeps a frame"
        )
    moved = [*stages[:number], replace(stage, end=end)]
    if number + 1 < len(stages):
        moved.append(replace(stages[number + 1], start=end))
    return (*moved, *stages[number + 2 :])


def nudge_boundary(stages: Stages, number: int, frames: int, num_frames: int) -> Stages:
    """Move the end of stage `number` by some frames; see `move_boundary`."""
    return move_boundary(stages, number, _at(stages, number).end + frames, num_frames)


def remove_boundary(stages: Stages, number: int) -> Stages:
    """Remove the end of stage `number`: its frames join the next stage; the last stage becomes unmarked frames."""
    stage = _at(stages, number)
    if number == len(stages) - 1:
        return stages[:number]
    joined = (*stages[:number], replace(stages[number + 1], start=stage.start), *stages[number + 2 :])
    return _renumbered(joined, number, -1)


def rename(stages: Stages, number: int, subtask: str) -> Stages:
    """Give stage `number` another text; "/delete" excludes it."""
    stage, text = _at(stages, number), subtask.strip()
    renamed = replace(stage, subtask="", excluded=True) if text == DELETE_MARK else replace(stage, subtask=text)
    return (*stages[:number], renamed, *stages[number + 1 :])


def exclude(stages: Stages, number: int, excluded: bool) -> Stages:
    """Leave stage `number` out of the samples, or include it again; one without a text must be described first."""
    stage = _at(stages, number)
    if not excluded and not stage.subtask:
        raise ValueError(f"stage {number + 1} has no text; describe the sub-task, then include the stage again")
    return (*stages[:number], replace(stage, excluded=excluded), *stages[number + 1 :])


def toggle_excluded(stages: Stages, number: int) -> Stages:
    """Leave stage `number` out, or include it again; see `exclude`."""
    return exclude(stages, number, not _at(stages, number).excluded)


def fall_back(stages: Stages, number: int) -> Stages:
    """Mark that the attempt fails at the end of stage `number`: each call chooses the next stage to fall back to.

    The choices are the stage itself, the kept stages before it from the last to the first, then none. The stages that
    follow do again what was lost.
    """
    stage = _at(stages, number)
    choices = [None, *(k + 1 for k in range(number, -1, -1) if not stages[k].excluded)]
    if stage.excluded:
        raise ValueError(f"stage {number + 1} is left out; include it again before it can fall back")
    chosen = choices.index(stage.falls_back_to) if stage.falls_back_to in choices else 0
    changed = replace(stage, falls_back_to=choices[(chosen + 1) % len(choices)])
    return (*stages[:number], changed, *stages[number + 1 :])


def rescale(stages: Stages, from_frames: int, to_frames: int) -> Stages:
    """Stretch the stages of a video of `from_frames` frames over one of `to_frames`; each keeps a frame at least."""
    if to_frames < len(stages):
        raise ValueError(f"{len(stages)} stages do not fit into {to_frames} frames; mark them by hand")
    moved, start = [], 0
    for number, stage in enumerate(stages):
        left = len(stages) - number - 1
        end = min(max(round(stage.end * to_frames / from_frames), start + 1), to_frames - left)
        moved.append(replace(stage, start=start, end=end))
        start = end
    return tuple(moved)


def stage_at(stages: Stages, frame: int) -> int:
    """Return the number of the stage around a frame; of the last stage where no stage is around it."""
    return next((number for number, stage in enumerate(stages) if frame < stage.end), len(stages) - 1)


def _at(stages: Stages, number: int) -> Stage:
    if not stages:
        raise ValueError("no stage is marked yet; mark one first")
    if not 0 <= number < len(stages):
        raise ValueError(f"there is no stage {number + 1}; {len(stages)} are marked, mark one first")
    return stages[number]


def _renumbered(stages: Stages, number: int, shift: int) -> Stages:
    """Shift `falls_back_to` (which counts from 1) where it names a stage after position `number`."""
    return tuple(
        replace(stage, falls_back_to=stage.falls_back_to + shift)
        if stage.falls_back_to is not None and stage.falls_back_to > number + 1
        else stage
        for stage in stages
    )


def _stage(subtask: str, start: int, end: int) -> Stage:
    text = subtask.strip()
    return Stage("", start, end, excluded=True) if text == DELETE_MARK else Stage(text, start, end)
