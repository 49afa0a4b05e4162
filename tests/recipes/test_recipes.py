from dataclasses import fields

import pytest
from material import ROOT

from train.recipe import read_recipe

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def test_there_are_recipes():
    assert {path.name for path in RECIPES} >= {"nano.yaml", "oneshot.yaml"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_parses_and_names_real_fields(path):
    from peft import LoraConfig
    from trl import SFTConfig

    recipe = read_recipe(path, ["data.annotations=[a.json]"])
    assert set(recipe.lora) <= {item.name for item in fields(LoraConfig)}
    assert set(recipe.sft) <= {item.name for item in fields(SFTConfig)}
    LoraConfig(**recipe.lora)
