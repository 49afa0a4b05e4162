import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import ROOT

from dataset.wording import plain_text
from infer.report.other_tasks import POOL, content_words, draw_other_tasks
from train.recipe import read_recipe

RECIPES = sorted(path for path in (ROOT / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_no_word_of_a_trained_text_is_asked_again(path):
    trained = read_recipe(path, ["data.annotations=[a.json]"]).data.sampling.wrong_tasks
    words = {word for text in ["Put the red block into the bin", *trained] for word in content_words(text)}
    for seed in range(20):
        drawn = draw_other_tasks(["Put the red block into the bin", *trained], seed)
        assert len(set(drawn)) == 3 and not any(content_words(text) & words for text in drawn)


def test_the_seed_of_the_data_draws():
    assert draw_other_tasks([], 0) == draw_other_tasks([], 0)
    assert len({draw_other_tasks([], seed) for seed in range(10)}) > 5


@given(st.lists(st.sampled_from(POOL), max_size=len(POOL) - 3, unique=True), st.integers(0, 1000))
def test_what_was_learned_is_never_asked(learned, seed):
    drawn = draw_other_tasks([f"  {text.upper()}." for text in learned], seed)
    assert not {plain_text(text) for text in drawn} & {plain_text(text) for text in learned}
