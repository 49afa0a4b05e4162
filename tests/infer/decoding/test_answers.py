import pytest
from material import DEMO
from random_model import random_model

from dataset.prompts import PROGRESS_OPENING, build_prompt
from dataset.video import VideoReader
from infer.decoding.answers import _opening, answer_windows, decode_windows
from infer.decoding.settings import Decoding

PROMPT = build_prompt("Pick up the red puck and bring it to the blue goal marker")


@pytest.fixture(scope="module")
def windows(nano):
    features = nano.encode_frames(VideoReader(DEMO / "demo.mp4").frames([0, 30, 60, 90]))
    return [features[:2], features[2:]]


def ids(model, text: str) -> list[int]:
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_the_number_is_in_the_text(nano, windows):
    answers = decode_windows(nano, windows, [PROMPT] * 2, Decoding())
    assert [answer.text for answer in answers] == answer_windows(nano, windows, PROMPT)
    for answer in answers:
        assert answer.source == "model" and answer.std is None
        assert f"<progress>{answer.progress:.2f}%</progress>" in answer.text or answer.progress == 100
        assert nano.tokenizer.decode(answer.tokens, skip_special_tokens=True) == answer.text


def test_the_expected_value_leaves_the_text_as_it_is(nano, windows):
    plain = decode_windows(nano, windows, [PROMPT] * 2, Decoding())
    expected = decode_windows(nano, windows, [PROMPT] * 2, Decoding(readout="expected"))
    for one, other in zip(plain, expected, strict=True):
        assert (one.text, one.parsed) == (other.text, other.parsed)
        assert other.source == "expected" and other.std >= 0 and 0 <= other.progress <= 100


def test_an_answer_past_its_budget_is_made_to_fill_in_the_tag_and_marked():
    model = random_model(6)
    features = model.encode_frames(VideoReader(DEMO / "demo.mp4").frames([0, 90]))
    for readout in ("text", "expected"):
        answers = decode_windows(
            model, [features[:1], features], [PROMPT] * 2, Decoding(max_new_tokens=9, readout=readout)
        )
        for answer in answers:
            assert answer.parsed is None and answer.source == "forced"
            assert 0 <= answer.progress <= 100
            assert (answer.std is None) == (readout == "text")


def test_a_tag_that_the_budget_cut_open_is_filled_in_where_it_stands(nano, windows):
    text = decode_windows(nano, windows[:1], [PROMPT], Decoding())[0]
    budget = len(ids(nano, text.text[: text.text.index("<progress>") + len("<progress>") + 1]))
    cut = decode_windows(nano, windows[:1], [PROMPT], Decoding(max_new_tokens=budget))[0]
    assert cut.parsed is None and cut.source == "forced"
    assert cut.progress == text.parsed  # the model goes on as it would have


def test_where_the_digits_begin(nano):
    text = "1. lift\nTherefore, the estimated progress is <progress>"
    assert _opening(nano, ids(nano, text + "41.72%</progress>.")) == ids(nano, text)
    assert _opening(nano, ids(nano, text + "4")) == ids(nano, text)
    forced = _opening(nano, ids(nano, "1. lift the"))
    assert nano.tokenizer.decode(forced) == "1. lift the\nTherefore, the estimated progress is <progress>"


@pytest.mark.parametrize("steps", ["1. lift\n2. carry\n", "1. LİFT İT\n", "Image shows the final result.\n", ""])
def test_the_sentence_is_completed_wherever_the_budget_ends(nano, steps):
    opening = steps + PROGRESS_OPENING
    whole = ids(nano, opening + "100%</progress>.")
    first = next(n for n in range(len(whole) + 1) if len(nano.tokenizer.decode(whole[:n])) >= len(steps))
    for length in range(max(first, 0), len(whole) + 1):
        assert nano.tokenizer.decode(_opening(nano, whole[:length])) == opening, length
        assert _opening(nano, whole[:length]) == ids(nano, opening), length


def test_a_number_that_is_forced_is_the_full_answers_at_every_budget(nano, windows):
    full = decode_windows(nano, windows[1:], [PROMPT], Decoding())
    for window, answer in zip(windows[1:], full, strict=True):
        first = len(ids(nano, answer.text[: answer.text.rindex("Therefore")]))
        for budget in range(first, len(answer.tokens)):
            cut = decode_windows(nano, [window], [PROMPT], Decoding(max_new_tokens=budget))[0]
            assert cut.progress == answer.parsed, (budget, cut.text)
            assert cut.source == ("forced" if cut.parsed is None else "model")


@pytest.mark.parametrize("close", ["</prog", "</progress", "<", ""])
def test_a_tag_that_is_closed_in_part_is_still_open(nano, close):
    text = "1. lift\nTherefore, the estimated progress is <progress>41.72%"
    assert nano.tokenizer.decode(_opening(nano, ids(nano, text + close))).endswith("is <progress>")
    assert nano.tokenizer.decode(_opening(nano, ids(nano, text + close))).count("Therefore") == 1


def test_sampled_answers_repeat_with_their_seed(nano, windows):
    draws = [
        [a.text for a in decode_windows(nano, windows, [PROMPT] * 2, Decoding(30, temperature=2.0, seed=seed))]
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_a_sampled_answer_does_not_depend_on_its_batch(nano, windows):
    hot = Decoding(20, temperature=2.0, seed=-3)
    both = decode_windows(nano, windows, [PROMPT] * 2, hot, streams=[7, 9])
    alone = [decode_windows(nano, [w], [PROMPT], hot, streams=[n])[0] for w, n in zip(windows, (7, 9), strict=True)]
    assert [answer.text for answer in both] == [answer.text for answer in alone]
    assert decode_windows(nano, windows[:1], [PROMPT], hot, streams=[9])[0].text != both[0].text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"readout": "mean"}, 'readout is "mean"'),
        ({"readout": "expected", "temperature": 1.0}, "needs greedy answers"),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Decoding(**options)


def test_a_long_task_is_refused_and_not_cut(nano, windows):
    with pytest.raises(ValueError, match=r"reads at most 4096; shorten the task text"):
        decode_windows(nano, windows, [build_prompt("Zq~" * 3400)] * 2, Decoding())
