"""Drafted decoding equals plain greedy decoding token for token, whatever the draft."""

import numpy as np
import pytest
import torch
from material import DEMO
from random_model import random_model

from dataset.prompts import build_prompt
from dataset.video import VideoReader
from dataset.window import WindowSpec, window_indices
from infer.decoding.answers import answer_windows
from infer.decoding.greedy import greedy_answers
from infer.model.errors import ModelError

WINDOW = WindowSpec(size=4, stride=4)
PROMPT = build_prompt("Pick up the red puck")
BUDGET = 24
FRAMES = (0, 30, 50, 80, 107)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return VideoReader(DEMO / "demo.mp4").frames(range(108))


def windows_of(model, frames):
    shown = [window_indices(WINDOW, t, 25.0) for t in FRAMES]
    features = dict(zip(range(108), model.encode_frames(frames), strict=True))
    return [[features[i] for i in indices] for indices in shown]


def tokens(answers) -> list[list[int]]:
    return [answer.tokens for answer in answers]


@pytest.fixture(scope="module", params=["base", 1, 2, 3])
def case(request, frames, nano):
    """A model, windows, and the tokens of plain greedy decoding."""
    model = nano if request.param == "base" else random_model(request.param)
    windows = windows_of(model, frames)
    plain = tokens(greedy_answers(model, windows, [PROMPT] * len(windows), BUDGET))
    return model, windows, plain


def test_plain_decoding_is_transformers_own(case):
    model, windows, plain = case
    texts = answer_windows(model, windows, PROMPT, BUDGET)
    assert [model.tokenizer.decode(answer, skip_special_tokens=True) for answer in plain] == texts


def test_answers_end_or_fill_their_budget_and_those_of_random_models_differ(case, nano):
    model, _, plain = case
    assert all(len(answer) == BUDGET or answer[-1] == model.end_token_id for answer in plain)
    assert model is nano or len({tuple(answer) for answer in plain}) > 2


@pytest.mark.parametrize("draft", ["own", "neighbour", "half", "exchanged", "frame", "junk", "longer", "several"])
def test_any_draft_gives_the_same_tokens_in_a_batch_and_alone(case, draft):
    model, windows, plain = case
    rng = np.random.default_rng(0)
    junk = [rng.integers(0, len(model.tokenizer), 30).tolist() for _ in plain]
    references = {
        "own": [[answer] for answer in plain],
        "neighbour": [[plain[number - 1]] for number in range(len(plain))],
        "half": [[[*answer[:10], 5, 6, 7]] for answer in plain],
        "exchanged": [[[t + (i % 5 == 0) for i, t in enumerate(answer)]] for answer in plain],
        "frame": [[[*answer[:5], model.inputs.image_token_id, *answer[5:]]] for answer in plain],
        "junk": [[one] for one in junk],
        "longer": [[answer + junk[0]] for answer in plain],
        "several": [[junk[n], plain[n - 1], plain[n]] if n % 2 else [] for n in range(len(plain))],
    }[draft]
    together = greedy_answers(model, windows, [PROMPT] * len(windows), BUDGET, references)
    assert tokens(together) == plain
    for window, known, expected in zip(windows, references, plain, strict=True):
        assert greedy_answers(model, [window], [PROMPT], BUDGET, [known])[0].tokens == expected
    if draft in ("own", "longer"):
        assert all(answer.steps == 1 for answer in together)


def test_windows_and_questions_of_different_length_share_a_batch(case):
    model, windows, _ = case
    mixed = [windows[0], windows[1][:1], windows[2][:3]]
    prompts = [PROMPT, build_prompt("Open the drawer and take out the cup"), build_prompt("x")]
    alone = [greedy_answers(model, [w], [p], BUDGET)[0].tokens for w, p in zip(mixed, prompts, strict=True)]
    drafts = [[alone[1]], [alone[1]], []]
    assert tokens(greedy_answers(model, mixed, prompts, BUDGET, drafts)) == alone


def test_the_budget_counts_the_end_token_and_cuts_drafts(case):
    model, windows, plain = case
    for budget in (1, 2, 7):
        answers = greedy_answers(model, windows[:2], [PROMPT] * 2, budget, [[plain[0]], [plain[0]]])
        assert tokens(answers) == [answer[:budget] for answer in plain[:2]]


def test_logits_that_are_no_numbers_raise(frames):
    model = random_model(4)
    windows = windows_of(model, frames)[:1]
    with torch.no_grad():
        model.base.lm_head.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"no numbers .* --torch_dtype float32"):
        greedy_answers(model, windows, [PROMPT], BUDGET)
