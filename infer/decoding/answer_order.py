"""The order in which a video's windows are answered, so that most answers are drafted from a neighbour's.

Every 64th window of a block is answered first, then every 8th, then the rest; each is drafted from the nearest answers
that are known. Knows window numbers and batches; does not know videos' times or records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from infer.decoding.answers import Decoding, WindowAnswer, decode_windows
from infer.model.batch_limit import BatchLimit
from infer.model.encoded_video import EncodedVideo
from infer.model.model import PixelBudget, ProgressModel

SPACINGS = (64, 8, 1)
RECENT = 8  # distinct answers that are remembered
FEATURE_BYTES = 2**30  # a block is cut shorter when its frames' features would take more


class AnswerMemory:
    """The answers of one playback so far, to draft from: those near in playback, and lately seen ones that differ.

    Args:
        recent: Distinct answers of earlier playbacks, the latest last; it is kept up to date for the next one.
    """

    def __init__(self, recent: dict[tuple[int, ...], None]) -> None:
        self._known: dict[int, tuple[int, ...]] = {}
        self._recent = recent

    def add(self, number: int, tokens: tuple[int, ...]) -> None:
        """Remember the answer to the window with this number in playback."""
        if tokens:
            self._known[number] = tokens
            self._recent.pop(tokens, None)
            self._recent[tokens] = None
            while len(self._recent) > RECENT:
                self._recent.pop(next(iter(self._recent)))

    def references(self, number: int) -> list[tuple[int, ...]]:
        """Return up to four distinct answers, the nearest one first."""
        nearest = sorted(self._known, key=lambda known: abs(known - number))[:2]
        candidates = [*(self._known[known] for known in nearest), *reversed(self._recent)]
        return list(dict.fromkeys(candidates))[:4]

    def shift(self, numbers: int) -> None:
        """Count windows from `numbers` on, and forget all but the last one before it."""
        last = {key - numbers: tokens for key, tokens in self._known.items()}
        self._known = dict([max(last.items())]) if last else {}


def blocks(
    video: EncodedVideo, shown: Sequence[Sequence[int]], batch_size: int, budget: PixelBudget
) -> Iterator[tuple[int, int]]:
    """Yield [start, stop) of the windows whose frames are held together: a batch, or what memory allows.

    A block is no longer than a batch, so that the frames of the next one are prepared while this one is answered.
    """
    start = 0
    while start < len(shown):
        if start == 0:
            video.load(shown[0], budget)
        stop = min(len(shown), start + batch_size)
        room = max(1, FEATURE_BYTES // max(1, video.bytes_per_frame))
        frames: set[int] = set()
        for number in range(start, stop):
            frames.update(shown[number])
            if len(frames) > room and number > start:
                stop = number
                break
        yield start, stop
        start = stop


def answer_block(
    model: ProgressModel,
    video: EncodedVideo,
    shown: Sequence[Sequence[int]],
    prompt: str,
    decoding: Decoding,
    limit: BatchLimit,
    memory: AnswerMemory,
    use_adapter: bool,
    adapter: str | None,
    budget: PixelBudget,
) -> Iterator[WindowAnswer]:
    """Answer the windows of a block, the widely spaced ones first; yield the answers in order as they get complete."""
    answers: dict[int, WindowAnswer] = {}
    drafting = decoding.drafting and decoding.temperature == 0
    given = 0

    def decode(numbers: Sequence[int]) -> list[WindowAnswer]:
        windows = video.windows([shown[number] for number in numbers], budget)
        known = [memory.references(number) for number in numbers] if drafting else None
        settings = replace(decoding, seed=decoding.seed + shown[numbers[0]][-1])
        with model.adapter_switch(use_adapter, adapter):
            return decode_windows(model, windows, [prompt] * len(windows), settings, known)

    for spacing in SPACINGS if drafting else (1,):
        todo = [number for number in range(0, len(shown), spacing) if number not in answers]
        while todo:
            batch, todo = todo[: limit.size], todo[limit.size :]
            for number, answer in zip(batch, limit.run(decode, batch), strict=True):
                answers[number] = answer
                memory.add(number, answer.tokens)
            while given in answers:
                yield answers[given]
                given += 1
    memory.shift(len(shown))
