import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
from material import number_of, write_video
from PIL import Image

from dataset.video import VideoReader
from infer.metrics.calibration import reliability_bins
from infer.report.plots import AXIS_LEFT, AXIS_RIGHT, THEME, draw_episode, draw_reliability, filmstrip, strip

NAN = float("nan")


def picture(url: str) -> Image.Image:
    kind, data = url.split(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_an_episode_takes_the_page_s_colours_and_has_its_own_ids():
    curves = {name: np.array([0.0, NAN, 100.0]) for name in ("label", "base", "adapter", "time baseline")}
    text = draw_episode([0.0, 1.0, 2.0], curves, [1.0], "episode3")
    ElementTree.fromstring(text.replace("xlink:href", "href"))
    assert not any(colour in text for colour in THEME)
    for name in curves:
        assert f"stroke: var(--{name.split()[0]})" in text and f">{name}</text>" in text
    assert all(identifier.startswith("episode3-") for identifier in re.findall(r'\bid="([^"]*)"', text))
    assert "http" not in text and "metadata" not in text


def test_the_filmstrip_fits_under_the_axis():
    text = draw_episode([0.0, 4.0], {"label": np.array([0.0, 100.0])})
    width = float(re.search(r'viewBox="0 0 ([\d.]+) ', text).group(1))
    background = re.search(r'axes_1">.*?<path d="M ([\d.]+) [\d.]+ *\nL ([\d.]+)', text, re.DOTALL)
    left, right = (float(place) / width for place in background.groups())
    assert abs(left - AXIS_LEFT) < 0.002 and abs(right - AXIS_RIGHT) < 0.002


def test_reliability_draws_the_bins_where_there_are_any():
    bins = reliability_bins(np.array([10.0, 60.0]), np.array([20.0, 80.0]))
    assert ">expected value<" in draw_reliability(bins)
    assert ">expected value<" not in draw_reliability([]) and ">perfect<" in draw_reliability([])


def test_frames_are_those_of_their_time(tmp_path):
    # the first 10 frames pass in 0.1 s, the other 10 in 1 s: most of the strip shows the latter
    times = [*range(0, 100, 10), *range(100, 1100, 100)]
    reader = VideoReader(write_video(tmp_path / "v.mkv", 20, times=times))
    image = np.asarray(picture(filmstrip(reader, 0.0, 1.0, 5)).convert("RGB"))
    assert image.shape == (64, 5 * 96, 3)
    assert [number_of(part) for part in np.split(image, 5, axis=1)] == [10, 12, 14, 16, 18]


def test_strips_scale_and_keep_the_shape():
    frames = np.zeros((3, 120, 240, 3), dtype=np.uint8)
    assert picture(strip(frames)).size == (3 * 96, 48)
    assert picture(strip(frames, height=30)).size == (3 * 60, 30)
