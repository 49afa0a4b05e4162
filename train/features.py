"""Frames prepared once: vision features of each frame (or its pixels), in memory or memory-mapped on disk.

Knows videos, frames and tensors. Does not know samples, windows or the trainer.

In memory if everything fits the budget; else in a cache folder, one set of files per video, which the next run reuses.
The key of a set is everything that its content depends on: the fingerprint of the video, the weights of the vision
tower, the pixel budget and the number type. Frames are encoded in groups of 16 neighbours. A group is marked as written
after its numbers are on disk: a killed run loses at most one group, and the next run encodes the same groups.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from dataset.files import write_text_atomically
from dataset.video import VideoReader, fingerprint
from infer.model.model import ProgressModel
from infer.model.window_inputs import FrameFeatures
from train.recipe import FeaturesSection

GROUP = 16  # frames encoded together
FrameKey = tuple[str, int]  # video, frame index


@dataclass(frozen=True)
class PreparedFrame:
    """One frame, ready for the step.

    Args:
        values: Float tensor: vision features, shape (1 + DeepStack layers, tokens, hidden); with LoRA on the vision
            tower the preprocessed pixels, shape (1, patches, patch_dim).
        grid_thw: Patches in time, height and width.
    """

    values: torch.Tensor
    grid_thw: tuple[int, int, int]

    def features(self, device: torch.device) -> FrameFeatures:
        """Return the vision features on a device."""
        embedding, *deepstack = self.values.to(device, non_blocking=True)
        return FrameFeatures(embedding, tuple(deepstack), self.grid_thw)


@dataclass(frozen=True)
class Share:
    """The frames that this process prepares: groups `rank`, `rank + count`, ... of every video."""

    rank: int = 0
    count: int = 1


def prepare_frames(
    model: ProgressModel,
    needed: Mapping[str, set[int]],
    section: FeaturesSection,
    as_pixels: bool = False,
    share: Share | None = None,
) -> Mapping[FrameKey, PreparedFrame]:
    """Prepare every needed frame once.

    Args:
        model: The model; its vision tower encodes.
        needed: Per video the frames to prepare.
        section: Budget and cache folder.
        as_pixels: Prepare pixels instead of features, for a vision tower that is trained.
        share: With several processes, the part of this one; they share the cache. The caller waits until all have
            finished before it uses a frame.
    """
    share = share or Share()
    first_video, frames = next(iter(needed.items()))
    probe = prepare_group(model, VideoReader(first_video).frames([min(frames)]), as_pixels)[0]
    total = sum(map(len, needed.values()))
    size = total * probe.values.numel() * probe.values.element_size()  # exact for videos of one shape
    in_memory = share.count == 1 and size <= section.memory_gb * 1e9
    kind = "preprocessing" if as_pixels else "encoding"
    where = "memory" if in_memory else f"{section.cache} (memory-mapped, reused by the next run)"
    print(f"{kind} {total} frames once: {size / 1e6:.1f} MB in {where}")
    tower = None if in_memory else vision_fingerprint(model)
    store: dict[str, _VideoOnDisk] = {}
    memory: dict[FrameKey, PreparedFrame] = {}
    with tqdm(total=total, desc=f"{kind} frames", unit="frame", disable=share.rank > 0) as bar:
        for video, indices in needed.items():
            if in_memory:
                for group, prepared in _groups(model, video, sorted(indices), as_pixels):
                    memory.update(((video, i), frame) for i, frame in zip(group, prepared, strict=True))
                    bar.update(len(group))
                continue
            on_disk = store[video] = _VideoOnDisk(model, video, section.cache, tower, as_pixels)
            missing = on_disk.missing(indices, share)
            bar.update(len(indices) - len(missing))
            for group, prepared in _groups(model, video, missing, as_pixels, aligned=True):
                on_disk.write(group, prepared)
                bar.update(len(group))
    return memory if in_memory else _Stored(store)


def vision_fingerprint(model: ProgressModel) -> str:
    """Return a hash of the weights of the vision tower: bases with the same tower share a cache."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.base.model.visual.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


class _Stored(Mapping[FrameKey, PreparedFrame]):
    """The frames of several videos on disk, read on access."""

    def __init__(self, videos: dict[str, _VideoOnDisk]) -> None:
        self._videos = videos

    def __getitem__(self, key: FrameKey) -> PreparedFrame:
        return self._videos[key[0]].read(key[1])

    def __iter__(self) -> Iterator[FrameKey]:
        return ((video, index) for video, stored in self._videos.items() for index in stored.written())

    def __len__(self) -> int:
        return sum(len(stored.written()) for stored in self._videos.values())


