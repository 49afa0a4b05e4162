"""Folders of numbered pictures, read as a video: picture i in the order of the numbers is frame i.

Knows picture files and their numbers; does not know video files.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

IMAGE_SUFFIXES = frozenset([".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"])
RATE_FILE = "fps.txt"  # pictures have no times: this file holds the frames per second as one number
_LAST_NUMBER = re.compile(r"(\d+)\D*$")


def is_image_folder(path: str | Path) -> bool:
    """Return whether a folder holds numbered pictures, so that it is one video and not a folder of videos."""
    path = Path(path)
    return path.is_dir() and any(_number(file) is not None for file in path.iterdir())


def image_files(folder: Path) -> list[Path]:
    """Return the numbered pictures of a folder in the order of their numbers.

    Raises:
        ValueError: There is none, or two carry the same number.
    """
    numbered: dict[int, Path] = {}
    for file in sorted(folder.iterdir()):
        number = _number(file)
        if number is None:
            continue
        if number in numbered:
            raise ValueError(f"{numbered[number].name} and {file.name} have the same number; keep one of them")
        numbered[number] = file
    if not numbered:
        kinds = " ".join(sorted(IMAGE_SUFFIXES))
        raise ValueError(f"is a folder without numbered pictures ({kinds}, such as 000001.png); name one video file")
    return [numbered[number] for number in sorted(numbered)]


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

    Raises:
        ValueError: The file is no picture.
    """
    try:
        with Image.open(path) as image:
            if fit is not None:
                image.draft("RGB", (fit[0] * 2, fit[1] * 2))  # JPEG: decode at a fraction of the size
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path.name} cannot be read as a picture ({error}); copy it again") from None
    return np.asarray(fit_into(upright, fit))


def fit_into(image: Image.Image, fit: tuple[int, int] | None) -> Image.Image:
    """Return a picture scaled down to fit the box (width, height); unchanged if it fits or there is no box."""
    if fit is not None:
        image.thumbnail(fit, Image.Resampling.BOX)
    return image


def _number(file: Path) -> int | None:
    match = _LAST_NUMBER.search(file.stem)
    return int(match.group(1)) if match and file.suffix.lower() in IMAGE_SUFFIXES else None
