"""Conversations: samples as pictures and chat turns, the form that ProcVLM's own training and Qwen-VL's read.

Knows that form (`image`, `conversations`, one `<image>` per picture, paths relative to the folder). Does not know how
samples are made. Every row also carries the sample's own fields.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from dataset.files import json_lines
from dataset.prompts import IMAGE_MARK
from dataset.sample_file import VqaSample
from dataset.video import VideoReader

CONVERSATIONS = "conversations.jsonl"
JPEG_QUALITY = 95


def write_conversations(folder: str | Path, samples: Sequence[VqaSample]) -> int:
    """Write `conversations.jsonl` and the pictures of every frame in a window; returns the number of pictures.

    The folder appears in one step. An earlier export is replaced as a whole.

    Raises:
        ValueError: The folder holds other files than an export, or a text contains the picture mark.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / CONVERSATIONS).exists())):
        raise ValueError(f"{folder} exists and is no earlier export; name another folder")
    for sample in samples:
        if IMAGE_MARK in sample.prompt + sample.completion:
            raise ValueError(f'a text of {sample.episode} holds "{IMAGE_MARK}", which marks pictures; reword it')
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        pictures = _write_pictures(partial, samples)
        rows = json_lines(_conversation(sample, pictures) for sample in samples)
        (partial / CONVERSATIONS).write_text(rows, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return len(pictures)


def _conversation(sample: VqaSample, pictures: dict[tuple[str, int], str]) -> dict[str, Any]:
    images = [pictures[sample.video, index] for index in sample.window_frame_indices]
    row = {
        "image": images,
        "conversations": [
            {"from": "human", "value": f"{IMAGE_MARK}\n" * len(images) + sample.prompt},
            {"from": "gpt", "value": sample.completion},
        ],
    }
    return row | {key: value for key, value in asdict(sample).items() if key not in ("prompt", "completion")}


def _write_pictures(folder: Path, samples: Sequence[VqaSample]) -> dict[tuple[str, int], str]:
    """Write every frame of the windows once; returns its path relative to the folder by (video, frame)."""
    needed: dict[str, set[int]] = {}
    for sample in samples:
        needed.setdefault(sample.video, set()).update(sample.window_frame_indices)
    pictures = {}
    for place, (video, indices) in enumerate(needed.items()):
        home = Path("images") / f"{place:03d}-{Path(video).stem}"
        (folder / home).mkdir(parents=True)
        for index, frame in VideoReader(video).iter_frames(indices):
            name = home / f"{index:06d}.jpg"
            Image.fromarray(frame).save(folder / name, quality=JPEG_QUALITY)
            pictures[video, index] = name.as_posix()
    return pictures
