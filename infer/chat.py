"""Conversation batches: items of images and turns, as ProcVLM's data sets have them, answered in one call.

    batch_chat([{"image": ["a.jpg", "b.jpg"], "conversations": [{"from": "human", "value": "..."}]}], "MODEL_PATH")

Knows the form of such items; does not know videos or windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dataset.prompts import IMAGE_MARK
from infer.decoding.answer_order import DRAFT_SOURCES
from infer.decoding.answers import decode_windows
from infer.decoding.settings import Decoding
from infer.model.model import PixelBudget, ProgressModel
from infer.model.source import ModelSource
from infer.model.window_inputs import FrameFeatures

_HUMAN = ("human", "user")


def batch_chat(
    batch_items: Sequence[Mapping[str, Any]],
    model: ProgressModel | ModelSource | str,
    decoding: Decoding = Decoding(),
) -> list[str]:
    """Return one raw answer per item, in order.

    An image file that several items of a batch name is read and encoded once. Items with the same text are fastest one
    after the other: answer drafts come from the batches before.

    Args:
        batch_items: Items with `image` (a path or a list of paths, oldest first) and `conversations` (turns with `from`
            and `value`; the question is the only human turn, and the first turn).
        model: A loaded model, or what to load; a text is the path of a base model.
        decoding: How answers are decoded; the read-out has no effect.

    Raises:
        ValueError: An item is not of this form, or an image cannot be read.
    """
    questions = [_question(item, number) for number, item in enumerate(batch_items)]
    if isinstance(model, ModelSource | str):
        source = ModelSource(model) if isinstance(model, str) else model
        model = ProgressModel.load(source.for_predictions())
    loaded, decoding = model, replace(decoding, readout="text")
    adapter = loaded.active_adapter
    budget = loaded.pixel_budget_of(adapter)
    limit = loaded.batch_limit(decoding.batch_size, "items", budget)
    answers: list[str] = []
    by_question: dict[str, dict[tuple[int, ...], None]] = {}  # answers so far, as tokens, the latest last

    def decode(batch: Sequence[tuple[list[Path], str]], numbers: Sequence[int]) -> list[str]:
        features = _encode(loaded, batch, budget)
        windows = [[features[path] for path in images] for images, _ in batch]
        known_answers = [tuple(reversed(by_question.get(text, {})))[:DRAFT_SOURCES] for _, text in batch]
        with loaded.adapter_switch(adapter):
            decoded = decode_windows(loaded, windows, [text for _, text in batch], decoding, known_answers, numbers)
        for (_, text), answer in zip(batch, decoded, strict=True):
            if answer.tokens:
                by_question.setdefault(text, {}).pop(answer.tokens, None)
                by_question[text][answer.tokens] = None
        return [answer.text for answer in decoded]

    while len(answers) < len(questions):
        batch = slice(len(answers), len(answers) + limit.size)
        answers += limit.run(decode, questions[batch], range(len(questions))[batch])
    return answers


def _question(item: Mapping[str, Any], number: int) -> tuple[list[Path], str]:
    """Return images and text of one item; ValueError when it is not of the form that `batch_chat` names."""
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


def _encode(
    model: ProgressModel, batch: Sequence[tuple[list[Path], str]], budget: PixelBudget
) -> dict[Path, FrameFeatures]:
    """Encode the images of a batch, each file once."""
    paths = list(dict.fromkeys(path for images, _ in batch for path in images))
    return {path: model.encode_frames(_read_image(path)[None], pixel_budget=budget)[0] for path in paths}


def _read_image(path: Path) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"image {path} cannot be read ({error}); check the path and the file") from None
