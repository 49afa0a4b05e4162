"""Conversation batches: items of images and turns, as ProcVLM's data sets have them, answered in one call.

    batch_chat([{"image": ["a.jpg", "b.jpg"], "conversations": [{"from": "human", "value": "..."}]}], model_path="...")

Knows the form of such items; does not know videos or windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataset.formats.conversations import IMAGE_MARK
from infer.decoding.answers import Decoding, decode_windows
from infer.model.batch_limit import BatchLimit
from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.model.window_inputs import FrameFeatures
from infer.records import DEFAULT_MAX_NEW_TOKENS

_HUMAN = ("human", "user")


def batch_chat(
    batch_items: Sequence[Mapping[str, Any]],
    model_path: str | None = None,
    use_lora: bool = False,
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    temperature: float = 0.0,
    torch_dtype: str = "auto",
    batch_size: int = 32,
    base_model: str | None = None,
    model: ProgressModel | None = None,
    seed: int = 0,
) -> list[str]:
    """Return one raw answer per item, in order.

    An image file that several items name is read and encoded once. Items with the same text follow each other best:
    each answer is drafted from those of the batch before.

    Args:
        batch_items: Items with `image` (a path or a list of paths, oldest first) and `conversations` (turns with `from`
            and `value`; the last human turn is asked, and it must be the first one).
        model_path, use_lora, torch_dtype, base_model: See `ProgressModel.load`.
        max_new_tokens, temperature, seed: See `infer.decoding.answers.Decoding`.
        batch_size: Items decoded together; halved when memory runs out.
        model: A loaded model to use instead of loading `model_path`.

    Raises:
        ValueError: An item is not of this form, or an image cannot be read.
    """
    questions = [_question(item, number) for number, item in enumerate(batch_items)]
    decoding = Decoding(max_new_tokens, temperature, seed=seed)
    if model is None:
        if model_path is None:
            raise ModelError("batch_chat got neither model_path nor model; name the model to ask")
        model = ProgressModel.load(model_path, use_lora, base_model, torch_dtype)
    limit = BatchLimit(batch_size, "items")
    answers: list[str] = []
    known: dict[str, dict[tuple[int, ...], None]] = {}  # answers so far by question

    def decode(batch: Sequence[tuple[list[Path], str]]) -> list[str]:
        features = _encode(model, batch)
        windows = [[features[path] for path in images] for images, _ in batch]
        drafts = [tuple(reversed(known.get(text, {})))[:4] for _, text in batch]
        decoded = decode_windows(model, windows, [text for _, text in batch], decoding, drafts)
        for (_, text), answer in zip(batch, decoded, strict=True):
            if answer.tokens:
                known.setdefault(text, {}).pop(answer.tokens, None)
                known[text][answer.tokens] = None
        return [answer.text for answer in decoded]

    while len(answers) < len(questions):
        answers += limit.run(decode, questions[len(answers) : len(answers) + limit.size])
    return answers


def _question(item: Mapping[str, Any], number: int) -> tuple[list[Path], str]:
    """Return images and text of one item; ValueError says what is wrong with it."""
    where = f"batch item {number}"
    images = item.get("image")
    images = [images] if isinstance(images, str | Path) else images
    if not isinstance(images, list | tuple) or not images:
        raise ValueError(f"{where} has no images ({images!r}); give `image`: a list of paths, oldest first")
    turns = item.get("conversations")
    turns = turns if isinstance(turns, list | tuple) else []
    human = [turn for turn in turns if turn.get("from") in _HUMAN]
    if len(human) != 1 or turns[0] is not human[0]:
        raise ValueError(
            f'{where} has {len(human)} human turns; give `conversations`: [{{"from": "human", "value": "..."}}] with '
            "one question in front"
        )
    text = human[0]["value"]
    marks = text.count(IMAGE_MARK)
    if marks not in (0, len(images)):
        raise ValueError(
            f"{where} has {len(images)} images, but {marks} {IMAGE_MARK} marks in its text; make them equal"
        )
    front = text.lstrip()
    for _ in range(marks):
        if not front.startswith(IMAGE_MARK):
            raise ValueError(f"{where} has text before an {IMAGE_MARK} mark; put all images in front of the text")
        front = front.removeprefix(IMAGE_MARK).lstrip()
    return [Path(path) for path in images], front if marks else text


def _encode(model: ProgressModel, batch: Sequence[tuple[list[Path], str]]) -> dict[Path, FrameFeatures]:
    """Encode the images of a batch, each file once."""
    paths = list(dict.fromkeys(path for images, _ in batch for path in images))
    return {path: model.encode_frames(_read_image(path)[None])[0] for path in paths}


def _read_image(path: Path) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"image {path} cannot be read ({error}); check the path and the file") from None
