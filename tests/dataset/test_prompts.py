import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.prompts import build_absent_completion, build_completion, build_prompt, parse_answer

LINE = st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters="<>"), min_size=1)


def test_prompt_is_the_format_to_the_byte():
    assert build_prompt("stack the cups") == (
        'Given the recent observation and the task "stack the cups", first infer the remaining atomic actions required '
        "to complete the task. Then estimate the current completion percentage and output it as a float wrapped by "
        "<progress> tags."
    )


def test_braces_and_quotes_in_a_task_survive():
    assert 'the task "put {x} on "y"\nnow", first' in build_prompt('put {x} on "y"\nnow')


def test_completion_is_the_format_to_the_byte():
    assert build_completion(41.72, ("grasp the cup", "stack it")) == (
        "The following actions are required: \n1. grasp the cup\n2. stack it\n"
        "Therefore, the estimated progress is <progress>41.72%</progress>."
    )
    assert build_completion(100.0, (), "the cups are stacked.") == (
        "Image shows the final result. Reason: the cups are stacked.\n"
        "Therefore, the estimated progress is <progress>100%</progress>."
    )
    assert build_completion(100.0, ()).startswith("Image shows the final result.\nTherefore")
    assert "<progress>99.99%</progress>" in build_completion(99.996, ("stack it",))  # not 100.00 with a step left
    assert "<progress>99.99%</progress>" in build_completion(100.0, ("stack it",))


def test_impossible_progress_is_refused():
    with pytest.raises(ValueError, match=r"progress is 100\.5"):
        build_completion(100.5, ("a",))


@pytest.mark.parametrize(
    ("answer", "progress", "remaining"),
    [
        (
            "To complete the task: Tower the blocks, the following steps are required:\n1. Grasp the green block.\n"
            "2. Place it.\nTherefore, the estimated progress percentage is <progress>84.13%</progress>.",
            84.13, ("Grasp the green block.", "Place it."),
        ),
        (
            "The task requires: Tower the blocks. Images show no block outside the tower, no further steps required.\n"
            "Therefore, the estimated progress percentage is <progress>100.00%</progress>.",
            100.0, (),
        ),
        (build_completion(41.72, ("a", "b")), 41.72, ("a", "b")),
        (build_completion(100.0, (), "it is in"), 100.0, ()),
        ("<PROGRESS> 7 </PROGRESS>", 7.0, ()),
        ("<progress>.5%</progress>", 0.5, ()),
        ("1. Grasp\n50 % done", None, ("Grasp",)),
        ("<progress>105%</progress>", None, ()),
        ("<progress></progress>", None, ()),
        ("<progress>41.7", None, ()),
        ("", None, ()),
        ("1.) reach\n2.) grasp", None, ("reach", "grasp")),
        ("001: reach\n002: grasp", None, ("reach", "grasp")),
        ("(1) reach\n(2) grasp", None, ("reach", "grasp")),
        ("1.reach\n2 . grasp", None, ("reach", "grasp")),
        ("1. 3.5 cm to the left\n3.5 cm up and 12:30 later", None, ("3.5 cm to the left",)),
        ("- reach\n- grasp", None, ("reach", "grasp")),
        ("* reach\n•grasp", None, ("reach", "grasp")),
        ("1. reach\n   - slowly\n2. grasp", None, ("reach", "grasp")),
        ("**Done**\n-5 degrees", None, ()),
        ("1. reach 2. grasp Therefore, the progress is <progress>40%</progress>.", 40.0, ("reach", "grasp")),
        ("Required: 1. reach. 2. grasp it. <progress>40%</progress>", 40.0, ("reach.", "grasp it.")),
        ("Steps: 1) reach <progress>40</progress>", 40.0, ("reach",)),
        ("1. reach\n2. grasp Therefore, it is <progress>40%</progress>", 40.0, ("reach", "grasp")),
        ("1. reach\n2. grasp <progress>40%</progress>", 40.0, ("reach", "grasp")),
        ("Image shows the final result. Reason: 1. it is in 2. it is shut.", None, ()),
        ("No step is left, lamp 1. is on <progress>100</progress>", 100.0, ()),
        ("<progress>84,13%</progress>", 84.13, ()),
        ("<progress>1,000%</progress>", None, ()),
        ("<progress > 41.7 % </progress >.", 41.7, ()),
        ("< Progress>41.7</ progress>", 41.7, ()),
        ("&lt;progress&gt;41.7%&lt;/progress&gt;", 41.7, ()),
    ],
)  # fmt: skip
def test_answers_are_read(answer, progress, remaining):
    parsed = parse_answer(answer)
    assert parsed.progress == progress
    assert parsed.remaining == remaining


