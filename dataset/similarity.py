"""Similarity of neighbouring frames, for the visual labels and the check for still stretches.

Knows pixels and perceptual hashes. Does not know stages or labels. Results are cached by the video's fingerprint, so
each video is decoded once.
"""

from __future__ import annotations

import io
import os
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.fft import dctn

from dataset.files import write_bytes_atomically
from dataset.video import VideoReader

HASH_SIDE = 32  # pixels
HASH_BITS = 64
CACHE_VERSION = 3
STILL_BITS = 1  # hash bits by which frames of a still stretch may differ


def frame_hashes(reader: VideoReader) -> np.ndarray:
    """Return the 64-bit perceptual hash of every frame; bool, shape (num_frames, 64).

    The DCT hash that the ImageHash library calls `phash`: of the picture squeezed to 32 x 32, the 8 x 8 lowest
    frequencies of the two-dimensional DCT-II, each compared with their median. Own code, because that library takes one
    RGB picture at a time: 2 to 5 times the CPU time of this, decoding included. A test compares the bits.
    """
    hashes = np.empty((len(reader), HASH_BITS), dtype=bool)
    squares = (square for _, square in reader.iter_luma(HASH_SIDE))
    for first in range(0, len(reader), 256):
        chunk = np.stack(list(islice(squares, 256))).astype(np.float64)
        low = dctn(chunk, axes=(1, 2))[:, :8, :8].reshape(len(chunk), HASH_BITS)
        hashes[first : first + len(chunk)] = low > np.median(low, axis=1, keepdims=True)
    return hashes


def similarity_of_hashes(hashes: np.ndarray) -> np.ndarray:
    """Return `sim(i - 1, i)`, the share of equal hash bits, 0 to 1; float64, shape (num_frames,); 1 for frame 0."""
    similarity = np.ones(len(hashes))
    similarity[1:] = 1.0 - np.count_nonzero(hashes[1:] != hashes[:-1], axis=1) / HASH_BITS
    return similarity


def frame_similarity(reader: VideoReader) -> np.ndarray:
    """Return `similarity_of_hashes(cached_hashes(reader))`: in O(frames), and without decoding when cached."""
    return similarity_of_hashes(cached_hashes(reader))


def longest_still_run(hashes: np.ndarray) -> tuple[int, int]:
    """Return first frame and length of the longest run of frames that all look like its first one.

    Args:
        hashes: Perceptual hashes, bool, shape (num_frames, bits).
    """
    packed = np.packbits(hashes, axis=1)
    best, first = (0, 0), 0
    while first + best[1] < len(packed):  # later starts leave too few frames for a longer run
        length = _alike(packed[first : first + best[1] + 1])
        while length > best[1]:  # longer than any before: follow it to its end, in growing steps
            best = (first, length)
            length = _alike(packed[first : first + 2 * length])
        first += 1
    return best


def _alike(packed: np.ndarray) -> int:
    """Return how many frames from the first one on look like it; packed hashes, uint8."""
    others = np.bitwise_count(packed ^ packed[0]).sum(axis=1) > STILL_BITS
    return int(others.argmax()) if others.any() else len(packed)


def cached_hashes(reader: VideoReader) -> np.ndarray:
    """Return `frame_hashes` from the cache, filling it when it lacks this recording."""
    path = cache_folder() / f"{reader.fingerprint.replace(':', '-')}-phash{CACHE_VERSION}.npy"
    hashes = _load(path)
    if hashes is not None and hashes.shape == (len(reader), HASH_BITS):
        return hashes
    hashes = frame_hashes(reader)
    buffer = io.BytesIO()
    np.save(buffer, hashes)
    try:
        write_bytes_atomically(path, buffer.getvalue())
    except OSError as error:
        warnings.warn(
            f"{path.parent} cannot be written ({error.strerror}), so that videos are decoded again each time; set "
            "ONETAKE_CACHE to a folder that can",
            stacklevel=2,
        )
    return hashes


def cache_folder() -> Path:
    """Return the folder of the cached hashes: `$ONETAKE_CACHE`, else `onetake` in the user's cache folder."""
    folder = os.environ.get("ONETAKE_CACHE")
    if folder:
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onetake"


def _load(path: Path) -> np.ndarray | None:
    """Return a cached array; None if there is none or the file is damaged."""
    try:
        hashes: np.ndarray = np.load(path)
        return hashes
    except (OSError, EOFError, ValueError):
        return None
