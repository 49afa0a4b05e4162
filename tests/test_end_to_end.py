"""The main job with the embedded base: annotation -> samples -> LoRA -> predictions -> report."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from material import DEMO, ROOT

from dataset.__main__ import main as make_samples
from dataset.__main__ import make_parser as samples_parser
from dataset.demonstration import read_demonstrations
from dataset.samples import build_samples
from dataset.video import VideoReader
from dataset.window import window_indices
from infer.decoding.settings import Decoding
from infer.metrics.progress import METRICS, voc
from infer.model.encoded_video import EncodedVideo
from infer.model.model import ProgressModel
from infer.model.source import ModelSource
from infer.playback import predict_video
from infer.predict import infer_progress_from_video
from infer.records import read_records
from infer.report.__main__ import main as make_report
from infer.report.__main__ import make_parser as report_parser
from train.collate import WindowCollator, needed_frames
from train.features import prepare_frames
from train.lora import train_lora
from train.recipe import FeaturesSection, read_recipe

HELD_OUT = [DEMO / "held_out" / "success_1.json", DEMO / "held_out" / "failure_open.json"]


@pytest.fixture(scope="module")
def base_weights() -> dict[str, torch.Tensor]:
    from material import NANO
    from safetensors.torch import load_file

    return load_file(NANO / "model.safetensors")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Samples by the command, a few LoRA steps, predictions and report by the command."""
    folder = tmp_path_factory.mktemp("run")
    samples = folder / "samples.jsonl"
    recipe_path = str(ROOT / "recipes" / "nano.yaml")
    assert (
        make_samples(
            samples_parser().parse_args([str(DEMO / "demo.json"), "--config", recipe_path, "--output", str(samples)])
        )
        == 0
    )
    overrides = [
        f"data.annotations=[{DEMO / 'demo.json'}]", f"sft.output_dir={folder / 'adapter'}", "sft.max_steps=6",
    ]  # fmt: skip
    train_lora(read_recipe(recipe_path, overrides))
    make_report(
        report_parser().parse_args([
            "--model_path", str(folder / "adapter"), "--use_lora", "--annotations", *map(str, HELD_OUT),
            "--output", str(folder), "--max_sampled_frames", "6",
        ])
    )  # fmt: skip
    return folder