def test_reasoning_leaves_the_progress_sentence_out():
    assert parse_answer(build_completion(41.72, ("a", "b"))).reasoning == (
        "The following actions are required: \n1. a\n2. b"
    )


@given(progress=st.floats(0, 100), remaining=st.lists(LINE.filter(str.strip), max_size=5))
def test_what_is_built_is_parsed(progress, remaining):
    answer = parse_answer(build_completion(progress, tuple(remaining)))
    most = 99.99 if remaining else 100.0
    assert answer.progress == pytest.approx(min(progress, most), abs=0.005001)
    assert len(answer.remaining) == len(remaining)


@given(st.text())
def test_any_text_is_parsed_without_an_error(text):
    answer = parse_answer(text)
    assert answer.progress is None or 0.0 <= answer.progress <= 100.0


PIECES = st.sampled_from(
    [
        "<progress>",
        "</progress>",
        "<PROGRESS>",
        "%",
        ".",
        " ",
        "\n",
        "41.72",
        "100",
        "1. ",
        "7",
        "-",
        "<",
        ">",
        "e5",
        "Therefore",
    ]
)


@given(pieces=st.lists(PIECES | st.text(max_size=3), max_size=12))
def test_a_number_is_never_taken_from_outside_the_tag(pieces):
    """Whatever surrounds the tags, the number is the text between an opening and the next closing one."""
    text = "".join(pieces)
    answer = parse_answer(text)
    if answer.progress is not None:
        inside = [part.split("</progress>")[0] for part in text.lower().split("<progress>")[1:]]
        numbers = {part.strip().removesuffix("%").strip() for part in inside}
        assert any(number.replace(".", "").isdecimal() and float(number) == answer.progress for number in numbers)


@given(progress=st.floats(0, 100), reason=st.none() | LINE, remaining=st.lists(LINE.filter(str.strip), max_size=5))
def test_texts_survive_there_and_back(progress, reason, remaining):
    completion = build_completion(progress, tuple(remaining), reason)
    answer = parse_answer(completion)
    most = 99.99 if remaining else 100.0
    assert answer.progress == pytest.approx(min(round(progress, 2), most), abs=1e-9)
    assert answer.remaining == tuple(" ".join(text.split()) for text in remaining)
    assert "Therefore" not in answer.reasoning.splitlines()[-1]
    assert completion.startswith(answer.reasoning)


@given(task=st.text(), other=st.text())
def test_any_task_is_put_in_as_it_is(task, other):
    before, after = build_prompt("|").split("|")
    assert build_prompt(task) == before + task + after
    assert (build_prompt(task) == build_prompt(other)) == (task == other)


def test_the_answer_about_another_task_is_parsed():
    answer = parse_answer(build_absent_completion())
    assert (answer.progress, answer.remaining) == (0.0, ())


def test_endless_answers_are_read_in_no_time():
    for text in (
        "1" * 9_000 + ". x",
        "<progress>5" + " " * 50_000,
        "a" * 200_000,
        "<progress>" * 20_000,
        "1. " * 60_000,
        "." * 200_000 + "<progress>5</progress>",
    ):
        assert parse_answer(text).progress in (None, 5.0)
