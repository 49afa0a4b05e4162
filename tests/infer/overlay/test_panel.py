import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from dataset.annotation import Stage
from infer.overlay.panel import Curve, Panel, fit_text, runs, value_text

FONT = ImageFont.load_default(15)


def row(frame: int, progress: float | None, reasoning: str = "1. lift", **fields) -> dict:
    return {"frame_index": frame, "progress": progress, "reasoning": reasoning, **fields}


def test_the_prediction_in_force_is_the_latest_one():
    curve = Curve("", [row(2, 1.0), row(5, 2.0)])
    assert [curve.at(i) and curve.at(i)["progress"] for i in (0, 2, 4, 5, 9)] == [None, 1.0, 1.0, 2.0, 2.0]


@given(st.text(alphabet="ab c\n", max_size=300), st.integers(20, 300), st.integers(1, 6))
def test_text_fits_whatever_it_is(text, width, most):
    lines = fit_text(text, FONT, width, most)
    assert len(lines) <= most
    assert all(FONT.getlength(line) <= width for line in lines)
    if "..." not in "".join(lines):
        assert "".join(lines).replace(" ", "") == "".join(text.split())


def test_text_that_is_left_out_is_marked():
    lines = fit_text("word " * 100, FONT, 200, 2)
    assert len(lines) == 2 and lines[1].endswith("...")


def test_a_curve_is_split_where_there_is_no_value():
    assert runs([(0, 1.0), (1, math.nan), (2, 3.0), (3, 4.0)]) == [[(0, 1.0)], [(2, 3.0), (3, 4.0)]]


def test_how_a_value_came_about_is_said():
    assert value_text(None) == "no prediction yet"
    assert value_text(row(0, None)) == "no percentage in the answer"
    assert value_text(row(0, 41.72, progress_source="model")) == "41.7 %"
    assert value_text(row(0, 41.72, progress_source="previous")) == "41.7 % (carried forward)"
    assert value_text(row(0, 41.72, progress_source="forced")) == "41.7 % (tag filled in)"
    assert value_text(row(0, 41.72, progress_source="expected", progress_std=3.21)) == "41.7 +- 3.2 %"


@pytest.mark.parametrize("width", [400, 640, 1920])
def test_all_frames_have_one_height_even_with_long_texts_and_gaps(width):
    rows = [row(0, None, "word " * 2000), row(3, 50.0, "x" * 900), row(5, 80.0, "")]
    stages = [Stage("s" * 300, 0, 4, False), Stage("t", 4, 5, True)]
    label = np.array([0.0, 10.0, math.nan, 30.0, 40.0, 50.0])
    panel = Panel(width, [Curve("a", rows), Curve("b", rows)], 6, "task " * 2000, label, stages)
    sizes = {panel.draw(index, index / 25).size for index in range(6)}
    assert sizes == {(width, panel.height)} and panel.height % 2 == 0
    assert panel.height < 1.2 * width


def test_a_video_of_one_frame():
    assert Panel(640, [Curve("", [row(0, 10.0)])], 1, "t").draw(0, 0.0).width == 640


def test_more_than_two_models_are_refused():
    with pytest.raises(ValueError, match="3 models"):
        Panel(640, [Curve("", [])] * 3, 1, "t")