@pytest.mark.slow
def test_the_run_leaves_what_it_promises(run):
    for name in (
        "adapter/adapter_config.json", "adapter/adapter_model.safetensors", "adapter/progress_config.json",
        "adapter/recipe.yaml", "adapter/tokenizer.json", "adapter/train_summary.json", "report.json", "report.html",
        "predictions/success_1.base.jsonl", "predictions/success_1.adapter.jsonl", "adapter/samples.jsonl",
    ):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    assert not list(run.glob("*.partial")) and not list(run.glob("*.earlier"))
    summary = json.loads((run / "adapter" / "train_summary.json").read_text())
    assert summary["steps"] == 6
    assert summary["samples"] == len((run / "samples.jsonl").read_text().splitlines())
    assert (run / "adapter" / "samples.jsonl").read_bytes() == (run / "samples.jsonl").read_bytes()
    config = json.loads((run / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "recipes/nano/model"  # no path of this machine


@pytest.mark.slow
def test_only_adapter_weights_change(run, base_weights):
    model = ProgressModel.load(ModelSource(str(run / "adapter"), use_lora=True))
    adapted = dict(model.base.named_parameters())
    compared = 0
    for name, weight in base_weights.items():
        here = adapted.get(name) if name in adapted else adapted[name.replace(".weight", ".base_layer.weight")]
        assert torch.equal(here, weight), name
        compared += 1
    assert compared == len(base_weights)
    lora_b = [weight for name, weight in model.model.named_parameters() if "lora_B" in name]
    assert lora_b and all(weight.abs().max() > 0 for weight in lora_b)  # they start at zero
    assert not any("visual" in name for name, _ in model.model.named_parameters() if "lora_" in name)


@pytest.mark.slow
def test_reloading_changes_nothing(run):
    summary = json.loads((run / "adapter" / "train_summary.json").read_text())
    assert summary["reload_logit_difference"] == 0.0


@pytest.mark.slow
def test_cli_report_and_overlay_show_the_same_numbers(run):
    records = read_records(run / "predictions" / "success_1.adapter.jsonl")
    again = infer_progress_from_video(
        str(run / "adapter"), str(HELD_OUT[0].with_suffix(".mp4")), records[0]["task"], use_lora=True,
        max_sampled_frames=6,
    )  # fmt: skip
    assert [r["progress"] for r in again] == [r["progress"] for r in records]
    assert [r["model_output"] for r in again] == [r["model_output"] for r in records]
    report = json.loads((run / "report.json").read_text())
    episode = next(e for e in report["episodes"] if e["episode"] == "success_1")
    assert episode["adapter"]["final"] == records[-1]["progress"]


@pytest.mark.slow
def test_report_has_the_promised_keys_and_consistent_numbers(run):
    report = json.loads((run / "report.json").read_text())
    assert {"task", "base", "adapter", "episodes", "train", "seconds_total"} <= report.keys()
    assert {"seconds", "steps", "samples"} <= report["train"].keys()
    for block in [report["base"], report["adapter"], *(e[r] for e in report["episodes"] for r in ("base", "adapter"))]:
        assert set(METRICS) <= block.keys()
    demonstrations = {d.name: d for d in read_demonstrations(HELD_OUT)}
    for episode in report["episodes"]:
        records = read_records(run / "predictions" / f"{episode['episode']}.adapter.jsonl")
        labels = np.array(demonstrations[episode["episode"]].annotation.measured_progress)
        values = [np.nan if r["progress"] is None else r["progress"] for r in records]
        expected = voc(labels[[r["frame_index"] for r in records]], values)
        assert episode["adapter"]["voc"] == (None if expected is None else pytest.approx(expected, abs=1e-4))


@pytest.mark.slow
def test_training_and_inference_windows_are_the_same(run):
    model = ProgressModel.load(ModelSource(str(run / "adapter"), use_lora=True))
    window = model.progress_config.window
    (demonstration,) = read_demonstrations([DEMO / "demo.json"])
    recipe = read_recipe(run / "adapter" / "recipe.yaml")
    trained = {
        s.frame_index: s.window_frame_indices
        for s in build_samples(demonstration, recipe.data.window, recipe.data.sampling)
        if s.direction == "forward"
    }
    reader = VideoReader(demonstration.video)
    predictions = predict_video(
        model, EncodedVideo(model, reader), "t", window, [0, 9, 40], decoding=Decoding(max_new_tokens=1)
    )
    for prediction in predictions:
        assert prediction.window_frame_indices == trained[prediction.frame_index]
        assert prediction.window_frame_indices == window_indices(window, prediction.frame_index, reader.fps)


@pytest.mark.slow
def test_the_loss_is_on_the_answer_only(nano):
    (demonstration,) = read_demonstrations([DEMO / "demo.json"])
    recipe = read_recipe(ROOT / "recipes" / "nano.yaml", ["data.annotations=[x]"])
    samples = build_samples(demonstration, recipe.data.window, recipe.data.sampling)[:40:20]
    rows = [dict(vars(sample)) for sample in samples]
    frames = prepare_frames(nano, needed_frames(samples), FeaturesSection())
    batch = WindowCollator(nano, frames)(rows)
    for sample, ids, labels in zip(samples, batch["input_ids"], batch["labels"], strict=True):
        learned = nano.tokenizer.decode(labels[labels != -100])
        assert learned == sample.completion + "<|im_end|>"
        assert torch.equal(ids[labels != -100], labels[labels != -100])


@pytest.mark.slow
def test_an_existing_adapter_is_kept_unless_told(run):
    recipe = read_recipe(
        ROOT / "recipes" / "nano.yaml",
        [f"data.annotations=[{DEMO / 'demo.json'}]", f"sft.output_dir={run / 'adapter'}"],
    )
    with pytest.raises(ValueError, match="exists already"):
        train_lora(recipe)
