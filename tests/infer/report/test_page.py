import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from report_material import NAN, good_results, make_answers, make_report_of, make_result

from infer.report.page import format_table, format_verdict, render_html, render_markdown

VOID = {"br", "img", "meta", "link", "input", "hr", "path", "use"}


class Page(HTMLParser):
    """Collects tags, texts and addresses, and makes sure that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "data", "action", "poster"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "title"} & set(self.open):
            self.texts.append(data)


@pytest.fixture(scope="module")
def report(video):
    return make_report_of(good_results(video))


@pytest.fixture(scope="module")
def html(report) -> str:
    return render_html(report)


def test_the_page_is_well_formed_and_opens_offline(html):
    page = Page(html)
    assert not page.open
    assert page.addresses and all(address.startswith(("data:image/jpeg;base64,", "#")) for address in page.addresses)
    assert "http:" not in html and "https:" not in html and "@import" not in html
    assert "script" not in page.tags and "link" not in page.tags
    assert len(page.ids) == len(set(page.ids))
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)


def test_the_verdict_comes_first(html):
    text = " ".join(" ".join(Page(html).texts).split())
    assert text.index("Adopt") < 400
    assert text.index("Adopt") < text.index("cycle_voc") < text.index("Shortcut tests") < text.index("worst windows")


def test_every_part_is_there(html, report):
    assert html.count("<svg") == len(report.results) + 1  # a plot each, and the reliability plot
    assert html.count('alt="Frames of') == len(report.results)
    assert html.count('class="card window"') == 4  # the videos are shorter than two seconds: one place each
    for colour in ("--label", "--base", "--adapter", "--time"):
        assert html.count(f"stroke: var({colour})") >= len(report.results)
    assert "#0102" not in html  # the colours that stand for the page's own
    assert "points on 16 held-out windows" in html


def test_hostile_text_is_shown_literally(report):
    hostile = {**report.document, "task": "<script>alert(1)</script>"}
    assert "<script" not in render_html(replace(report, document=hostile))


def test_table_shows_a_dash_for_the_undefined(video):
    results = [make_result(video, {"base": [50.0] * 4, "adapter": [0, NAN, 70, 100]}, shortcuts=make_answers())]
    lines = format_table(make_report_of(results).document).splitlines()
    assert lines[0].split() == [
        "held-out",
        "successes",
        "(1)",
        "base",
        "adapter",
        *["time", "baseline", "constant", "baseline"],
    ]
    assert lines[1].split() == ["voc", "-", "1.00", "1.00", "-"]
    assert len({len(line) for line in lines}) == 1


def test_the_terminal_names_verdict_and_remedy(video):
    results = [make_result(video, {"base": [9.0] * 4, "adapter": [0, 40, 70, 100]}, shortcuts=make_answers())]
    lines = format_verdict(make_report_of(results, ("look here",)).document).splitlines()
    assert lines[0].startswith("verdict: need more demos. Held-out successes: 1. A verdict needs 3.")
    assert "Annotate more successful episodes (2)" in lines[1] and lines[-1] == "  note: look here"


def test_markdown_holds_the_same_figures(report):
    text = render_markdown(report)
    assert "**Verdict: adopt.**" in text
    rows = [line for line in text.splitlines() if line.startswith("| voc |")]
    assert len(rows) == 2 and "1.00" in rows[0]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| cycle_voc")]
    assert widths == [6, 6]  # metric and four readers
    assert "{{" not in text and "{%" not in text


def test_without_shortcut_tests_the_page_says_so(video):
    results = [make_result(video, {"base": [9.0] * 4, "adapter": [0, 40, 70, 100]})]
    report = make_report_of(results)
    assert "Not run" in render_html(report) and "## Shortcut tests" not in render_markdown(report)


def test_nothing_held_out_is_said(video):
    results = [replace(result, held_out=False) for result in good_results(video)]
    report = make_report_of(results)
    assert "no episode was held out" in format_table(report.document)
    assert "No episode was held out" in render_html(report)


def test_a_mean_says_in_how_many_episodes_it_is_undefined(video):
    flat = make_result(video, {"base": [50.0] * 4, "adapter": [95.0] * 4}, episode="flat", shortcuts=make_answers())
    report = make_report_of([*good_results(video), flat])
    for text in (render_html(report), render_markdown(report), format_table(report.document)):
        assert "1.00 (1 undefined)" in text
    assert report.document["successes"]["undefined"]["adapter"]["cycle_voc"] == 1
    assert "(1 of 4 have none, which counts as -1)" in format_verdict(report.document)


def test_the_reason_of_the_verdict_is_printed_once(video):
    results = [make_result(video, {"base": [9.0] * 4, "adapter": [0, 40, 70, 100]}, shortcuts=make_answers())]
    report = make_report_of(results)
    for text in (format_verdict(report.document), render_markdown(report)):
        assert text.count(report.verdict.sentence) == 1


def test_a_shuffled_adapter_stands_beside_each_test(html, report):
    assert html.count("passed, as by a shuffled adapter: shows nothing") == 2  # blank images and another task
    assert "5 of 5" in html and "Peel the banana" in html and "shuffled adapter |" in render_markdown(report)
