from itertools import pairwise

from infer.decoding import answer_order
from infer.decoding.answer_order import AnswerMemory, blocks


class Frames:
    """A video of which only the size of a frame's features matters."""

    bytes_per_frame = 100

    def load(self, frames, budget):
        assert frames


def test_the_nearest_answers_are_drafted_from_first():
    memory = AnswerMemory({})
    memory.add(0, (1,))
    memory.add(64, (2,))
    memory.add(8, (3,))
    assert memory.known_answers(9)[:2] == [(3,), (1,)]
    assert memory.known_answers(60)[0] == (2,)
    assert len(memory.known_answers(9)) == len(set(memory.known_answers(9))) == 3


def test_the_next_block_knows_the_last_answer_and_recent_ones():
    recent = {}
    memory = AnswerMemory(recent)
    for number in range(20):
        memory.add(number, (number,))
    memory.shift(20)
    assert memory.known_answers(0)[0] == (19,)
    assert list(recent) == [(number,) for number in range(12, 20)]
    assert AnswerMemory(recent).known_answers(0) == [(19,), (18,), (17,), (16,)]  # another playback starts with them


def test_blocks_cover_all_windows_once():
    shown = [(max(t - 4, 0), t) for t in range(100)]
    found = list(blocks(Frames(), shown, batch_size=8, budget=(1, 1)))
    assert found[0][0] == 0 and found[-1][1] == 100
    assert all(left[1] == right[0] for left, right in pairwise(found))
    assert max(stop - start for start, stop in found) == 8


def test_blocks_are_cut_where_features_would_not_fit(monkeypatch):
    monkeypatch.setattr(answer_order, "FEATURE_BYTES", 1000)  # ten frames
    shown = [tuple(range(20 * t, 20 * t + 4)) for t in range(9)]
    assert list(blocks(Frames(), shown, 32, (1, 1))) == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 9)]
    monkeypatch.setattr(answer_order, "FEATURE_BYTES", 1)  # one window must do
    assert list(blocks(Frames(), shown, 32, (1, 1))) == [(n, n + 1) for n in range(9)]
