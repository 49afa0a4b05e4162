"""Answer drafts: the likely rest of an answer, copied from answers to neighbouring windows.

Knows token ids only; does not know models or texts. The decoder verifies every token of a draft against the model
(`infer.decoding.greedy`), so that a wrong draft costs time and changes no answer.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_MATCH = 4  # tokens of context that decide where in a known answer the new one continues


class AnswerDraft:
    """The draft of one answer, made from answers to neighbouring windows.

    Args:
        known_answers: Their tokens, end token included, the likeliest first; without one the draft is empty.
    """

    def __init__(self, known_answers: Sequence[Sequence[int]]) -> None:
        self._known_answers = [list(tokens) for tokens in known_answers if len(tokens)]
        self._current = 0  # the known answer that is followed
        self._place = 0  # tokens of it that are used up
        self._compared = 0  # tokens of the new answer that were compared with it

    def propose(self, answer: Sequence[int]) -> list[int]:
        """Return the tokens that may follow `answer`, which has grown since the last call; empty without a draft.

        While the answer follows a known one, the rest of that is proposed. Where they differ, the place is searched
        again: the longest run of tokens, at most `LONGEST_MATCH`, at the end of the answer that a known one has as
        well, the nearest first. A single token without a match counts as exchanged (a digit, say): the proposal
        continues after the token in its place.
        """
        if not self._known_answers:
            return []
        known = self._known_answers[self._current]
        followed = True
        for token in answer[self._compared :]:
            followed = self._place < len(known) and known[self._place] == token
            self._place += 1
        self._compared = len(answer)
        if not followed:
            self._find_place(answer)
        return self._known_answers[self._current][self._place :]

    def _find_place(self, answer: Sequence[int]) -> None:
        matches = []
        for number, known in enumerate(self._known_answers):
            for end in range(1, len(known) + 1):
                if known[end - 1] != answer[-1]:
                    continue
                length = 1
                while length < min(LONGEST_MATCH, len(answer), end) and known[end - length - 1] == answer[-length - 1]:
                    length += 1
                same = number == self._current
                if length > 1 or (same and end > self._place):  # elsewhere one token alone is chance
                    matches.append((-length, abs(end - self._place) if same else len(known), number, end))
        if matches:
            _, _, self._current, self._place = min(matches)
