import numpy as np
import pytest
import torch
from material import DEMO, NANO

from dataset.prompts import build_prompt
from dataset.video import VideoReader
from dataset.window import WindowSpec, window_indices
from infer.decoding.answers import answer_windows
from infer.model.errors import ModelError
from infer.model.model import ProgressConfig, ProgressModel
from infer.model.source import ModelSource
from infer.model.transformers_internals import ENCODED_IMAGES

WINDOW = WindowSpec(size=4, stride=4)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return VideoReader(DEMO / "demo.mp4").frames(range(24))


def test_encoding_once_gives_the_same_logits_as_pixels_in_the_forward_pass(nano, frames):
    chosen = [frames[i] for i in window_indices(WINDOW, 20, 25.0)]
    inputs = nano.inputs.build([nano.encode_frames(np.stack(chosen))], [build_prompt("t")])
    pixels = nano.preprocess(chosen)
    plain = {key: value for key, value in inputs.items() if key != ENCODED_IMAGES}
    with torch.no_grad():
        ours = nano.model(**inputs).logits
        theirs = nano.model(**plain, pixel_values=pixels["pixel_values"]).logits
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_a_batch_answers_like_one_by_one(nano, frames):
    features = nano.encode_frames(frames)
    windows = [[features[i] for i in window_indices(WINDOW, t, 25.0)] for t in (0, 9, 23)]
    windows.append(windows[-1][-1:])  # another length: padded
    together = answer_windows(nano, windows, build_prompt("pick up the puck"), max_new_tokens=24)
    alone = [answer_windows(nano, [w], build_prompt("pick up the puck"), max_new_tokens=24)[0] for w in windows]
    assert together == alone


def test_features_do_not_change_with_the_batch(nano, frames):
    together = nano.encode_frames(frames)
    alone = nano.encode_frames(frames[7:8])[0]
    np.testing.assert_allclose(together[7].embedding.numpy(), alone.embedding.numpy(), rtol=1e-5, atol=1e-4)


def test_every_image_token_has_its_feature(nano, frames):
    features = nano.encode_frames(frames[:2])
    inputs = nano.inputs.build([features, features[:1]], [build_prompt("t")] * 2)
    counts = (inputs["input_ids"] == nano.inputs.image_token_id).sum(1)
    assert counts.tolist() == [2 * len(features[0].embedding), len(features[0].embedding)]
    assert inputs["image_grid_thw"].shape == (3, 3)
    assert (inputs["mm_token_type_ids"] == (inputs["input_ids"] == nano.inputs.image_token_id)).all()


def test_control_tokens_in_a_task_are_refused(nano, frames):
    features = nano.encode_frames(frames[:1])
    with pytest.raises(ModelError, match="reword the task"):
        nano.inputs.build([features], [build_prompt("x <|image_pad|> y")])


def test_digits_are_split_one_by_one(nano):
    assert nano.tokenizer.tokenize("41.72") == ["4", "1", ".", "7", "2"]


def test_the_embedded_base_is_small():
    assert (NANO / "model.safetensors").stat().st_size <= 15_000_000


def test_wrong_kinds_of_folders_are_refused(tmp_path):
    with pytest.raises(ModelError, match="leave --use_lora out"):
        ProgressModel.load(ModelSource(str(NANO), use_lora=True))
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="add --use_lora"):
        ProgressModel.load(ModelSource(str(tmp_path)))
    with pytest.raises(ModelError, match="names no base model"):
        ProgressModel.load(ModelSource(str(tmp_path), use_lora=True))
    with pytest.raises(ModelError, match="holds no LoRA adapter"):
        ProgressModel.load(ModelSource(str(tmp_path / "nothing"), use_lora=True))


def test_a_base_that_cannot_be_found_names_the_remedy():
    with pytest.raises(ModelError, match=r'base model "nobody/nothing" cannot be loaded .*--base_model'):
        ProgressModel.load(ModelSource("nobody/nothing"))
    with pytest.raises(ModelError, match='torch_dtype "float99" is unknown'):
        ProgressModel.load(ModelSource(str(NANO), torch_dtype="float99"))


def test_progress_config_survives_the_file(tmp_path):
    config = ProgressConfig(WINDOW, None, 9216, ("t",), 1)
    config.save(tmp_path)
    assert ProgressConfig.read(tmp_path) == config
    (tmp_path / "progress_config.json").write_text("{}")
    with pytest.raises(ModelError, match="damaged"):
        ProgressConfig.read(tmp_path)
    with pytest.raises(ModelError, match="window rule is unknown"):
        ProgressConfig.read(tmp_path / "nothing")


def test_what_did_not_fit_once_is_not_tried_again(nano, monkeypatch):
    sizes, encode = [], nano.encode_pixels

    def scarce(pixel_values, image_grid_thw):
        sizes.append(len(image_grid_thw))
        if len(image_grid_thw) > 4:
            raise torch.OutOfMemoryError("out of memory")
        return encode(pixel_values, image_grid_thw)

    monkeypatch.setattr(nano, "encode_pixels", scarce)
    monkeypatch.setattr(nano, "_batch_limits", {})
    frames = np.zeros((16, 32, 32, 3), np.uint8)
    assert len(nano.encode_frames(frames)) == len(nano.encode_frames(frames)) == 16
    assert sizes == [16, 8, 4, 4, 4, 4, 4, 4, 4, 4]
    assert nano.batch_limit(16, "frames", (1, 2)).size == 16  # smaller pictures have a limit of their own
