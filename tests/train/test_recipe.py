import subprocess
import sys

import pytest
from material import ROOT

from dataset.recipe import find_recipe
from train.__main__ import main, make_parser
from train.recipe import read_recipe, save_recipe

GOOD = "model: m\ndata: {annotations: [a.json], window: {size: 8, stride: 4}}\nsft: {output_dir: out}\n"


@pytest.fixture
def recipe_path(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD)
    return path


def test_overrides_win(recipe_path):
    recipe = read_recipe(recipe_path, ["lora.r=32", "data.window.size=4", "data.annotations=[b.json,c.json]"])
    assert recipe.lora == {"r": 32}
    assert recipe.data.window.size == 4
    assert recipe.data.annotations == ("b.json", "c.json")


def test_saved_recipe_reads_back(recipe_path, tmp_path):
    recipe = read_recipe(recipe_path, ["sft.learning_rate=1.0e-4"])
    save_recipe(tmp_path / "copy.yaml", recipe)
    assert read_recipe(tmp_path / "copy.yaml") == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.windw.size=4", "unknown key `data.windw`; did you mean `window`?"),
        ("data.sampling.evry=2", "unknown key `data.sampling.evry`; did you mean `every`?"),
        ("modle=x", "unknown key `modle`; did you mean `model`?"),
        ("data.window.size=many", "`data.window.size` cannot have this value"),
        ("data.window.rate_hz=5", "set exactly one of them"),
        ("sft.output_dir=null", "`sft.output_dir` is missing"),
        ("data.annotations=[]", "no demonstrations"),
        ("data.samples=s.jsonl", "the key `data.samples` was removed (samples are made from data.annotations)"),
        ("nonsense", "write key=value"),
        ("=5", "write key=value"),
        ("data=5", "recipe: `data` cannot have this value"),
        ("evaluation=none", "recipe: `evaluation` cannot have this value: 'none' is no section with keys"),
        ("data.video_backend=foo", "cannot have this value: Invalid value 'foo', expected one of"),
        ("data.annotations=Put: it.json", "in quotes, for example 'data.annotations=\"Put: it.json\"'"),
        ("data.sampling.wrong_tasks=[Put: it]", "a text with a colon is read as a mapping"),
        ("data.annotations=[a", 'override "data.annotations=[a": the value cannot be read'),
        ("evaluation.held_out_share=0.9", "it is a share, 0 to 0.5"),
        ("evaluation.metric=vocs", 'evaluation.metric is "vocs"; use one of voc, cycle_voc, mae, parse_rate'),
        ("evaluation.every_steps=0", "evaluation.every_steps is 0; it must be at least 1"),
        ("evaluation.patiense=3", "did you mean `patience`?"),
        ("features.memory_gb=-1", "features.memory_gb is -1"),
    ],
)
def test_wrong_recipes_are_refused_by_name(recipe_path, override, message):
    with pytest.raises(ValueError) as caught:
        read_recipe(recipe_path, [override])
    assert message in str(caught.value)


def test_recipes_of_the_checkout_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("oneshot", "recipes/oneshot.yaml"):
        assert find_recipe(name) == ROOT / "recipes" / "oneshot.yaml"
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "oneshot.yaml").write_text(GOOD)
    assert find_recipe("recipes/oneshot.yaml").samefile(tmp_path / "recipes" / "oneshot.yaml")


def test_what_contradicts_itself_is_refused(recipe_path):
    with pytest.raises(ValueError, match="keep one of them"):
        read_recipe(recipe_path, ["evaluation.annotations=[b.json]", "evaluation.held_out_share=0.1"])


def test_nothing_is_evaluated_unless_asked(recipe_path):
    assert not read_recipe(recipe_path).evaluation.wanted
    assert read_recipe(recipe_path, ["evaluation.annotations=b.json"]).evaluation.annotations == ("b.json",)


@pytest.mark.parametrize(("text", "message"), [("a: [", "no valid YAML"), ("- 1\n", "must be a YAML file of keys")])
def test_files_that_are_no_recipe(tmp_path, text, message):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_recipe(path)
    with pytest.raises(ValueError, match="no such file"):
        read_recipe(tmp_path / "nothing.yaml")


def test_reading_a_recipe_imports_no_torch():
    code = "import sys, train.recipe, dataset; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_command_takes_annotations_as_words(recipe_path, monkeypatch):
    read = []
    monkeypatch.setattr("train.recipe.read_recipe", lambda path, overrides: read.extend(overrides) or stop())

    def stop():
        raise ValueError("read")

    words = ["--config", str(recipe_path), "a.json", "my labels/*.json", "lora.r=8"]
    with pytest.raises(ValueError, match="read"):
        main(make_parser().parse_intermixed_args(words))
    assert read == ["lora.r=8", 'data.annotations=["a.json", "my labels/*.json"]']
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"no file matches my labels/\*\.json; check the pattern"):
        main(make_parser().parse_intermixed_args(words))
