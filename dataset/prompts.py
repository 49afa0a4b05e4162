"""The prompt and the answer: rendered and parsed side by side, so that training and inference always agree.

Knows the wording (a data format shared with ProcVLM models; see templates/). Does not know images, tokens or chat
templates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PROMPT_VERSION = 1
IMAGE_MARK = "<image>"  # stands for one picture in the text of a conversation; all marks come before the words

_ACTIONS_INTRO = "The following actions are required: "  # with the trailing space of the format
_DONE_INTRO = "Image shows the final result."
_ABSENT_INTRO = "Nothing of this task is visible."
_MOST_UNFINISHED = 99.99  # percent: two decimals must not round an unfinished task to a finished one
_PROGRESS_INTRO = "Therefore, the estimated progress is "
PROGRESS_OPENING = f"{_PROGRESS_INTRO}<progress>"  # the text before the number
_OPEN, _CLOSE = r"(?:<|&lt;)\s*progress\s*(?:>|&gt;)", r"(?:<|&lt;)\s*/\s*progress\s*(?:>|&gt;)"
_NUMBER = r"\d+(?:\.\d+|,\d{1,2})?|\.\d+"  # "84,13" is a decimal comma, "1,000" is not
_PROGRESS_TAG = re.compile(rf"{_OPEN}\s*({_NUMBER})\s*(?:[%％]\s*)?{_CLOSE}", re.IGNORECASE)
_OPEN_TAG = re.compile(_OPEN, re.IGNORECASE)
_TAG_AT_END = re.compile(rf"{_OPEN}[^<&]*{_CLOSE}\s*\.?\Z", re.IGNORECASE)
_STEP_NUMBER = r"\(?\d{1,6}\s?[.):]+(?![\d.):])"  # "1.", "1)", "1.)", "(1)", "001:"; not the "3." of "3.5 cm"
_NUMBERED_LINE = re.compile(rf"^\s*{_STEP_NUMBER}[^\S\n]*(\S.*?)\s*$", re.MULTILINE)
_BULLET_LINE = re.compile(r"^\s*(?:[-*–][^\S\n]+|•\s*)(\S.*?)\s*$", re.MULTILINE)
_NUMBER_INSIDE = re.compile(rf"(?:(?<=\s)|^){_STEP_NUMBER}\s*")
_SENTENCE_END = re.compile(r"\n|(?<![\s(]\d)(?<![\s(]\d\d)(?<!^\d)(?<!^\d\d)\.(?!\d)", re.MULTILINE)
_THEREFORE = re.compile(r"\btherefore\b", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """The content of an answer.

    Args:
        progress: Percent, 0 to 100, from inside the tag; None where no tag holds such a number.
        remaining: The remaining actions in order; empty when the task is done.
        reasoning: The answer without its progress sentence.
    """

    progress: float | None
    remaining: tuple[str, ...]
    reasoning: str


@cache
def _prompt_template() -> str:
    return files("dataset").joinpath("templates", "prompt.txt").read_text(encoding="utf-8").removesuffix("\n")


def build_prompt(task: str) -> str:
    """Return the question for `task`; the text is inserted unchanged, with braces and quotes."""
    return _prompt_template().replace("{task}", task)


def build_completion(progress: float, remaining: tuple[str, ...], reason: str | None = None) -> str:
    """Return the correct answer.

    Args:
        progress: Percent, 0 to 100; rendered with two decimals, 100 as "100". While actions remain, at most 99.99.
        remaining: Texts of the remaining stages, the current one first. Empty: the task is done.
        reason: Why the task counts as done; only in the answer of a finished frame.
    """
    if not 0.0 <= progress <= 100.0:
        raise ValueError(f"progress is {progress}; it is a percentage, 0 to 100")
    if remaining:
        progress = min(progress, _MOST_UNFINISHED)
        steps = "".join(f"{number}. {' '.join(text.split())}\n" for number, text in enumerate(remaining, start=1))
        reasoning = f"{_ACTIONS_INTRO}\n{steps}"
    elif reason and reason.strip():
        reasoning = f"{_DONE_INTRO} Reason: {' '.join(reason.split()).removesuffix('.')}.\n"
    else:
        reasoning = f"{_DONE_INTRO}\n"
    number = "100" if progress == 100.0 else f"{progress:.2f}"
    return f"{reasoning}{_PROGRESS_INTRO}<progress>{number}%</progress>."


def build_absent_completion() -> str:
    """Return the answer to a question about another task than the one in the pictures."""
    return f"{_ABSENT_INTRO}\n{_PROGRESS_INTRO}<progress>0.00%</progress>."


def parse_answer(text: str) -> Answer:
    """Parse an answer in any of the four forms of ProcVLM models; never raises.

    The number is the one inside the last <progress> tag that holds a number: with or without "%", spaces, capitals, a
    decimal comma or escaped brackets. A number outside 0 to 100 is no percentage: progress is then None. The steps are
    the numbered lines ("1.", "1)", "1.)", "(1)", "1:"), without any the lines with bullets, and in an answer of one
    line the parts between the numbers 1, 2, 3.
    """
    values = [float(match.group(1).replace(",", ".")) for match in _PROGRESS_TAG.finditer(text)]
    progress = values[-1] if values and 0.0 <= values[-1] <= 100.0 else None
    reasoning = _without_progress_sentence(text.rstrip())
    return Answer(progress, _steps(reasoning), reasoning)


def _steps(reasoning: str) -> tuple[str, ...]:
    """Return the remaining actions that an answer lists."""
    if "\n" not in reasoning.strip():
        inside = _steps_of_one_line(reasoning.strip())
        if inside:
            return inside
    for form in (_NUMBERED_LINE, _BULLET_LINE):
        steps = tuple(match.group(1) for match in form.finditer(reasoning))
        if steps:
            return steps
    return ()


def _steps_of_one_line(line: str) -> tuple[str, ...]:
    """Return the parts after 1., 2., 3. and so on in a line; nothing where these are not the numbers of a list."""
    if line.startswith(_DONE_INTRO):
        return ()
    marks: list[re.Match[str]] = []
    for mark in _NUMBER_INSIDE.finditer(line):
        if int("".join(filter(str.isdecimal, mark.group()))) == len(marks) + 1:
            marks.append(mark)
    if not marks or (len(marks) == 1 and line[: marks[0].start()].strip()[-1:] not in ("", ":")):
        return ()
    ends = [*(mark.start() for mark in marks[1:]), len(line)]
    parts = [line[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    return tuple(part for part in parts if part)


def end_of_open_tag(text: str) -> int | None:
    """Return where the number of an answer begins: behind the last tag that is not closed, or is closed by a number.

    Returns:
        A place in the text; None without such a tag.
    """
    tags = list(_OPEN_TAG.finditer(text))
    if not tags:
        return None
    end = tags[-1].end()
    return end if "</progress>" not in text[end:].lower() or _PROGRESS_TAG.match(text, tags[-1].start()) else None


def with_opening(text: str) -> str:
    """Return the beginning of an answer with the progress sentence completed up to its number, or added as a line.

    An answer that was cut off inside the sentence ends with a beginning of it, which is not repeated.
    """
    for length in range(min(len(text), len(PROGRESS_OPENING)), 0, -1):
        begun = text[len(text) - length :]
        before = text[: len(text) - length]
        if PROGRESS_OPENING.startswith(begun) and (not before or before[-1].isspace()):
            return text + PROGRESS_OPENING[length:]
    return text + ("" if text.endswith("\n") or not text else "\n") + PROGRESS_OPENING


def _without_progress_sentence(text: str) -> str:
    """Return an answer without its last sentence if that ends in a progress tag.

    A step that the sentence follows without a full stop ("2. grasp it Therefore, ...") stays.
    """
    tags = [match.start() for match in _OPEN_TAG.finditer(text)]
    if not tags or not _TAG_AT_END.match(text, tags[-1]):
        return text
    start = 0
    for end in _SENTENCE_END.finditer(text, 0, tags[-1]):
        start = end.end()
    sentence = text[start : tags[-1]]
    words = [match.start() for match in _THEREFORE.finditer(sentence)]
    if words:
        start += words[-1]
    elif _NUMBER_INSIDE.search(sentence):
        start = tags[-1]
    return text[:start].rstrip()
