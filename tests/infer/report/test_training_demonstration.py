import pytest
from material import make_annotation, write_video

from dataset.annotation_file import write_annotation
from dataset.demonstration import read_demonstrations
from dataset.recording_identity import seen_in_training
from infer.model.adapter_folder import read_recipe_document, read_train_summary
from infer.model.errors import ModelError
from infer.report.training_demonstration import find_training_demonstrations


@pytest.fixture
def source(annotation_path):
    (demonstration,) = read_demonstrations([annotation_path])
    return {
        "annotation": annotation_path.name, "video": "demo.mp4", "fingerprint": demonstration.annotation.fingerprint,
        "task": "t", "labels": "linear",
    }  # fmt: skip


@pytest.fixture
def other(tmp_path):
    """The annotation of another recording."""
    folder = tmp_path / "other"
    folder.mkdir()
    video = write_video(folder / "other.mp4", 30)
    write_annotation(folder / "other.json", make_annotation(video, 10, 20))
    return folder / "other.json"


def adapter(tmp_path, recipe: str):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(recipe)
    return folder


def test_an_episode_is_recognised_by_content_not_by_name(source, annotation_path, other, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "renamed.mp4").write_bytes((tmp_path / "demo.mp4").read_bytes())
    write_annotation(copy / "held_out.json", make_annotation(copy / "renamed.mp4", 5, 30))
    demonstrations = read_demonstrations([copy / "held_out.json", other])
    assert seen_in_training(demonstrations, [source]) == [str(copy / "held_out.json")]
    assert seen_in_training(demonstrations, []) == []


def test_found_where_the_recipe_says(source, annotation_path, tmp_path):
    folder = adapter(tmp_path, f"data: {{annotations: [{annotation_path}]}}")
    (found,), missing = find_training_demonstrations(folder, [source])
    assert found.path == str(annotation_path) and missing is None


def test_what_is_missing_or_replaced_is_said(source, other, tmp_path):
    folder = adapter(tmp_path, f"data: {{annotations: [{other}, {tmp_path / 'gone.json'}]}}")
    found, missing = find_training_demonstrations(folder, [source])
    assert found == [] and "0 of 1" in missing and "demo.json" in missing and "--train_annotations" in missing


def test_named_ones_are_used_and_checked(source, annotation_path, other, tmp_path):
    folder = adapter(tmp_path, "data: {annotations: []}")
    (found,), missing = find_training_demonstrations(folder, [source], [annotation_path])
    assert found.path == str(annotation_path) and missing is None
    with pytest.raises(ValueError, match=r"other.json .* was not trained on its recording, but on demo\.mp4"):
        find_training_demonstrations(folder, [source], [other])


def test_damaged_or_missing_files_of_the_folder(tmp_path):
    folder = adapter(tmp_path, "data: [")
    with pytest.raises(ModelError, match=r"recipe.yaml is damaged"):
        read_recipe_document(folder)
    with pytest.raises(ModelError, match=r"train_summary.json cannot be read"):
        read_train_summary(folder)
    (folder / "recipe.yaml").unlink()
    assert read_recipe_document(folder) == {}