class _VideoOnDisk:
    """One video's frames in the cache: `KEY.json` (shape), `KEY.values` (numbers, sparse), `KEY.written` (flags)."""

    def __init__(self, model: ProgressModel, video: str, folder: str, tower: str | None, as_pixels: bool) -> None:
        reader = VideoReader(video)
        size = model.image_processor.size
        description: dict[str, Any] = {
            "video": fingerprint(video),
            "vision_tower": None if as_pixels else tower,
            "pixels": [size["shortest_edge"], size["longest_edge"]],
            "kind": "pixels" if as_pixels else "features",
            "dtype": str(model.base.dtype),
        }
        if reader.backend != "pyav":  # its colours are rounded differently
            description["video_backend"] = reader.backend
        if reader.pixel_aspect != 1 or reader.path.is_dir():
            description["reader"] = 2  # of square pixels and scaled 16-bit grey; earlier features are not these
        key = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:32]
        base = Path(folder) / key
        self._path = base.with_suffix(".values")
        shape_file = base.with_suffix(".json")
        if not shape_file.exists():
            probe = prepare_group(model, reader.frames([0]), as_pixels)[0]
            description |= {
                "shape": [len(reader), *probe.values.shape],
                "stored_as": str(probe.values.dtype),
                "grid_thw": list(probe.grid_thw),
            }
            write_text_atomically(shape_file, json.dumps(description, indent=2) + "\n")
        stored = json.loads(shape_file.read_text(encoding="utf-8"))
        self._grid = tuple(stored["grid_thw"])
        self._dtype = getattr(torch, stored["stored_as"].removeprefix("torch."))
        shape = tuple(stored["shape"])
        self._values = _mapped(self._path, shape, np.dtype(f"i{self._dtype.itemsize}"))
        self._written = _mapped(base.with_suffix(".written"), shape[:1], np.dtype("u1"))

    def missing(self, indices: set[int], share: Share) -> list[int]:
        """Return the frames that this process has yet to prepare, rising."""
        return [i for i in sorted(indices) if not self._written[i] and i // GROUP % share.count == share.rank]

    def written(self) -> list[int]:
        """Return the frames that are on disk."""
        return np.flatnonzero(self._written).tolist()

    def write(self, group: Sequence[int], prepared: Sequence[PreparedFrame]) -> None:
        """Store a group: numbers first, then the flags that mark them as written."""
        for index, frame in zip(group, prepared, strict=True):
            if frame.grid_thw != self._grid:
                raise ValueError(f"{self._path}: frame {index} has another size than frame 0; re-encode the video")
            self._values[index] = frame.values.cpu().view(_integer_of(self._dtype)).numpy()
        self._values.flush()
        self._written[list(group)] = 1

    def read(self, index: int) -> PreparedFrame:
        """Return one frame; its tensor is a view of the file, read on access."""
        if not self._written[index]:
            raise KeyError(f"frame {index} is not in {self._path}")
        return PreparedFrame(torch.from_numpy(self._values[index]).view(self._dtype), self._grid)


def _groups(
    model: ProgressModel, video: str, indices: Sequence[int], as_pixels: bool, aligned: bool = False
) -> Iterator[tuple[list[int], list[PreparedFrame]]]:
    """Yield frames in groups of at most `GROUP`; aligned groups depend on the frame numbers only."""
    if not indices:
        return
    frames = VideoReader(video).iter_frames(indices)
    position = 0
    while position < len(indices):
        group = list(indices[position : position + GROUP])
        if aligned:
            group = [index for index in group if index // GROUP == group[0] // GROUP]
        pixels = np.stack([next(frames)[1] for _ in group])
        yield group, prepare_group(model, pixels, as_pixels)
        position += len(group)


def prepare_group(model: ProgressModel, frames: np.ndarray, as_pixels: bool) -> list[PreparedFrame]:
    """Encode (or with `as_pixels` only preprocess) RGB uint8 frames, shape (T, H, W, 3), together."""
    if not as_pixels:
        return [
            PreparedFrame(torch.stack([features.embedding, *features.deepstack]).cpu(), features.grid_thw)
            for features in model.encode_frames(frames)
        ]
    pixels = model.preprocess(frames)
    grids = [tuple(grid) for grid in pixels["image_grid_thw"].tolist()]
    rows = pixels["pixel_values"].split([math.prod(grid) for grid in grids])
    return [PreparedFrame(patches.clone()[None], grid) for patches, grid in zip(rows, grids, strict=True)]


def _mapped(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    """Open a file of zeros (sparse) for reading and writing, shared between processes."""
    size = math.prod(shape) * dtype.itemsize
    with path.open("ab") as file:
        if file.tell() < size:
            file.truncate(size)
    return np.memmap(path, dtype=dtype, mode="r+", shape=shape)


def _integer_of(dtype: torch.dtype) -> torch.dtype:
    return {2: torch.int16, 4: torch.int32}[dtype.itemsize]
