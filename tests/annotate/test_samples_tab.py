import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from material import ROOT, TASK, make_annotation

from annotate import Marking, Store
from annotate.samples_tab import default_recipe, find_recipes, preview_samples, training_command
from dataset import Stage, write_annotation
from dataset.demonstration import read_demonstration
from dataset.recipe import read_data_section
from dataset.samples import build_sample_set

NANO = "recipes/nano.yaml"


@pytest.fixture
def store(annotation_path):
    return Store.open([annotation_path.with_suffix(".mp4")], TASK)


@pytest.fixture
def key(store):
    return next(iter(store.episodes))


def as_training_makes_them(recipe, *annotations):
    data = read_data_section(recipe)
    return build_sample_set([read_demonstration(path) for path in annotations], data.window, data.sampling, data.labels)


@pytest.mark.parametrize("recipe", ["recipes/oneshot.yaml", NANO])
def test_a_finished_episode_shows_what_its_recipe_trains_on(store, key, annotation_path, recipe):
    files = sorted(annotation_path.parent.rglob("*"))
    preview = preview_samples(store, key, recipe)
    samples = as_training_makes_them(recipe, annotation_path)
    assert sum(preview.counts.values()) == len(samples)
    assert preview.counts == {kind: sum(s.direction == kind for s in samples) for kind in preview.counts}
    assert preview.summary == f"{recipe} trains on {len(samples)} samples of 1 episode."
    assert preview.command == f"make lora ANNOTATIONS={annotation_path} RECIPE={recipe}"
    in_order = iter(samples)
    assert all(sample in in_order for sample in preview.samples)
    assert {shown.direction for shown in preview.samples} == set(preview.counts)
    assert preview_samples(store, key, recipe) == preview  # the same samples again
    assert sorted(annotation_path.parent.rglob("*")) == files  # nothing is written


def test_all_labelled_episodes_give_each_other_wrong_tasks(video, tmp_path, monkeypatch):
    paths = []
    for name, task in (("a", "Wipe the table"), ("b", "Open the door"), ("c", "Close the lid")):
        shutil.copy(video, tmp_path / f"{name}.mp4")
        paths.append(tmp_path / f"{name}.json")
        annotation = make_annotation(tmp_path / f"{name}.mp4", 10, 30)
        write_annotation(paths[-1], replace(annotation, task=task))
    paths.pop().unlink()  # the third episode is not labelled
    (tmp_path / "recipes").mkdir()
    recipe = "recipes/mine.yaml"
    (tmp_path / recipe).write_text("data: {window: {size: 4, stride: 2}, sampling: {wrong_task_share: 1.0}}\n")
    monkeypatch.chdir(tmp_path)
    store = Store.open([tmp_path], TASK)
    key = next(iter(store.episodes))
    preview = preview_samples(store, key, recipe, "labelled")
    assert preview.command == 'make lora ANNOTATIONS="a.json b.json" RECIPE=recipes/mine.yaml'
    samples = as_training_makes_them(recipe, *paths)
    assert sum(preview.counts.values()) == len(samples)
    assert "of 2 episodes" in preview.summary
    wrong = [shown for shown in preview.samples if shown.direction == "wrong_task"]
    assert wrong
    assert all("Open the door" in shown.prompt for shown in wrong)
    with pytest.raises(ValueError, match="has the only task"):  # and so training would end
        preview_samples(store, key, recipe)


def test_held_out_frames_are_named(store, key, tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    recipe = tmp_path / "recipes" / "mine.yaml"
    recipe.write_text("data: {window: {size: 4, stride: 2}}\nevaluation: {held_out_share: 0.1}\n")
    monkeypatch.chdir(tmp_path)
    summary = preview_samples(store, key, "recipes/mine.yaml").summary
    assert "less those of the frames that evaluation.held_out_share=0.1 holds out" in summary


def test_recipes_are_those_of_the_working_directory(store, key, tmp_path, monkeypatch):
    assert find_recipes() == sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "recipes").glob("*.yaml"))
    assert default_recipe(find_recipes()) == "recipes/oneshot.yaml"
    assert default_recipe(["recipes/a.yaml", NANO]) == NANO
    assert default_recipe(["recipes/a.yaml"]) == "recipes/a.yaml"
    monkeypatch.chdir(tmp_path)
    assert (find_recipes(), default_recipe([])) == ([], "")
    with pytest.raises(ValueError, match=r"no recipe '' in recipes/; start the page in the folder of the repository"):
        preview_samples(store, key, "")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "other.yaml").write_text("data: {}\n")
    with pytest.raises(ValueError, match="there is no recipe"):  # a browser names no other file
        preview_samples(store, key, "recipes/../other.yaml")
    (tmp_path / "recipes" / "broken.yaml").write_text("data: {window: [")
    with pytest.raises(ValueError, match=r"recipes/broken\.yaml: no valid YAML"):
        preview_samples(store, key, "recipes/broken.yaml")
    (tmp_path / "recipes" / "wrong.yaml").write_text("data: {windw: {size: 8}}")
    with pytest.raises(ValueError, match="did you mean `window`"):
        preview_samples(store, key, "recipes/wrong.yaml")


def test_an_unfinished_episode_gives_findings_only(store, key, annotation_path):
    store.save(key, Marking(TASK, (Stage("reach", 0, 10),)), store.load(key)[1])
    preview = preview_samples(store, key, NANO)
    assert [finding.about for finding in preview.findings] == ["outcome", "stages"]
    assert "demo.json still holds what was finished before" in preview.findings[1].message
    assert (preview.summary, preview.command, preview.counts, preview.samples) == ("", "", {}, ())
    assert not (annotation_path.parent / "samples").exists()


def test_an_annotation_of_one_stage_is_warned_about(store, key, annotation_path):
    write_annotation(annotation_path, make_annotation(annotation_path.with_suffix(".mp4"), 30))
    preview = preview_samples(store, key, NANO)
    assert any(finding.level == "warning" for finding in preview.findings)
    assert preview.samples


def test_commands_are_quoted_for_a_shell():
    assert (
        training_command([Path("a.json"), Path("b.json")], NANO)
        == 'make lora ANNOTATIONS="a.json b.json" RECIPE=recipes/nano.yaml'
    )
    words = shlex.split(training_command([Path("my demo$(x).json")], "recipes/my own.yaml"))
    assert words[:5] == ["python", "-m", "train", "--config", "recipes/my own.yaml"]
    assert words[5] == 'data.annotations=["my demo$(x).json"]'
