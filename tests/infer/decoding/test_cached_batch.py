"""Rows that keep different numbers of tokens, batches that are merged, trees: states as in passes of their own."""

import pytest
import torch
from material import DEMO
from random_model import random_model

from dataset.prompts import build_prompt
from dataset.video import VideoReader
from infer.decoding import greedy
from infer.decoding.cached_batch import CachedBatch
from infer.decoding.greedy import greedy_answers

PROMPTS = [build_prompt("Lift it"), build_prompt("Open the drawer and take out the cup")]


@pytest.fixture(scope="module")
def setting():
    model = random_model(8)
    features = model.encode_frames(VideoReader(DEMO / "demo.mp4").frames([0, 40, 80]))
    return model, [features[:1], features]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def alone(model, window, prompt, tokens) -> torch.Tensor:
    """Return the states of one row in a pass of its own: the question's last token and `tokens`."""
    return CachedBatch(model, [window], [prompt]).append([tokens])[0]


def close(states, expected) -> None:
    torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-3)


def test_rejected_tokens_leave_no_trace(setting):
    model, windows = setting
    batch = CachedBatch(model, windows, PROMPTS)
    states = batch.append([[5, 6, 7], [8]])
    assert [len(row) for row in states] == [4, 2]
    close(states[0], alone(model, windows[0], PROMPTS[0], [5, 6, 7]))
    batch.keep([1, 1], [0, 1])  # 6 and 7 go
    states = batch.append([[9, 10], [11, 12, 13]])
    close(states[0], alone(model, windows[0], PROMPTS[0], [5, 9, 10])[2:])
    close(states[1], alone(model, windows[1], PROMPTS[1], [8, 11, 12, 13])[2:])


def test_rows_may_leave_and_change_places(setting):
    model, windows = setting
    batch = CachedBatch(model, [*windows, windows[0]], [*PROMPTS, PROMPTS[0]])
    batch.append([[1], [2, 3], [4]])
    batch.keep([1, 2, 0], [1])
    close(batch.append([[7]])[0], alone(model, windows[1], PROMPTS[1], [2, 3, 7])[3:])


def test_merged_batches_go_on_as_one(setting):
    model, windows = setting
    parts = [CachedBatch(model, [window], [prompt]) for window, prompt in zip(windows, PROMPTS, strict=True)]
    for part, tokens in zip(parts, ([5, 6], [7]), strict=True):
        part.append([tokens])
        part.keep([1], [0])
    states = CachedBatch.merge(parts).append([[9], [10, 11]])
    close(states[0], alone(model, windows[0], PROMPTS[0], [5, 9])[2:])
    close(states[1], alone(model, windows[1], PROMPTS[1], [7, 10, 11])[2:])


def test_alternatives_see_their_ancestors_only(setting):
    model, windows = setting
    batch = CachedBatch(model, windows[1:], PROMPTS[1:])
    batch.append([[3]])
    batch.keep([1], [0])
    first = batch.append_tree(torch.tensor([[4, 5]]), torch.zeros(1, 2, dtype=torch.long), torch.eye(2).bool()[None])
    visible = torch.tensor([[[True, False, True, False], [False, True, False, True]]])  # 6 follows 4, 7 follows 5
    second = batch.append_tree(torch.tensor([[6, 7]]), torch.ones(1, 2, dtype=torch.long), visible)
    for node, tokens in enumerate(([3, 4, 6], [3, 5, 7])):
        expected = alone(model, windows[1], PROMPTS[1], tokens)
        close(first[0, node], expected[2])
        close(second[0, node], expected[3])


def test_prefills_in_parts_give_the_same_answers(setting, monkeypatch):
    model, windows = setting
    many, prompts = [*windows, windows[1], windows[0]], [*PROMPTS, PROMPTS[0], PROMPTS[1]]
    whole = greedy_answers(model, many, prompts, 16)
    drafts = [[whole[0].tokens], [whole[1].tokens[:5]], [], [whole[1].tokens]]
    for tokens in (1, 30, 40):
        monkeypatch.setattr(greedy, "CPU_PREFILL_TOKENS", tokens)
        for references in (None, drafts):
            parts = greedy_answers(model, many, prompts, 16, references)
            assert [answer.tokens for answer in parts] == [answer.tokens for answer in whole]
