"""What a player may show otherwise than it is read: interlaced fields, transparency, the clean aperture of MP4 files.

Knows decoded frames and the boxes of MP4 files. Does not know how frames are found.
"""

from __future__ import annotations

import struct
from pathlib import Path

from dataset.ffmpeg import Frame, has_transparency, is_interlaced

INTERLACED = "is interlaced, and every frame is read with both fields; deinterlace it: `ffmpeg -i IN -vf bwdif OUT.mp4`"
TRANSPARENT = (
    "has transparent parts, which are read with their stored colours; put it on a background with ffmpeg first"
)


def video_notices(path: Path, first: Frame) -> list[str]:
    """Return what is not applied when a video is read, in sentences without their subject.

    Args:
        path: The file.
        first: Its first frame.
    """
    notices = [INTERLACED] if is_interlaced(first) else []
    if has_transparency(path, first):
        notices.append(TRANSPARENT)
    aperture, stored = clean_aperture(path), (first.width, first.height)
    if aperture is not None and aperture != stored:
        notices.append(
            f"has a clean aperture of {aperture[0]}x{aperture[1]} (clap), and the whole picture of "
            f"{stored[0]}x{stored[1]} is read; crop it: `ffmpeg -i IN -vf crop={aperture[0]}:{aperture[1]} OUT.mp4`"
        )
    return notices


def clean_aperture(path: Path) -> tuple[int, int] | None:
    """Return width and height of the clean aperture in an MP4 or QuickTime file; None if it has none."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if not all(32 <= byte < 127 for byte in kind):
                return None  # no file of boxes
            body = size - 8
            if size == 1:
                body = struct.unpack(">Q", file.read(8))[0] - 16
            if kind == b"moov":
                return _aperture_in(file.read(body))
            if body < 0:
                return None  # the last box
            file.seek(body, 1)
    return None


def _aperture_in(moov: bytes) -> tuple[int, int] | None:
    place = moov.find(b"clap")
    if place < 0 or len(moov) < place + 20:
        return None
    width, width_unit, height, height_unit = struct.unpack(">4I", moov[place + 4 : place + 20])
    return (width // width_unit, height // height_unit) if width_unit and height_unit else None
