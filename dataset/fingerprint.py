"""Fingerprints: which recording a file is, independent of its name and folder.

Knows bytes and frame times. Does not know how videos are decoded (see `video`).

The form is `v2:SIZE:HASH`. It covers the size, the time and kind of every frame, and the first and last MiB. The size
makes the search for a moved file cheap.
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


def size_of(fingerprint: str) -> int | None:
    """Return the size in bytes that a fingerprint holds; None where it has another form."""
    form, _, rest = fingerprint.partition(":")
    size, _, _ = rest.partition(":")
    return int(size) if form == "v2" and size.isdigit() else None


def fingerprint_problem(fingerprint: str) -> str | None:
    """Return what is wrong with a stored fingerprint; None where its form is `v2:...`."""
    if not fingerprint.startswith("sha256:"):
        return None
    return (
        f'fingerprint "{fingerprint}" has a form that is no longer read; annotate the video again, or replace it by '
        """what `python -c "import dataset; print(dataset.fingerprint('VIDEO'))"` prints"""
    )


def _edge(path: Path, tail: bool) -> bytes:
    with path.open("rb") as file:
        if not tail:
            return file.read(EDGE_BYTES)
        file.seek(max(path.stat().st_size - EDGE_BYTES, 0))
        return file.read()
