"""Drafts: guesses at how an answer goes on, taken from answers that are known already.

Knows token ids only; does not know models or texts. A draft is never believed: the decoder checks every token of it
against the model (`infer.decoding.greedy`), so that a bad guess costs time and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_MATCH = 4  # tokens of context that decide where in a known answer the new one stands


class AnswerDraft:
    """Guesses the rest of one answer from answers to neighbouring windows.

    Args:
        references: Known answers, end token included, the likeliest first; without one there is no guess.
    """

    def __init__(self, references: Sequence[Sequence[int]]) -> None:
        self._references = [list(reference) for reference in references if len(reference)]
        self._current = 0  # the reference that is followed
        self._place = 0  # tokens of it that are used up
        self._seen = 0  # tokens of the answer that were compared with it

    def propose(self, answer: Sequence[int]) -> list[int]:
        """Return the tokens that may follow `answer`, which has grown since the last call; empty for no guess.

        While the answer follows its reference, the rest of the reference is proposed. Where it left it, the place is
        found again by the longest run of tokens, at most `LONGEST_MATCH`, that the end of the answer shares with a
        reference, the nearest one first. A single token that is found nowhere counts as exchanged (a digit, say): the
        proposal goes on behind the one that stood in its place.
        """
        if not self._references:
            return []
        reference = self._references[self._current]
        followed = True
        for token in answer[self._seen :]:
            followed = self._place < len(reference) and reference[self._place] == token
            self._place += 1
        self._seen = len(answer)
        if not followed:
            self._find_place(answer)
        return self._references[self._current][self._place :]

    def _find_place(self, answer: Sequence[int]) -> None:
        matches = []
        for number, reference in enumerate(self._references):
            for end in range(1, len(reference) + 1):
                if reference[end - 1] != answer[-1]:
                    continue
                length = 1
                while (
                    length < min(LONGEST_MATCH, len(answer), end) and reference[end - length - 1] == answer[-length - 1]
                ):
                    length += 1
                same = number == self._current
                if length > 1 or (same and end > self._place):  # one token alone says little elsewhere
                    matches.append((-length, abs(end - self._place) if same else len(reference), number, end))
        if matches:
            _, _, self._current, self._place = min(matches)
