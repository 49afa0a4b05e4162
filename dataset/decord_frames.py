"""decord as a decoder: every file is compared with the exact reader when it is opened, and refused where they differ.

Knows decord and which of its frames are likely to be wrong. Does not know how the exact reader works.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dataset.ffmpeg import Box, VideoError, square_size
from dataset.image_folder import fit_into

if TYPE_CHECKING:
    from dataset.video import VideoReader

DECORD_TOLERANCE = 24  # of 255, in the mean of a block of pixels, before decord's frame counts as another one


def open_decord(reader: VideoReader) -> Any:
    """Open the file with decord; raise a VideoError where its frames differ from the index."""
    if reader.path.is_dir():
        raise VideoError(f'{reader.path}: decord reads no folder of pictures; use video backend "pyav"')
    try:
        import decord
    except ImportError:
        raise VideoError(
            'video backend "decord" is not installed (its wheels are for Linux on x86-64); use "pyav"'
        ) from None
    try:
        video = decord.VideoReader(str(reader.path), num_threads=1)
    except decord.DECORDError as error:
        reason = str(error).splitlines()[0]
        raise VideoError(f'{reader.path}: decord cannot open it ({reason}); use video backend "pyav"') from None
    if len(video) != len(reader):
        raise VideoError(
            f'{reader.path}: decord counts {len(video)} frames, the file has {len(reader)}; use video backend "pyav"'
        )
    probes = _decord_probes(reader)
    exact = {index: _blocks(frame) for index, frame in reader.iter_frames(probes)}
    for index in np.random.default_rng(0).permutation(probes).tolist():  # shuffled: that is where decord goes wrong
        got = _blocks(fitted(video[index].asnumpy(), None, reader.pixel_aspect))
        if got.shape != exact[index].shape or np.abs(got - exact[index]).max() > DECORD_TOLERANCE:
            raise VideoError(
                f'{reader.path}: decord returns another picture for frame {index}; use video backend "pyav"'
            )
    return video


def fitted(frame: np.ndarray, fit: Box | None, pixel_aspect: Fraction) -> np.ndarray:
    """Return a picture with square pixels, scaled down into the box."""
    image = Image.fromarray(frame)
    if pixel_aspect != 1:
        image = image.resize(square_size(image.width, image.height, pixel_aspect), Image.Resampling.BICUBIC)
    return np.asarray(fit_into(image, fit))


def _decord_probes(reader: VideoReader) -> list[int]:
    """Return the frames to compare: around keyframes and at the end, where decord slips, and a few anywhere; rising."""
    numbers, count = reader.keyframe_numbers, len(reader)
    chosen = [numbers[round(place)] for place in np.linspace(0, len(numbers) - 1, min(len(numbers), 6))]
    probes = {keyframe + offset for keyframe in chosen for offset in range(-4, 3)} | {count - 3, count - 2, count - 1}
    probes |= set(np.random.default_rng(1).permutation(count)[:8].tolist())
    return sorted(index for index in probes if 0 <= index < count)


def _blocks(frame: np.ndarray) -> np.ndarray:
    """Return a picture's means over blocks of about 8 x 8 pixels: what remains when decoders round differently."""
    size = (max(frame.shape[1] // 8, 1), max(frame.shape[0] // 8, 1))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX), dtype=np.int16)
