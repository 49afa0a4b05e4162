"""A run is resumed on the very recipe, data and base that it was started with, and on nothing else."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from material import NANO, ROOT, make_annotation, write_video
from safetensors.numpy import load_file, save_file

from dataset.annotation import Camera
from dataset.annotation_file import read_annotation, write_annotation
from dataset.video import fingerprint
from train.lora import train_lora
from train.recipe import read_recipe
from train.run_folder import RunFolder
from train.run_inputs import describe_inputs
from train.training_data import read_training_data


class Run:
    """A run of one demonstration and one held-out episode, in a folder of its own."""

    def __init__(self, folder) -> None:
        self.demo, self.held_out = folder / "demo.json", folder / "held_out.json"
        for path, frames in ((self.demo, 40), (self.held_out, 30)):
            video = write_video(path.with_suffix(".mp4"), frames)
            write_annotation(path, make_annotation(video, 10, 20))
        self.base = shutil.copytree(NANO, folder / "base")
        self.folder = RunFolder(folder / "adapter")
        self.overrides = [
            f"model={self.base}", f"data.annotations=[{self.demo}]", f"evaluation.annotations=[{self.held_out}]",
            f"sft.output_dir={self.folder.output}",
        ]  # fmt: skip

    def recipe(self, *more: str):
        return read_recipe(ROOT / "recipes" / "nano.yaml", [*self.overrides, *more])

    def start(self) -> None:
        recipe = self.recipe()
        self.folder.open(recipe, describe_inputs(recipe.model, read_training_data(recipe)), resume=False)

    def resume(self, *more: str) -> None:
        recipe = self.recipe(*more)
        self.folder.refuse_changes(recipe, describe_inputs(recipe.model, read_training_data(recipe)))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    started = Run(tmp_path_factory.mktemp("run"))
    started.start()
    return started


def move_boundary(path, to: int):
    annotation = read_annotation(path)
    first, second, *rest = annotation.stages
    write_annotation(path, replace(annotation, stages=(replace(first, end=to), replace(second, start=to), *rest)))


def change_weight(run, place: int):
    path = run.base / "model.safetensors"
    weights = load_file(path)
    name = sorted(weights)[place % len(weights)]
    weights[name] = np.array(weights[name] + np.asarray(1, weights[name].dtype))
    save_file(weights, path)


CHANGES = {
    "annotation demo": lambda run, n: move_boundary(run.demo, 1 + n % 8),
    "held-out episode held_out": lambda run, n: move_boundary(run.held_out, 1 + n % 8),
    "base": change_weight,
}


@given(kind=st.sampled_from(sorted(CHANGES)), number=st.integers(0, 1000))
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_changed_is_named_and_refused(run, kind, number):
    run.resume()
    files = [run.demo, run.held_out, run.base / "model.safetensors"]
    before = {path: path.read_bytes() for path in files}
    try:
        CHANGES[kind](run, number)
        with pytest.raises(ValueError, match=f"was trained on other inputs: {kind}.* changed since"):
            run.resume()
    finally:
        for path, content in before.items():
            path.write_bytes(content)
    run.resume()


@pytest.mark.parametrize(
    "override",
    ["lora.r=4", "sft.seed=3", "data.window.size=4", "data.sampling.every=2", "image.max_pixels=9999"],
)
def test_another_recipe_is_refused_by_its_difference(run, override):
    key = override.split("=")[0].split(".")[-1]
    with pytest.raises(ValueError, match=rf"was started with another recipe \(.*{key}"):
        run.resume(override)


def test_another_task_text_or_video_is_refused(tmp_path):
    run = Run(tmp_path)
    run.start()
    original = run.demo.read_bytes()
    write_annotation(run.demo, replace(read_annotation(run.demo), task="Another task"))
    with pytest.raises(ValueError, match=r"annotation demo changed since"):
        run.resume()
    run.demo.write_bytes(original)
    video = write_video(run.demo.with_suffix(".mp4"), 41)
    write_annotation(run.demo, make_annotation(video, 10, 20))
    with pytest.raises(ValueError, match=r"annotation demo changed since"):
        run.resume()


def test_two_annotations_of_one_file_name_are_told_apart(tmp_path):
    run = Run(tmp_path)
    for day in ("day1", "day2"):
        (tmp_path / day).mkdir()
        for path in (run.demo, run.held_out):
            shutil.copy(path, tmp_path / day / path.name)
            frames = len(day) * 10 + int(day[-1])
            video = write_video(tmp_path / day / path.with_suffix(".mp4").name, frames + 5 * (path == run.demo))
            write_annotation(tmp_path / day / path.name, make_annotation(video, 10, 20))
    run.overrides[1:3] = [
        f"data.annotations=[{tmp_path}/day1/demo.json,{tmp_path}/day2/demo.json]",
        f"evaluation.annotations=[{tmp_path}/day1/held_out.json,{tmp_path}/day2/held_out.json]",
    ]
    run.start()
    run.resume()
    for name, said in (("demo", "annotation day1/demo"), ("held_out", "held-out episode day1/held_out")):
        path = tmp_path / "day1" / f"{name}.json"
        before = path.read_bytes()
        move_boundary(path, 7)
        with pytest.raises(ValueError, match=f"other inputs: {said} changed since"):
            run.resume()
        path.write_bytes(before)


def test_another_tokenizer_or_number_of_processes_is_refused(tmp_path):
    run = Run(tmp_path)
    run.start()
    inputs = describe_inputs(run.recipe().model, read_training_data(run.recipe()), 2)
    with pytest.raises(ValueError, match="other inputs: number of processes changed since"):
        run.folder.refuse_changes(run.recipe(), inputs)
    path = run.base / "tokenizer_config.json"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ValueError, match=r"other inputs: file of the base tokenizer_config\.json changed since"):
        run.resume()


@pytest.mark.parametrize("complete", [False, True])
def test_the_command_refuses_what_changed(tmp_path, complete):
    run = Run(tmp_path)
    run.start()
    if complete:
        run.folder.partial.rename(run.folder.output)
        assert train_lora(run.recipe(), resume=True) == run.folder.output
    with pytest.raises(ValueError, match=r"was started with another recipe \(- r: 16; \+ r: 64\)"):
        train_lora(run.recipe("lora.r=64"), resume=True)
    move_boundary(run.demo, 7)
    with pytest.raises(ValueError, match=r"was trained on other inputs: annotation demo changed since"):
        train_lora(run.recipe(), resume=True)


def test_held_out_frames_are_not_trained_on_under_another_name(tmp_path):
    run = Run(tmp_path)
    copied = held_out_of(tmp_path, read_annotation(run.demo), run.demo.with_suffix(".mp4"), "copy")
    run.overrides[1:3] = [f"data.annotations=[{run.demo},{copied}]", "evaluation.held_out_share=0.1"]
    data = read_training_data(run.recipe("data.sampling.every=1"))
    frames = {t for episode in data.held_out for t in episode.frames}
    assert len(data.held_out) == 2 and not frames & {sample.frame_index for sample in data.samples}


def test_runs_of_an_earlier_version_are_refused_and_damage_is_named(tmp_path):
    run = Run(tmp_path)
    run.start()
    inputs = run.folder.partial / "inputs.json"
    inputs.write_text("[1")
    with pytest.raises(ValueError, match=r"inputs\.json is damaged .*--overwrite"):
        run.resume()
    inputs.unlink()
    with pytest.raises(ValueError, match=r"holds no inputs\.json.*--overwrite"):
        run.resume()


def test_no_path_of_this_machine_is_in_the_digests(run):
    text = json.dumps(json.loads((run.folder.partial / "inputs.json").read_text()) | {"base": None})
    assert str(run.demo.parent) not in text and '"demo"' in text


def test_two_runs_never_share_a_folder(tmp_path):
    run = Run(tmp_path)
    with run.folder.locked():
        with pytest.raises(ValueError, match="another process is training into"):
            train_lora(run.recipe(), overwrite=True)
        with RunFolder(run.folder.output, writes=False).locked():
            pass  # the other processes of one run
    with RunFolder(run.folder.output).locked():
        pass


def held_out_of(tmp_path, annotation, video, name: str):
    folder = tmp_path / name
    folder.mkdir()
    copy = folder / "renamed.mp4"
    copy.write_bytes(video.read_bytes())
    write_annotation(folder / "other_name.json", replace(annotation, video="renamed.mp4"))
    return folder / "other_name.json"


def test_an_episode_is_held_out_by_the_content_of_every_camera(tmp_path):
    run = Run(tmp_path)
    annotation = read_annotation(run.demo)
    wrist = write_video(tmp_path / "wrist.mp4", 40, g="3")
    camera = Camera("wrist", "wrist.mp4", fingerprint(wrist))
    write_annotation(run.demo, replace(annotation, cameras=(camera,)))
    copied = held_out_of(tmp_path, annotation, run.demo.with_suffix(".mp4"), "copy")
    view = held_out_of(tmp_path, replace(annotation, fingerprint=camera.fingerprint), wrist, "view")
    for path in (copied, view):
        with pytest.raises(ValueError, match=f"{path.name} of evaluation.annotations is a recording that .*trains on"):
            read_training_data(run.recipe(f"evaluation.annotations=[{path}]"))
    assert read_training_data(run.recipe()).sources[0]["cameras"] == {"wrist": camera.fingerprint}
