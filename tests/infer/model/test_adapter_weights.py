"""Adapters that do not fit their base are refused by the name of what is wrong, and leave the base as it was."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from made_adapter import make_adapter
from material import NANO
from safetensors.torch import load_file, save_file

from dataset.window import WindowSpec
from infer.model.devices import allow_tf32
from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.model.source import ModelSource

WINDOW = WindowSpec(size=2, stride=1)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return Path(make_adapter(tmp_path_factory.mktemp("a") / "good", 1, WINDOW))


@pytest.fixture(scope="module")
def base():
    return ProgressModel.load(ModelSource(str(NANO)))


@pytest.fixture
def changed(good, tmp_path):
    """A function that writes the adapter with other weights or another configuration."""

    def write(weights=lambda tensors: tensors, **config) -> str:
        folder = tmp_path / "changed"
        shutil.copytree(good, folder)
        save_file(weights(load_file(good / "adapter_model.safetensors")), folder / "adapter_model.safetensors")
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
        return str(folder)

    return write


@pytest.mark.parametrize(
    ("weights", "config", "message"),
    [
        (
            lambda t: {"x." + n: w for n, w in t.items()},
            {},
            r"24 weights are missing \(.*; 24 weights belong to no layer",
        ),
        (lambda t: {n: w for n, w in t.items() if ".layers.0." not in n}, {}, r"6 weights are missing"),
        (lambda t: t | {"y.lora_A.weight": torch.ones(2)}, {}, r"1 weights belong to no layer of the base \(y.lora_A"),
        (lambda t: t, {"r": 8}, r"24 weights have another shape .* is \(4, 128\) and not \(8, 128\)"),
        (lambda t: {n: w * 0 if "lora_B" in n else w for n, w in t.items()}, {}, "changes nothing: of each pair"),
        (lambda t: {n: w * 0 if "lora_A" in n else w for n, w in t.items()}, {}, "changes nothing: of each pair"),
        (lambda t: t, {"target_modules": ["q_proj", "v_proj"]}, r"8 weights belong to no layer"),
        (lambda t: t, {"target_modules": ["nothing"]}, r"does not fit the base .*--base_model"),
        (lambda t: t, {"peft_type": "LOHA"}, r"is of the kind LOHA; only LORA"),
    ],
)
def test_what_does_not_fit_is_refused(base, good, changed, weights, config, message):
    before = {name: weight.data_ptr() for name, weight in base.model.named_parameters()}
    folder = changed(weights, **config)
    with pytest.raises(ModelError, match=message):
        base.load_adapter(folder)
    assert {name: weight.data_ptr() for name, weight in base.model.named_parameters()} == before
    assert not base.adapters and not base.has_adapter


def test_beside_another_adapter_it_is_refused_and_the_other_stays(good, changed):
    model = ProgressModel.load(ModelSource(str(good), use_lora=True))
    with pytest.raises(ModelError, match="24 weights have another shape"):
        model.load_adapter(changed(r=8), "second")
    assert list(model.model.peft_config) == ["default"] and list(model.adapters) == ["default"]
    model.set_adapter("default")


def test_one_pair_that_acts_is_enough(changed):
    def one(tensors):
        kept = next(name for name in tensors if "lora_B" in name)
        return {n: w if n == kept or "lora_A" in n else w * 0 for n, w in tensors.items()}

    assert ProgressModel.load(ModelSource(changed(one), use_lora=True)).has_adapter


def test_an_adapter_for_other_weights_of_equal_shape_is_refused(good, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(NANO, other)
    tensors = load_file(NANO / "model.safetensors")
    save_file({name: weight * 1.01 for name, weight in tensors.items()}, other / "model.safetensors", {"format": "pt"})
    message = (
        r"was trained on other weights than those of .*other\" \(digest sampled-1:.*, here sampled-1:.*--base_model"
    )
    with pytest.raises(ModelError, match=message):
        ModelSource(str(good), use_lora=True, base_model=str(other)).check_folder()  # before torch is imported
    with pytest.raises(ModelError, match=message):
        ProgressModel.load(ModelSource(str(other))).load_adapter(str(good), base_model=str(other))
    with pytest.raises(ModelError, match=message):
        ProgressModel.load(ModelSource(str(other))).with_adapter(good)
    assert ProgressModel.load(ModelSource(str(good), use_lora=True, base_model=str(NANO))).has_adapter
    assert "warning" not in capsys.readouterr().out


def test_an_adapter_without_a_digest_is_loaded_with_a_warning(base, good, tmp_path, capsys):
    folder = tmp_path / "earlier"
    shutil.copytree(good, folder)
    path = folder / "progress_config.json"
    document = json.loads(path.read_text())
    del document["base_digest"]
    path.write_text(json.dumps(document))
    ProgressModel.load(ModelSource(str(folder), use_lora=True))
    assert "names no digest of its base's weights (version 0.1 wrote none)" in capsys.readouterr().out


def test_for_training_the_number_type_is_that_of_the_file(good, changed):
    folder = changed(lambda tensors: {name: weight.bfloat16() for name, weight in tensors.items()})
    types = {}
    for as_saved in (True, False):
        base = ProgressModel.load(ModelSource(str(NANO)))
        model = base.with_adapter(folder) if as_saved else base
        if not as_saved:
            base.load_adapter(folder)
        types[as_saved] = {w.dtype for n, w in model.model.named_parameters() if "lora_" in n}
    assert types == {True: {torch.bfloat16}, False: {torch.float32}}


def test_an_adapter_has_the_number_type_of_its_base(tmp_path):
    folder = make_adapter(tmp_path / "a", 3, WindowSpec(size=2, stride=1))
    for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        model = ProgressModel.load(ModelSource(folder, use_lora=True, torch_dtype=name))
        types = {weight.dtype for key, weight in model.model.named_parameters() if ".lora_" in key}
        assert types == {dtype}, name


def test_float32_that_remains_on_a_gpu_is_fast():
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("highest")
        allow_tf32("cuda:0", torch.float32)  # wanted in float32: exact
        allow_tf32("cpu", torch.bfloat16)
        assert torch.get_float32_matmul_precision() == "highest"
        allow_tf32("cuda:0", torch.bfloat16)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
