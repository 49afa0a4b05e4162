import json
from dataclasses import replace

import numpy as np
import pytest
from material import make_annotation, number_of
from PIL import Image

from dataset.demonstration import Demonstration
from dataset.formats.conversations import CONVERSATIONS, write_conversations
from dataset.samples import SamplingSpec, build_samples
from dataset.window import WindowSpec


@pytest.fixture
def samples(video):
    annotation = make_annotation(video, 10, 30, reason="it is in")
    sampling = SamplingSpec(every=5, reversed_share=1.0, single_frame_share=1.0, finished_frames=1)
    return build_samples(Demonstration("d.json", annotation, str(video)), WindowSpec(4, stride=3), sampling)


def test_every_row_is_loadable_from_the_folder(samples, tmp_path):
    folder = tmp_path / "export"
    assert write_conversations(folder, samples) == len(list(folder.rglob("*.jpg")))
    rows = [json.loads(line) for line in (folder / CONVERSATIONS).read_text().splitlines()]
    assert len(rows) == len(samples)
    for row, sample in zip(rows, samples, strict=True):
        human, gpt = row["conversations"]
        assert (human["from"], gpt["from"]) == ("human", "gpt")
        assert human["value"].count("<image>") == len(row["image"])
        assert human["value"].endswith(sample.prompt) and gpt["value"] == sample.completion
        pictures = [np.asarray(Image.open(folder / name)) for name in row["image"]]  # relative to the folder
        assert [number_of(picture) for picture in pictures] == list(sample.window_frame_indices)


def test_an_export_is_replaced_and_other_folders_are_not(samples, tmp_path):
    folder = tmp_path / "export"
    write_conversations(folder, samples)
    write_conversations(folder, samples[:1])
    assert len((folder / CONVERSATIONS).read_text().splitlines()) == 1
    assert len(list(folder.rglob("*.jpg"))) == len(set(samples[0].window_frame_indices))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    with pytest.raises(ValueError, match="is no earlier export"):
        write_conversations(mine, samples)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


def test_a_text_that_holds_the_picture_mark_is_refused(samples, tmp_path):
    with pytest.raises(ValueError, match="marks pictures; reword it"):
        write_conversations(tmp_path / "export", [replace(samples[0], prompt="look at <image>")])
    assert not (tmp_path / "export").exists()
