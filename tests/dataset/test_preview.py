import re
from dataclasses import replace

import numpy as np
import pytest
from material import make_annotation, number_of
from PIL import Image

from dataset.demonstration import Demonstration
from dataset.preview import choose_samples, plot_curve, preview_demonstration, write_preview
from dataset.samples import SamplingSpec, build_sample_set
from dataset.window import WindowSpec

SAMPLING = SamplingSpec(reversed_share=0.5, held_share=0.5, wrong_task_share=0.5, wrong_tasks=("Open the <drawer>",))


@pytest.fixture
def demonstration(video):
    annotation = replace(make_annotation(video, 10, 30), task="Put <b>it</b> & {leave}")
    return Demonstration("data/demo.json", annotation, str(video))


@pytest.fixture
def samples(demonstration):
    return build_sample_set([demonstration], WindowSpec(4, stride=3), SAMPLING)


def test_the_page_is_one_file_that_needs_no_network(demonstration, samples, tmp_path):
    shown = write_preview(tmp_path / "p.html", [demonstration], samples)
    page = (tmp_path / "p.html").read_text()
    assert page.count("<article>") == shown == 24  # six of each of four kinds
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http" not in page
    assert "Put &lt;b&gt;it&lt;/b&gt; &amp; {leave}" in page and "<b>it" not in page
    assert "Open the &lt;drawer&gt;" in page
    assert len(samples) > 80 and f"{len(samples)} samples in all" in page


def test_pictures_are_the_frames_of_the_window(demonstration, samples):
    import base64
    import io

    for entry in preview_demonstration(demonstration, samples)["samples"]:
        pictures = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))) for uri in entry["pictures"]
        ]
        assert [number_of(picture) for picture in pictures] == list(entry["sample"].window_frame_indices)


def test_chosen_samples_are_spread_and_in_order(samples):
    chosen = choose_samples(samples, per_kind=3)
    forward = [sample.frame_index for sample in chosen if sample.direction == "forward"]
    assert forward[0] == 0 and forward[-1] == 39 and len(forward) == 3
    assert [s.frame_index for s in chosen] == sorted(s.frame_index for s in chosen)


def test_the_curve_is_interrupted_by_excluded_stages(video):
    annotation = make_annotation(video, 10, 20, 30)
    stages = (annotation.stages[0], replace(annotation.stages[1], excluded=True), annotation.stages[2])
    annotation = replace(annotation, stages=stages)
    curve = np.full(40, 50.0)
    curve[10:20] = np.nan
    plot = plot_curve(annotation, curve)
    assert [len(line.split()) for line in plot["lines"]] == [10, 20]
    assert [(band["x"], band["width"]) for band in plot["bands"]] == [(0, 225), (225, 225), (450, 225)]
    assert plot["lines"][0].startswith("11.2,75.0 ")
