import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from material import DEMO
from random_model import random_model

from dataset.prompts import PROGRESS_OPENING, build_prompt
from dataset.video import VideoReader
from infer.decoding import digits
from infer.decoding.cached_batch import CachedBatch
from infer.decoding.digits import DigitTokens, allowed_after, read_digits
from infer.model.errors import ModelError

CLASSES = "0123456789.%"


def spelt(indices) -> str:
    return "".join(CLASSES[index] for index in indices)


def test_what_may_follow():
    assert spelt(allowed_after("")) == "0123456789"
    assert spelt(allowed_after("4")) == "0123456789.%"
    assert spelt(allowed_after("0")) == ".%"
    assert spelt(allowed_after("41")) == ".%"
    assert spelt(allowed_after("10")) == "0.%"
    assert spelt(allowed_after("100")) == ".%"
    assert spelt(allowed_after("100.")) == "0"
    assert spelt(allowed_after("41.")) == "0123456789"
    assert spelt(allowed_after("41.7")) == "0123456789%"
    assert spelt(allowed_after("41.72")) == "%"


@given(st.lists(st.integers(0, 11), min_size=1, max_size=8))
def test_every_way_through_the_grammar_is_a_percentage(choices):
    text = ""
    for choice in choices:
        allowed = allowed_after(text)
        index = allowed[choice % len(allowed)]
        if index == 11:
            break
        text += CLASSES[index]
    else:
        return
    assert re.fullmatch(r"\d{1,3}(\.\d{1,2})?", text) and 0 <= float(text) <= 100


def scores(**shares: float) -> np.ndarray:
    """Log-probabilities of one place: d4=0.5 is the digit 4, end=1.0 the end."""
    row = np.full(12, 1e-9)
    for name, share in shares.items():
        row[11 if name == "end" else 10 if name == "point" else int(name[1:])] = share
    return np.log(row)[None]


def test_mean_and_deviation_of_two_equally_likely_numbers():
    tree = digits._Tree()
    tree.grow(scores(d4=0.5, d6=0.5), best_only=False)
    tree.grow(np.concatenate([scores(end=1.0), scores(end=1.0)]), best_only=False)
    estimate = tree.estimate()
    assert estimate.mean == pytest.approx(5.0) and estimate.std == pytest.approx(1.0)


def test_a_certain_number_is_itself():
    tree = digits._Tree()
    for place in (scores(d4=1.0), scores(d1=1.0), scores(point=1.0), scores(d7=1.0), scores(d2=1.0)):
        tree.grow(place, best_only=False)
    assert not tree.growing  # two decimals: complete without another look
    assert tree.estimate().mean == pytest.approx(41.72, abs=1e-6)
    assert tree.estimate().std == pytest.approx(0.0, abs=1e-2)


@pytest.fixture(scope="module")
def setting():
    """A random model, three windows, and openings of different length."""
    model = random_model(5)
    features = model.encode_frames(VideoReader(DEMO / "demo.mp4").frames([0, 40, 80, 107]))
    windows, prompts = [features[:2], features[1:4], features[3:]], [build_prompt("Lift it")] * 3
    tokens = model.tokenizer(PROGRESS_OPENING, add_special_tokens=False)["input_ids"]
    return model, windows, prompts, [tokens, tokens[-6:], tokens[-3:]]


def brute_force(model, window, prompt, opening, vocabulary) -> tuple[float, float]:
    """Follow every branch by a forward pass of its own."""
    values, masses = [], []

    def follow(text: str, mass: float) -> None:
        allowed = allowed_after(text)
        if allowed == [11]:
            values.append(float(text))
            masses.append(mass)
            return
        ids = [*opening, *(vocabulary.spelling[CLASSES.index(character)].item() for character in text)]
        with torch.no_grad():
            logits = model.base.lm_head(CachedBatch(model, [window], [prompt]).append([ids])[0][-1:])
        row = np.exp(vocabulary.class_scores(logits)[0][allowed])
        for index, share in zip(allowed, row / row.sum(), strict=True):
            if index == 11:
                values.append(float(text))
                masses.append(mass * share)
            elif mass * share >= digits.MIN_MASS:
                follow(text + CLASSES[index], mass * share)

    follow("", 1.0)
    weights, numbers = np.array(masses) / sum(masses), np.array(values)
    mean = weights @ numbers
    return float(mean), float(np.sqrt(weights @ (numbers - mean) ** 2))


def test_the_tree_in_one_cache_reads_what_separate_passes_read(setting, monkeypatch):
    monkeypatch.setattr(digits, "MIN_MASS", 2e-2)
    monkeypatch.setattr(digits, "MOST_BRANCHES", 1000)
    model, windows, prompts, openings = setting
    vocabulary = DigitTokens(model.tokenizer)
    estimates = read_digits(CachedBatch(model, windows, prompts), openings, vocabulary, best_only=False)
    for window, prompt, opening, estimate in zip(windows, prompts, openings, estimates, strict=True):
        mean, std = brute_force(model, window, prompt, opening, vocabulary)
        assert estimate.mean == pytest.approx(mean, abs=1e-3)
        assert estimate.std == pytest.approx(std, abs=1e-3)
        assert estimate.std > 0


def test_the_best_branch_is_a_percentage_in_a_batch_and_alone(setting):
    model, windows, prompts, openings = setting
    vocabulary = DigitTokens(model.tokenizer)
    together = read_digits(CachedBatch(model, windows, prompts), openings, vocabulary, best_only=True)
    for number, estimate in enumerate(together):
        batch = CachedBatch(model, windows[number : number + 1], prompts[:1])
        assert read_digits(batch, openings[number : number + 1], vocabulary, best_only=True) == [estimate]
        assert 0 <= estimate.mean <= 100 and estimate.std == 0
        assert estimate.mean == round(estimate.mean, 2)


def test_a_tokenizer_that_does_not_split_numbers_is_refused():
    class Words:
        def __len__(self):
            return 3

        def batch_decode(self, rows):
            return [["12", "cat", "%"][number] for (number,) in rows]

    with pytest.raises(ModelError, match="no token for"):
        DigitTokens(Words())


def test_an_image_token_that_the_model_wrote_is_not_taken_for_a_picture(nano):
    features = nano.encode_frames(VideoReader(DEMO / "demo.mp4").frames([10, 20]))
    prompt = build_prompt("Open the drawer")
    plain = nano.tokenizer("\n" + PROGRESS_OPENING, add_special_tokens=False)["input_ids"]
    odd = [nano.inputs.image_token_id, *plain]
    tokens = DigitTokens(nano.tokenizer)
    alone = read_digits(CachedBatch(nano, [features], [prompt]), [plain], tokens, False)[0]
    estimates = read_digits(CachedBatch(nano, [features] * 2, [prompt] * 2), [plain, odd], tokens, False)
    assert estimates[0].mean == pytest.approx(alone.mean, abs=1e-3)
    assert 0.0 <= estimates[1].mean <= 100.0
