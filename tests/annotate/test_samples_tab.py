import shlex
from pathlib import Path

import pytest
from material import TASK, make_annotation

from annotate import Draft, Store
from annotate.samples_tab import generate, training_command
from dataset import Stage, read_samples, write_annotation


@pytest.fixture
def store(annotation_path):
    return Store.open([annotation_path.with_suffix(".mp4")], TASK)


def test_a_finished_episode_gives_samples_and_the_command(store, annotation_path):
    key = next(iter(store.episodes))
    made = generate(store, key)
    samples, _, tasks = read_samples(annotation_path.parent / "samples" / "demo.jsonl")
    assert tasks == (TASK,)
    assert f"wrote {len(samples)} samples" in made.summary
    assert (made.preview[0], made.preview[-1]) == (samples[0], samples[-1])
    assert [command for _, command in made.commands] == [
        f"make lora ANNOTATIONS={annotation_path} RECIPE=recipes/oneshot.yaml",
        f"make lora ANNOTATIONS={annotation_path} RECIPE=recipes/nano.yaml",
    ]
    again = generate(store, key)
    assert again == made  # nothing is appended


def test_an_unfinished_episode_gives_notes_only(store, annotation_path):
    key = next(iter(store.episodes))
    store.save(key, Draft(TASK, (Stage("reach", 0, 10),)), store.load(key)[1])
    made = generate(store, key)
    assert [note.about for note in made.notes] == ["outcome"]
    assert (made.summary, made.commands, made.preview) == ("", (), ())
    assert not (annotation_path.parent / "samples").exists()


def test_an_annotation_of_one_stage_is_warned_about(store, annotation_path):
    write_annotation(annotation_path, make_annotation(annotation_path.with_suffix(".mp4"), 30))
    made = generate(store, next(iter(store.episodes)))
    assert any(note.level == "warning" for note in made.notes)
    assert made.preview


def test_commands_are_quoted_for_a_shell():
    assert (
        training_command([Path("a.json"), Path("b.json")])
        == 'make lora ANNOTATIONS="a.json b.json" RECIPE=recipes/nano.yaml'
    )
    words = shlex.split(training_command([Path("my demo$(x).json")]))
    assert words[:5] == ["python", "-m", "train", "--config", "recipes/nano.yaml"]
    assert words[5] == 'data.annotations=["my demo$(x).json"]'
