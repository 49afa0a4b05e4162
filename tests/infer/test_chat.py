import pytest
from material import DEMO, NANO
from PIL import Image

from dataset.prompts import build_prompt
from dataset.video import VideoReader
from infer.chat import batch_chat
from infer.decoding.answers import answer_windows
from infer.decoding.settings import Decoding
from infer.model.model import ProgressModel
from infer.model.source import ModelSource

PROMPT = build_prompt("Pick up the puck")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paths = []
    for index, frame in VideoReader(DEMO / "demo.mp4").iter_frames([0, 40, 80]):
        paths.append(str(folder / f"{index}.png"))
        Image.fromarray(frame).save(paths[-1])
    return paths


def item(images, text=PROMPT):
    return {"image": images, "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": "?"}]}


def test_items_are_answered_in_order_like_windows(nano, images, monkeypatch):
    encoded = []
    real = ProgressModel.encode_frames
    monkeypatch.setattr(
        ProgressModel,
        "encode_frames",
        lambda self, frames, **options: encoded.append(len(frames)) or real(self, frames),
    )
    items = [item(images[:2]), item(images[2]), item(images[:2], "<image>\n<image>" + PROMPT)]
    answers = batch_chat(items, nano, Decoding(batch_size=3))
    assert sum(encoded) == 3  # each file once
    features = nano.encode_frames(VideoReader(DEMO / "demo.mp4").frames([0, 40, 80]))
    expected = [answer_windows(nano, [window], PROMPT)[0] for window in (features[:2], features[2:])]
    assert answers == [*expected, expected[0]]
    assert batch_chat(items, nano, Decoding(batch_size=1)) == answers


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda i: {**item(i), "image": []}, "item 1 has no images"),
        (lambda i: {"image": i, "conversations": []}, "0 human turns"),
        (lambda i: item(i, "<image>" + PROMPT), "3 images, but 1 <image> marks"),
        (lambda i: item(i, "Look: <image><image><image>"), "text before an <image> mark"),
        (lambda i: item(["missing.png"]), r"image missing\.png cannot be read"),
    ],
)
def test_items_that_cannot_be_used_are_named(nano, images, broken, message):
    with pytest.raises(ValueError, match=message):
        batch_chat([item(images[:1]), broken(images)], nano, Decoding(max_new_tokens=2))


def test_a_model_is_named_or_loaded(nano, images):
    with pytest.raises(TypeError, match="model"):
        batch_chat([item(images)])
    decoding = Decoding(max_new_tokens=2)
    (answer,) = batch_chat([item(images)], nano, decoding)
    assert batch_chat([item(images)], str(NANO), decoding) == [answer]
    assert batch_chat([item(images)], ModelSource(str(NANO)), decoding) == [answer]
