"""The order in which a recording's windows are answered, so that most answers have a neighbour's as their draft.

The first window of a block is answered first, then every 8th, then the rest; drafts come from the nearest answers so
far. Knows window numbers and batches; does not know times or records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infer.decoding.answers import decode_windows
from infer.decoding.settings import Decoding
from infer.decoding.window_answer import WindowAnswer
from infer.model.batch_limit import BatchLimit
from infer.model.encoded_video import EncodedVideo
from infer.model.model import PixelBudget, ProgressModel

SPACING = 8  # windows between those that are answered before the rest
RECENT = 8  # distinct answers that are kept for the next playback
DRAFT_SOURCES = 4  # distinct answers that one draft is made from
FEATURE_BYTES = 2**30  # a block is shorter than a batch where the features of its frames would take more


class AnswerMemory:
    """The answers of one playback so far, for answer drafts: the nearest ones, and recent ones that differ.

    Args:
        recent: Distinct answers of earlier playbacks, the latest last; it is kept up to date for the next one.
    """

    def __init__(self, recent: dict[tuple[int, ...], None]) -> None:
        self._by_window: dict[int, tuple[int, ...]] = {}
        self._recent = recent

    def add(self, number: int, tokens: tuple[int, ...]) -> None:
        """Add the answer to window `number` of the playback."""
        if tokens:
            self._by_window[number] = tokens
            self._recent.pop(tokens, None)
            self._recent[tokens] = None
            while len(self._recent) > RECENT:
                self._recent.pop(next(iter(self._recent)))

    def known_answers(self, number: int) -> list[tuple[int, ...]]:
        """Return up to `DRAFT_SOURCES` distinct answers for the draft of window `number`, the nearest first."""
        nearest = sorted(self._by_window, key=lambda other: abs(other - number))[:2]
        candidates = [*(self._by_window[other] for other in nearest), *reversed(self._recent)]
        return list(dict.fromkeys(candidates))[:DRAFT_SOURCES]

    def shift(self, count: int) -> None:
        """Start the next block: windows are numbered from `count` on; only the last answer is kept."""
        last = max(self._by_window, default=None)
        self._by_window = {} if last is None else {last - count: self._by_window[last]}


def blocks(
    video: EncodedVideo, windows: Sequence[Sequence[int]], batch_size: int, budget: PixelBudget
) -> Iterator[tuple[int, int]]:
    """Yield [start, stop) of the windows whose frames are held together: a batch, or as many as memory allows.

    A block is no longer than a batch, so that the frames of the next one are prepared while this one is answered.

    Args:
        video: The recording.
        windows: Per window its source frames, in the order of playback.
        batch_size: Most windows of a block.
        budget: Pixel budget of the frames.
    """
    start = 0
    while start < len(windows):
        if start == 0:
            video.load(windows[0], budget)
        stop = min(len(windows), start + batch_size)
        room = max(1, FEATURE_BYTES // max(1, video.bytes_per_frame))
        frames: set[int] = set()
        for number in range(start, stop):
            frames.update(windows[number])
            if len(frames) > room and number > start:
                stop = number
                break
        yield start, stop
        start = stop


def answer_block(
    model: ProgressModel,
    video: EncodedVideo,
    windows: Sequence[Sequence[int]],
    prompt: str,
    decoding: Decoding,
    limit: BatchLimit,
    memory: AnswerMemory,
    adapter: str | None,
) -> Iterator[WindowAnswer]:
    """Answer the windows of a block, the widely spaced ones first; yield each answer when all before it are complete.

    Args:
        model, video, adapter: See `infer.playback.predict_video`.
        windows: Per window its source frames, in the order of playback.
        prompt: The question.
        decoding: The settings.
        limit: How many windows are decoded together; it is lowered when memory runs out.
        memory: The answers so far; those of this block are added.
    """
    answers: dict[int, WindowAnswer] = {}
    drafting = decoding.drafting and decoding.temperature == 0
    budget = model.pixel_budget_of(adapter)
    next_number = 0

    def decode(numbers: Sequence[int]) -> list[WindowAnswer]:
        streams = [windows[number][-1] for number in numbers]  # the frame that is answered
        features = video.windows([windows[number] for number in numbers], budget)
        with model.adapter_switch(adapter):
            known_answers = [memory.known_answers(number) for number in numbers] if drafting else None
            return decode_windows(model, features, [prompt] * len(features), decoding, known_answers, streams)

    whole = range(len(windows))
    for numbers in (whole[:1], whole[::SPACING], whole) if drafting else (whole,):
        left = [number for number in numbers if number not in answers]
        while left:
            batch, left = left[: limit.size], left[limit.size :]
            for number, answer in zip(batch, limit.run(decode, batch), strict=True):
                answers[number] = answer
                with model.lock:  # recent answers are shared with other threads
                    memory.add(number, answer.tokens)
            while next_number in answers:
                yield answers[next_number]
                next_number += 1
    memory.shift(len(windows))
