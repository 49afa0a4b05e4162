"""Folders of numbered pictures, read as a video: picture i in the order of the numbers is frame i.

Knows picture files and the numbers or times in their names. Does not read video files; their endings tell a folder of
videos from one of pictures.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

IMAGE_SUFFIXES = frozenset([".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"])
VIDEO_SUFFIXES = frozenset([
    ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts",
    ".webm", ".wmv",
])  # fmt: skip
RATE_FILE = "fps.txt"  # pictures have no times: this file holds the frames per second as one number
_DIGITS = re.compile(r"\d+")
_CLOCKS = (10**9, 10**12, 10**15, 10**18)  # times since 1970, in s, ms, us, ns: 1 to 2.5 times these
_NANOSECONDS = 9  # digits of a fraction


def is_image_folder(path: str | Path) -> bool:
    """Return whether a folder holds numbered pictures and no videos, so that it is one video and not several."""
    path = Path(path)
    if not path.is_dir():
        return False
    files = list(path.iterdir())
    has_rate = any(file.name == RATE_FILE for file in files)
    return any(map(_is_numbered, files)) and (has_rate or not any(f.suffix.lower() in VIDEO_SUFFIXES for f in files))


def image_files(folder: Path) -> list[Path]:
    """Return the numbered pictures of a folder in the order of the numbers, or of the times, in their names.

    Raises:
        ValueError: There is none, or the names give no clear order.
    """
    files = [file for file in sorted(folder.iterdir()) if _is_numbered(file)]
    if not files:
        kinds = " ".join(sorted(IMAGE_SUFFIXES))
        raise ValueError(f"is a folder without numbered pictures ({kinds}, such as 000001.png); name one video file")
    words = [_DIGITS.findall(file.stem) for file in files]
    if len({_DIGITS.sub("0", file.stem) for file in files}) > 1:
        return _sorted(files, [int(numbers[-1]) for numbers in words])
    orders = [_sorted(files, keys) for keys in _possible_keys(files[0].stem, words)]
    if any(order != orders[0] for order in orders):
        raise ValueError(
            f"the numbers in {files[0].name} and {files[-1].name} can be ordered in two ways; keep the pictures of one "
            "camera in a folder, and number them 000001.png, 000002.png and so on"
        )
    return orders[0]


def _possible_keys(stem: str, words: Sequence[Sequence[str]]) -> Iterator[list[Any]]:
    """Yield what pictures may be sorted by: all numbers in their names; times with a fraction; the last number alone.

    Args:
        stem: One of the names; all are alike but for the numbers.
        words: The digits of the numbers in every name.
    """
    columns = list(zip(*words, strict=True))
    varying = [place for place, column in enumerate(columns) if len(set(column)) > 1] or [0]
    last = varying[-1]
    dotted = last > 0 and [*re.finditer(r"\d+(\D*)", stem)][last - 1].group(1) == "."
    before = [place for place in varying[:-1] if not (dotted and place == last - 1)]
    timed = _is_clock(columns, varying[:-1])
    as_fractions = [(*map(int, numbers[:last]), float(f"0.{numbers[last]}")) for numbers in words]
    same_length = len(set(map(len, columns[last]))) == 1
    if not (timed and dotted):
        yield [tuple(map(int, numbers)) for numbers in words]
    if (timed and dotted) or ((timed or dotted) and not same_length):
        yield as_fractions  # 5.25 is before 5.3, but frame 3 before frame 25
    if before and not timed:
        yield [int(numbers[last]) for numbers in words]  # two cameras: their numbers agree, or contradict


def _sorted(files: Sequence[Path], keys: Sequence[Any]) -> list[Path]:
    order = sorted(range(len(files)), key=keys.__getitem__)
    for one, other in pairwise(order):
        if keys[one] == keys[other]:
            raise ValueError(
                f"{files[one].name} and {files[other].name} have the same number; keep one of them, and the "
                "pictures of another camera in a folder of their own"
            )
    return [files[place] for place in order]


def _is_clock(columns: Sequence[Sequence[str]], before: Sequence[int]) -> bool:
    """Return whether the numbers before the last one that varies are a date or a time, and the last its continuation.

    Args:
        columns: For each place of a number in the names, the digits there of all files.
        before: The places that vary, without the last one.
    """
    if before and len(columns) >= 5 and all(1970 <= int(year) <= 2100 for year in columns[0]):
        return True  # 2026-01-31_10-20-30
    if before and all(len(word) == _NANOSECONDS for word in columns[-1]) and max(map(int, columns[-1])) >= 10**8:
        return True  # 12_500000000
    return any(
        all(19700101 <= int(word) <= 21001231 for word in columns[place])
        or all(any(unit <= int(word) < 2.5 * unit for unit in _CLOCKS) for word in columns[place])
        for place in before
    )


def image_rate(folder: Path) -> float:
    """Return the frames per second in `fps.txt`.

    Raises:
        ValueError: The file is missing or holds no positive number.
    """
    path = folder / RATE_FILE
    if not path.exists():
        raise ValueError(f"a folder of pictures carries no times; write its frames per second into {path}, e.g. 30")
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (rate > 0 and math.isfinite(rate)):
        raise ValueError(f'{path} holds "{text[:40]}"; write one positive number, the frames per second')
    return rate


def read_image(path: Path, fit: tuple[int, int] | None = None) -> np.ndarray:
    """Return a picture as RGB uint8, shape (H, W, 3), upright, scaled down into the box `fit` (width, height).

    16-bit grey is scaled to 8 bits. What is transparent is shown as it is stored.

    Raises:
        ValueError: The file is no picture, or holds values of more than 16 bits.
    """
    try:
        with Image.open(path) as image:
            if fit is not None:
                image.draft("RGB", (fit[0] * 2, fit[1] * 2))  # JPEG: decode at a fraction of the size
            upright = _eight_bits(ImageOps.exif_transpose(image), path).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path.name} cannot be read as a picture ({error}); copy it again") from None
    return np.asarray(fit_into(upright, fit))


def fit_into(image: Image.Image, fit: tuple[int, int] | None) -> Image.Image:
    """Return a picture scaled down to fit the box (width, height); unchanged if it fits or there is no box."""
    if fit is not None:
        image.thumbnail(fit, Image.Resampling.BOX)
    return image


def has_transparency(path: Path) -> bool:
    """Return whether a picture has pixels that are not opaque."""
    with Image.open(path) as image:
        if not image.has_transparency_data:
            return False
        return bool(np.asarray(image.convert("RGBA").getchannel("A")).min() < 255)


def _eight_bits(image: Image.Image, path: Path) -> Image.Image:
    """Return a grey picture of 16 bits as one of 8; others as they are."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError(f"{path.name} holds values of more than 16 bits; save it with 8 or 16 bits per pixel")
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))


def _is_numbered(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES and _DIGITS.search(file.stem) is not None
