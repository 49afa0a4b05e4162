"""Bases in the forms that people have: they load as one model, or are refused by the name of what is wrong."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from material import NANO
from real_base import make_real_base, rewrite_weights

from infer.model.base_files import base_digest
from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.model.source import ModelSource

FORMS = ("one file", "pytorch_model.bin", "older keys", "saved by 4.57", "vocab and merges", "template in its file")
EMBEDDING = "model.language_model.embed_tokens.weight"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The base as the hub has it, and it loaded."""
    folder = make_real_base(tmp_path_factory.mktemp("bases") / "hub")
    return folder, ProgressModel.load(ModelSource(folder))


def test_a_base_as_the_hub_has_it(hub):
    folder, model = hub
    assert model.base.lm_head.weight is model.base.model.language_model.embed_tokens.weight
    assert model.pixel_budget == (65536, 16777216)
    assert model.tokenizer.tokenize("41.72%</progress>.") == ["4", "1", ".", "7", "2", "%</", "progress", ">."]
    assert model.base_digest == base_digest(folder)


@pytest.mark.parametrize("form", FORMS)
def test_other_forms_of_the_same_base_are_the_same_model(hub, tmp_path, form):
    _, expected = hub
    model = ProgressModel.load(ModelSource(make_real_base(tmp_path / "base", form)))
    ours, theirs = (dict(m.base.named_parameters()) for m in (model, expected))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert model.base_digest == expected.base_digest
    prompt = "Therefore, the estimated progress is <progress>"
    assert model.inputs._tokenize_prompt(prompt, 2) == expected.inputs._tokenize_prompt(prompt, 2)


def test_keys_with_a_prefix_load_as_well(hub, tmp_path):
    folder = make_real_base(tmp_path / "base", "one file")
    rewrite_weights(folder, lambda tensors: {"base_model." + name: weight for name, weight in tensors.items()})
    weights = dict(ProgressModel.load(ModelSource(folder)).base.named_parameters())
    assert torch.equal(weights[EMBEDDING], dict(hub[1].base.named_parameters())[EMBEDDING])


def without(part: str):
    return lambda tensors: {name: weight for name, weight in tensors.items() if part not in name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("language_model.layers.1."),
            r"11 weights are missing \(model.language_model.layers.1.input_layernorm",
        ),
        (
            without("embed_tokens"),
            r"2 weights are missing \(lm_head.weight, model.language_model.embed_tokens.weight\)",
        ),
        (
            lambda tensors: {"x." + name: weight for name, weight in tensors.items()},
            r"100 weights are missing .*; 99 weights belong to an",
        ),
        (lambda t: t | {EMBEDDING: t[EMBEDDING][:-1]}, r"1 weights have another shape \(.*embed_tokens.weight is \("),
        (
            lambda t: t | {"model.language_model.layers.2.mlp.up_proj.weight": t[EMBEDDING] * 2},
            "1 weights belong to another",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(tmp_path, change, message, capfd):
    folder = make_real_base(tmp_path / "base", "one file")
    rewrite_weights(folder, change)
    with pytest.raises(ModelError, match=message):
        ProgressModel.load(ModelSource(folder))
    assert "LOAD REPORT" not in capfd.readouterr().err


def test_another_family_is_refused_before_it_is_built(tmp_path, monkeypatch):
    folder = Path(make_real_base(tmp_path / "base"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "qwen2_5_vl"}))
    monkeypatch.setattr("infer.model.model.load_base", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(ModelError, match="is of the family qwen2_5_vl; only qwen3_vl can be used"):
        ProgressModel.load(ModelSource(str(folder)))


def test_a_base_without_a_chat_template_is_refused(tmp_path):
    folder = Path(make_real_base(tmp_path / "base", "template in its file"))
    (folder / "chat_template.json").unlink()
    with pytest.raises(ModelError, match=r"has no chat template .* take an -Instruct model"):
        ProgressModel.load(ModelSource(str(folder)))


def test_a_device_is_checked_before_weights_are_read(monkeypatch):
    monkeypatch.setattr("infer.model.model.load_base", lambda *_: pytest.fail("it was loaded"))
    for device in ("cuda:77", "gpu"):
        with pytest.raises(ModelError, match=f'device "{device}" cannot be used .* leave --device out or use cpu'):
            ProgressModel.load(ModelSource(str(NANO), device=device))


def test_generation_settings_of_the_base_do_not_reach_the_answers(tmp_path):
    from infer.decoding.answers import answer_windows, decode_windows
    from infer.decoding.settings import Decoding

    settings = {"repetition_penalty": 1.5, "top_k": 1, "no_repeat_ngram_size": 2, "temperature": 0.01}
    loud = ProgressModel.load(ModelSource(make_real_base(tmp_path / "loud", generation=settings)))
    plain = ProgressModel.load(ModelSource(make_real_base(tmp_path / "plain")))
    frames = torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8).numpy()
    answers = {}
    for name, model in (("loud", loud), ("plain", plain)):
        windows = [model.encode_frames(frames, pixel_budget=(1024, 4096))]
        ours = decode_windows(model, windows, ["t"], Decoding(max_new_tokens=30))[0].text
        sampled = decode_windows(model, windows, ["t"], Decoding(30, temperature=1.0, seed=3))[0].text
        answers[name] = (ours, answer_windows(model, windows, "t", 30)[0], sampled)
    assert answers["loud"] == answers["plain"]
    assert answers["plain"][0] == answers["plain"][1] != answers["plain"][2]


def test_every_end_token_of_the_base_ends_an_answer(tmp_path):
    from infer.decoding.greedy import greedy_answers

    folder = make_real_base(tmp_path / "base")
    model = ProgressModel.load(ModelSource(folder))
    ends = model.tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    assert model.end_token_ids == set(ends)
    window = model.encode_frames(torch.zeros(1, 64, 64, 3, dtype=torch.uint8).numpy(), pixel_budget=(1024, 4096))
    tokens = greedy_answers(model, [window], ["t"], 20)[0].tokens
    third = tokens[2]
    path = Path(folder) / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [ends[0], third]}))
    answer = greedy_answers(ProgressModel.load(ModelSource(folder)), [window], ["t"], 20)[0]
    assert answer.tokens == tokens[: tokens.index(third) + 1] and answer.ended


def test_a_base_with_an_output_layer_of_its_own_keeps_it(tmp_path):
    folder = make_real_base(tmp_path / "base", "one file")
    rewrite_weights(folder, lambda t: t | {"lm_head.weight": t[EMBEDDING] * 2})
    base = ProgressModel.load(ModelSource(folder)).base
    assert torch.equal(base.lm_head.weight, base.model.language_model.embed_tokens.weight * 2)


def test_a_cut_off_file_is_one_line(tmp_path):
    shutil.copytree(NANO, tmp_path / "cut")
    path = tmp_path / "cut" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r'base model ".*cut" cannot be loaded'):
        ProgressModel.load(ModelSource(str(tmp_path / "cut")))
