"""Several adapters on one base in memory, and what is read from an adapter folder."""

import ast

import numpy as np
import pytest
from made_adapter import make_adapter
from material import DEMO, NANO, ROOT

from dataset.prompts import build_prompt
from dataset.video import VideoReader
from dataset.window import WindowSpec
from infer.decoding.answers import answer_windows
from infer.decoding.settings import Decoding
from infer.model import adapter_folder
from infer.model.adapter_folder import base_of_adapter, is_adapter, rank_of_adapter
from infer.model.encoded_video import EncodedVideo
from infer.model.errors import ModelError
from infer.model.model import BASE, ProgressModel
from infer.model.source import ModelSource
from infer.playback import predict_video
from infer.request import choose_window

PROMPT = build_prompt("Pick up the puck")


@pytest.fixture(scope="module")
def drawer(tmp_path_factory):
    return make_adapter(tmp_path_factory.mktemp("a") / "drawer", 1, WindowSpec(size=3, stride=2))


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    return make_adapter(tmp_path_factory.mktemp("b") / "block", 2, WindowSpec(size=2, stride=5), max_pixels=4096)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return VideoReader(DEMO / "demo.mp4").frames([0, 50, 100])


def answer(model: ProgressModel, frames: np.ndarray) -> str:
    return answer_windows(model, [model.encode_frames(frames)], PROMPT, 30)[0]


def test_two_adapters_on_one_base_answer_like_each_alone(drawer, block, frames, nano):
    alone = {
        name: ProgressModel.load(ModelSource(path, use_lora=True))
        for name, path in (("drawer", drawer), ("block", block))
    }
    expected = {name: answer(model, frames) for name, model in alone.items()}
    plain = answer(nano, frames)
    assert len({plain, *expected.values()}) == 3

    model = ProgressModel.load(ModelSource(drawer, use_lora=True))
    weights = {name: weight.data_ptr() for name, weight in model.base.named_parameters() if "lora" not in name}
    assert model.load_adapter(block) == "block"
    assert answer(model, frames) == expected["block"]  # the newest one is active
    model.set_adapter("default")
    assert answer(model, frames) == expected["drawer"]
    with model.adapter_switch("block"):
        assert answer(model, frames) == expected["block"]
    assert answer(model, frames) == expected["drawer"]
    with model.adapter_switch(BASE):
        assert answer(model, frames) == plain
    here = {name: weight.data_ptr() for name, weight in model.base.named_parameters() if "lora" not in name}
    assert here == weights  # one base in memory


def test_an_adapter_put_on_a_base_that_is_loaded_already(drawer, frames):
    model = ProgressModel.load(ModelSource(str(NANO)))
    assert model.load_adapter(drawer) == "drawer"
    assert answer(model, frames) == answer(ProgressModel.load(ModelSource(drawer, use_lora=True)), frames)


def test_window_and_pixels_come_with_the_active_adapter(drawer, block):
    model = ProgressModel.load(ModelSource(drawer, use_lora=True))
    own = model.pixel_budget
    model.load_adapter(block)
    assert choose_window(model.progress_config) == WindowSpec(size=2, stride=5)
    assert model.pixel_budget == (own[0], 4096)
    model.set_adapter("default")
    assert choose_window(model.progress_config) == WindowSpec(size=3, stride=2)
    assert model.pixel_budget == own


def test_requests_choose_their_adapter_and_share_features_of_equal_pixels(drawer, block):
    model = ProgressModel.load(ModelSource(drawer, use_lora=True))
    model.load_adapter(block)
    reader = VideoReader(DEMO / "demo.mp4")
    video = EncodedVideo(model, reader, keep_all=True)
    window = WindowSpec(size=2, stride=2)

    def read(adapter: str) -> list[str]:
        decoding = Decoding(max_new_tokens=20)
        predictions = predict_video(model, video, "t", window, [0, 40, 80], adapter=adapter, decoding=decoding)
        return [prediction.model_output for prediction in predictions]

    answers = [read("default"), read("block"), read(BASE), read("default")]
    assert answers[0] == answers[3]
    assert answers[0] != answers[1] != answers[2] != answers[0]
    budgets = {key[0] for key in video._features}
    assert len(budgets) == 2  # the two adapters resize differently


def test_what_does_not_fit_is_refused(drawer, block, tmp_path):
    model = ProgressModel.load(ModelSource(drawer, use_lora=True))
    with pytest.raises(ModelError, match=r'no adapter "x" is loaded; loaded are: default'):
        model.set_adapter("x")
    model.load_adapter(block)
    with pytest.raises(ModelError, match=r'"block" is loaded already'):
        model.load_adapter(block)
    with pytest.raises(ModelError, match='cannot be named "base"'):
        model.load_adapter(block, "base")
    other = tmp_path / "other"
    make_adapter(other, 3, WindowSpec(size=2, stride=1))
    config = (other / "adapter_config.json").read_text().replace(str(NANO), "somebody/else")
    (other / "adapter_config.json").write_text(config)
    with pytest.raises(ModelError, match="was trained on somebody/else"):
        model.load_adapter(str(other))
    assert model.load_adapter(str(other), base_model=str(NANO)) == "other"


def test_contradicting_pixels_are_refused(block):
    with pytest.raises(ModelError, match="trained with max_pixels 4096, not 9216"):
        ProgressModel.load(ModelSource(block, use_lora=True, max_pixels=9216))
    assert ProgressModel.load(ModelSource(block, use_lora=True, max_pixels=4096)).pixel_budget[1] == 4096


def test_an_adapter_of_the_vision_tower_is_refused(tmp_path):
    folder = make_adapter(tmp_path / "v", 1, WindowSpec(size=2, stride=1), targets=["qkv", "q_proj"])
    with pytest.raises(ModelError, match=r"changes the vision tower .*; merge it"):
        ProgressModel.load(ModelSource(folder, use_lora=True))


def test_what_is_read_from_a_folder(drawer, tmp_path):
    assert is_adapter(drawer) and not is_adapter(NANO)
    assert base_of_adapter(drawer) == str(NANO) and rank_of_adapter(drawer) == 4
    (tmp_path / "adapter_config.json").write_text("{broken")
    with pytest.raises(ModelError, match=r"adapter_config\.json is damaged"):
        base_of_adapter(tmp_path)


def test_no_other_file_repeats_the_names_of_the_folder():
    names = {value for name, value in vars(adapter_folder).items() if name.isupper() and "." in value}
    assert {"adapter_config.json", "train_summary.json", "README.md", "samples.jsonl"} < names and len(names) == 12
    for package in ("annotate", "dataset", "infer", "train"):
        for path in (ROOT / package).glob("**/*.py"):
            if path == ROOT / "infer" / "model" / "adapter_folder.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    assert node.value.rsplit("/", 1)[-1] not in names, f"{path}: {node.value}"
