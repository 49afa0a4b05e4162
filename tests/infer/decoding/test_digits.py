import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from material import DEMO
from random_model import random_model
from real_base import make_real_base

from dataset.prompts import PROGRESS_OPENING, build_prompt
from dataset.video import VideoReader
from infer.decoding import digits
from infer.decoding.cached_batch import CachedBatch
from infer.decoding.digits import DigitTokens, allowed_after, interval, read_digits
from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.model.source import ModelSource

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
    assert estimate.mean == pytest.approx(5.0, abs=1e-4) and estimate.std == pytest.approx(1.0, abs=1e-4)


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


def brute_force(model, window, prompt, opening, vocabulary) -> digits.PercentEstimate:
    """Follow every branch by a forward pass of its own, and close the same ones."""
    tree = digits._Tree()
    while tree.growing:
        rows = []
        for branch in tree.growing:
            ids = [*opening, *(vocabulary.spelling[CLASSES.index(character)].item() for character in branch.text)]
            with torch.no_grad():
                logits = model.base.lm_head(CachedBatch(model, [window], [prompt]).append([ids])[0][-1:])
            rows.append(vocabulary.class_scores(logits)[0])
        tree.grow(np.stack(rows), best_only=False)
    return tree.estimate()


def test_the_tree_in_one_cache_reads_what_separate_passes_read(setting, monkeypatch):
    monkeypatch.setattr(digits, "TOLERANCE", 5e-2)
    model, windows, prompts, openings = setting
    vocabulary = DigitTokens(model.tokenizer)
    estimates = read_digits(CachedBatch(model, windows, prompts), openings, vocabulary, best_only=False)
    for window, prompt, opening, estimate in zip(windows, prompts, openings, estimates, strict=True):
        expected = brute_force(model, window, prompt, opening, vocabulary)
        assert estimate.mean == pytest.approx(expected.mean, abs=1e-3)
        assert estimate.std == pytest.approx(expected.std, abs=1e-3) and estimate.std > 0
        assert estimate.mass == pytest.approx(expected.mass, abs=1e-3) and estimate.mass < 1


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 8.0))
@settings(max_examples=20)
def test_the_expected_value_is_that_of_all_numbers_for_every_distribution(seed, sharpness):
    def row(text: str) -> np.ndarray:
        """Log-probabilities behind the beginning of a number: flat for small `sharpness`, else nearly certain."""
        return np.random.default_rng([seed, *text.encode()]).normal(0, sharpness, 12)

    def estimate(tolerance: float) -> digits.PercentEstimate:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(digits, "TOLERANCE", tolerance)
            tree = digits._Tree()
            while tree.growing:
                tree.grow(np.stack([row(branch.text) for branch in tree.growing]), best_only=False)
            return tree.estimate()

    exact, quick = estimate(0.0), estimate(digits.TOLERANCE)
    assert exact.mass == pytest.approx(1.0) and 0 <= quick.mass <= 1
    assert quick.mean == pytest.approx(exact.mean, abs=0.3)
    assert quick.std == pytest.approx(exact.std, abs=1.5)


def test_few_branches_are_followed_however_flat_the_distribution_is():
    tree = digits._Tree()
    widths = []
    while tree.growing:
        widths.append(len(tree.growing))
        tree.grow(np.zeros((len(tree.growing), 12)), best_only=False)
    assert max(widths) <= 101


@pytest.mark.parametrize("text", ["4", "0", "10", "41", "4.", "100", "100.", "41.7", "99."])
def test_what_a_beginning_can_become_lies_in_its_interval(text):
    low, high = interval(text)
    beginnings, numbers = [text], []
    while beginnings:
        beginning = beginnings.pop()
        for index in allowed_after(beginning):
            if index == 11:
                numbers.append(float(beginning))
            else:
                beginnings.append(beginning + CLASSES[index])
    assert low <= min(numbers) and max(numbers) <= high


@pytest.mark.parametrize("base", ["embedded", "qwen"])
def test_the_expected_value_is_near_the_exact_mean(nano, base, tmp_path, monkeypatch):
    model = nano
    if base == "qwen":
        model = ProgressModel.load(ModelSource(str(make_real_base(tmp_path / "base")), torch_dtype="float32"))
    features = model.encode_frames(VideoReader(DEMO / "demo.mp4").frames([0, 60]))
    opening = model.tokenizer(PROGRESS_OPENING, add_special_tokens=False)["input_ids"]
    questions, vocabulary = ([features[:1]], [build_prompt("Lift it")]), DigitTokens(model.tokenizer)
    quick = read_digits(CachedBatch(model, *questions), [opening], vocabulary, best_only=False)[0]
    monkeypatch.setattr(digits, "TOLERANCE", 0.0)
    exact = read_digits(CachedBatch(model, *questions), [opening], vocabulary, best_only=False)[0]
    assert exact.mass == pytest.approx(1.0)
    assert quick.mean == pytest.approx(exact.mean, abs=0.5)


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
