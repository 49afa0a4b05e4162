"""Fingerprints: which recording a file is, whatever its name and folder.

Knows bytes and frame times; does not know how videos are decoded (see `video`).

Two forms are read. `v2:SIZE:HASH` covers the size, the time and kind of every frame and the first and last MiB; its
size makes the search for a moved file cheap. `sha256:HASH`, written by earlier versions, lacks the frame times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

EDGE_BYTES = 1 << 20


def content_fingerprint(files: Sequence[Path], times: Iterable[int], keyframe_times: Iterable[int]) -> str:
    """Return the fingerprint of a recording.

    Args:
        files: The video file, or the pictures of a folder in order.
        times: Presentation time of every frame, in the file's own units.
        keyframe_times: Those of them that are keyframes.

    Raises:
        OSError: A file cannot be read.
    """
    sizes = [file.stat().st_size for file in files]
    digest = hashlib.sha256(repr((sizes, list(times), list(keyframe_times))).encode())
    digest.update(_edge(files[0], tail=False))
    digest.update(_edge(files[-1], tail=True))
    return f"v2:{sum(sizes)}:{digest.hexdigest()[:32]}"


def edge_fingerprint(path: Path) -> str:
    """Return the form without frame times, to compare with annotations of earlier versions."""
    digest = hashlib.sha256(str(path.stat().st_size).encode())
    digest.update(_edge(path, tail=False))
    digest.update(_edge(path, tail=True))
    return f"sha256:{digest.hexdigest()[:32]}"


def size_of(stored: str) -> int | None:
    """Return the size in bytes that a fingerprint tells; None where its form does not."""
    parts = stored.split(":")
    return int(parts[1]) if len(parts) == 3 and parts[0] == "v2" and parts[1].isdigit() else None


def _edge(path: Path, tail: bool) -> bytes:
    with path.open("rb") as file:
        if not tail:
            return file.read(EDGE_BYTES)
        file.seek(max(path.stat().st_size - EDGE_BYTES, 0))
        return file.read()
