"""Where a model comes from, checked before torch is imported."""

import json

import pytest
from material import NANO, ROOT

from dataset.window import WindowSpec
from infer.model.adapter_folder import ProgressConfig
from infer.model.base_files import resolve_model_name, split_revision
from infer.model.errors import ModelError
from infer.model.source import ModelSource


def test_an_unknown_number_type_is_refused_at_once():
    with pytest.raises(ModelError, match='torch_dtype "float99" is unknown; use auto, float32, bfloat16, float16'):
        ModelSource("m", torch_dtype="float99")


def test_bases_and_merged_models(tmp_path):
    assert ModelSource(str(NANO)).check_folder() == (str(NANO), None)
    assert ModelSource("org/model@c0ffee").check_folder() == ("org/model@c0ffee", None)
    config = ProgressConfig(WindowSpec(size=2, stride=1), None, 4096, ("t",), 1)
    config.save(tmp_path)
    assert ModelSource(str(tmp_path)).check_folder() == (str(tmp_path), config)


def test_predictions_of_a_base_have_the_pixels_of_the_recipes(tmp_path, capsys):
    assert ModelSource("org/model").for_predictions().max_pixels == 262144
    assert "pictures are reduced to 262144 pixels, as in the recipes; --max_pixels sets" in capsys.readouterr().out
    assert ModelSource("org/model", max_pixels=4096).for_predictions().max_pixels == 4096
    large = {"size": {"shortest_edge": 65536, "longest_edge": 16777216}, "patch_size": 16, "merge_size": 2}
    config = json.dumps({"model_type": "qwen3_vl"})
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(large))
    assert ModelSource(str(tmp_path)).for_predictions().max_pixels == 262144
    assert "(its own limit is 16777216)" in capsys.readouterr().out
    assert ModelSource(str(NANO)).for_predictions().max_pixels is None  # its own limit is less
    ProgressConfig(WindowSpec(size=2, stride=1), None, 4096, ("t",), 1).save(tmp_path)  # a merged model
    assert ModelSource(str(tmp_path)).for_predictions().max_pixels is None
    with pytest.raises(ModelError, match="was trained with max_pixels 4096, not 9999; leave max_pixels out"):
        ModelSource(str(tmp_path), max_pixels=9999).check_folder()


def test_revisions_belong_to_hub_ids_only(tmp_path):
    assert split_revision("org/model@v1") == ("org/model", "v1")
    assert split_revision("org/model") == ("org/model", None)
    folder = tmp_path / "a@b"
    folder.mkdir()
    assert split_revision(str(folder)) == (str(folder), None)


def test_a_folder_of_this_checkout_is_found_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_model_name("recipes/nano/model") == str(ROOT / "recipes" / "nano" / "model")
    assert resolve_model_name("org/model") == "org/model"
