"""The files of a base: its family, and a digest that tells weights apart and not their form."""

import json
import shutil

import pytest
import torch
from material import NANO
from safetensors.torch import load_file, save_file

from infer.model.base_files import base_digest, base_folder, refuse_other_family
from infer.model.errors import ModelError


def base_of(folder, tensors):
    folder.mkdir()
    shutil.copy(NANO / "config.json", folder)
    save_file(tensors, folder / "model.safetensors")
    return str(folder)


@pytest.fixture(scope="module")
def weights():
    return {name: weight.bfloat16() for name, weight in load_file(NANO / "model.safetensors").items()}


def test_the_digest_does_not_depend_on_the_form_of_the_files(tmp_path, weights):
    digest = base_digest(base_of(tmp_path / "one", weights))
    assert base_digest(base_of(tmp_path / "float32", {n: w.float() for n, w in weights.items()})) == digest
    assert base_digest(base_of(tmp_path / "older", {"base_model." + n: w for n, w in weights.items()})) == digest

    names = sorted(weights)
    shards = tmp_path / "shards"
    shards.mkdir()
    for number, part in enumerate((names[::2], names[1::2])):
        save_file({name: weights[name] for name in part}, shards / f"model-{number}.safetensors")
    index = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(names)}
    (shards / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert base_digest(str(shards)) == digest

    pickled = tmp_path / "bin"
    pickled.mkdir()
    embedding = weights["model.language_model.embed_tokens.weight"]
    torch.save({**weights, "lm_head.weight": embedding}, pickled / "pytorch_model.bin")
    assert base_digest(str(pickled)) == digest


def test_another_training_of_the_weights_changes_the_digest(tmp_path, weights):
    digest = base_digest(base_of(tmp_path / "one", weights))
    for name in ("model.language_model.layers.0.mlp.up_proj.weight", "model.visual.blocks.0.norm1.bias"):
        other = {**weights, name: weights[name] * 1.01 + 0.01}
        assert base_digest(base_of(tmp_path / name, other)) != digest, name
    without = {name: weight for name, weight in weights.items() if ".layers.3." not in name}
    assert base_digest(base_of(tmp_path / "fewer", without)) != digest
    assert base_digest(base_of(tmp_path / "rounded", {n: w.half() / 3 for n, w in weights.items()})) != digest


def test_weights_that_are_not_there_or_damaged(tmp_path, weights):
    with pytest.raises(ModelError, match=r'"nobody/nothing" has no weights on this machine .* hf download'):
        base_digest("nobody/nothing")
    folder = base_of(tmp_path / "cut", weights)
    path = tmp_path / "cut" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"cut cannot be read \(model.safetensors is cut off\)"):
        base_digest(folder)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match="cannot be read"):
        base_digest(folder)


def test_bases_of_the_hub_are_found_in_the_cache(tmp_path, monkeypatch):
    import huggingface_hub.constants

    snapshot = tmp_path / "models--org--base" / "snapshots" / ("0" * 40)
    shutil.copytree(NANO, snapshot)
    (tmp_path / "models--org--base" / "refs").mkdir()
    (tmp_path / "models--org--base" / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert base_folder("org/base") == base_folder("org/base@" + "0" * 40) == snapshot
    assert base_folder("org/base@other") is None
    assert base_digest("org/base") == base_digest(str(NANO))


def test_another_family_is_refused_by_name(tmp_path):
    refuse_other_family(str(NANO))
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    with pytest.raises(ModelError, match=r"is of the family qwen2_5_vl; only qwen3_vl can be used"):
        refuse_other_family(str(tmp_path))
    (tmp_path / "config.json").write_text("{broken")
    with pytest.raises(ModelError, match=r"config.json is damaged"):
        refuse_other_family(str(tmp_path))
