from hypothesis import given
from hypothesis import strategies as st

from infer.decoding.answer_draft import AnswerDraft

TOKENS = st.lists(st.integers(0, 5), max_size=12)


def decode(truth: list[int], known_answers: list[list[int]]) -> tuple[list[int], int]:
    """Decode like a greedy model whose answer is `truth`; return the answer and the number of model calls."""
    draft, answer, calls = AnswerDraft(known_answers), [], 0
    while len(answer) < len(truth):
        calls += 1
        for token in [*draft.propose(answer), None]:
            right = truth[len(answer)]
            answer.append(right)
            if token != right or len(answer) == len(truth):
                break
    return answer, calls


def test_the_same_answer_takes_one_call():
    assert decode([1, 2, 3, 4], [[1, 2, 3, 4]]) == ([1, 2, 3, 4], 1)


def test_without_a_known_answer_every_token_takes_a_call():
    assert AnswerDraft([]).propose([]) == []
    assert decode([1, 2, 3], [])[1] == 3


def test_an_exchanged_token_costs_one_more_call():
    draft = AnswerDraft([[1, 2, 3, 4, 5]])
    assert draft.propose([]) == [1, 2, 3, 4, 5]
    assert draft.propose([1, 2, 9]) == [4, 5]  # 9 stands in the place of 3
    assert decode([1, 2, 9, 4, 5], [[1, 2, 3, 4, 5]])[1] == 2


def test_a_left_out_part_is_skipped():
    assert decode([1, 2, 6, 7, 8], [[1, 2, 3, 4, 5, 6, 7, 8]])[1] == 2  # 6 is found again later in the same answer


def test_an_inserted_part_costs_its_own_length_and_the_known_tail_one_call():
    known = [1, 2, 3, 4, 5, 6]
    assert decode([1, 9, 9, 9, 2, 3, 4, 5, 6], [known])[1] <= 6


def test_another_known_answer_takes_over_where_it_fits_better():
    draft = AnswerDraft([[1, 2, 3, 4], [7, 8, 9, 10, 11]])
    draft.propose([])
    draft.propose([7])
    assert draft.propose([7, 8]) == [9, 10, 11]


@given(TOKENS, st.lists(TOKENS, max_size=3))
def test_whatever_the_known_answers_the_answer_is_the_models_and_never_slower_than_plain(truth, known_answers):
    answer, calls = decode(truth, known_answers)
    assert answer == truth
    assert calls <= len(truth)
