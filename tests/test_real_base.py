"""The main job on a base with the files of the hub's Qwen3-VL-2B-Instruct: train, predict, merge, reload, report."""

import json
import stat
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from material import DEMO, ROOT, TASK
from real_base import make_real_base

from infer.decoding.settings import Decoding
from infer.model.base_files import base_digest
from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.model.reload_probe import read_probe
from infer.model.source import ModelSource
from infer.predict import infer_progress_from_video
from infer.report.__main__ import main as report
from infer.report.__main__ import make_parser as report_parser
from train.lora import train_lora
from train.merge import merge_adapter
from train.recipe import read_recipe

VIDEO = str(DEMO / "demo.mp4")
FORMS = ("one file", "pytorch_model.bin", "older keys", "saved by 4.57", "vocab and merges", "template in its file")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return make_real_base(tmp_path_factory.mktemp("bases") / "hub")


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory) -> Path:
    """A few steps at a high rate: the answers are gibberish, but others than the base's."""
    return train_lora(
        read_recipe(
            ROOT / "recipes" / "nano.yaml",
            [
                f"model={base}", f"data.annotations=[{DEMO / 'demo.json'}]", "data.sampling.every=9",
                f"sft.output_dir={tmp_path_factory.mktemp('run') / 'adapter'}", "sft.max_steps=4", "sft.bf16=true",
                "sft.learning_rate=0.05", "image.min_pixels=1024", "image.max_pixels=4096", "data.window.size=2",
            ],
        )
    )  # fmt: skip


@pytest.mark.slow
def test_the_adapter_folder_stands_for_its_base(base, adapter):
    config = json.loads((adapter / "progress_config.json").read_text())
    assert config["base_digest"] == base_digest(base)
    for name in ("tokenizer.json", "vocab.json", "merges.txt", "chat_template.json", "video_preprocessor_config.json"):
        assert (adapter / name).read_bytes() == Path(base, name).read_bytes(), name
    pictures = json.loads((adapter / "preprocessor_config.json").read_text())
    assert pictures["size"] == {"shortest_edge": 1024, "longest_edge": 4096}
    assert pictures["processor_class"] == "Qwen3VLProcessor"  # by which `AutoProcessor` finds its class
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o044 for path in adapter.iterdir() if path.is_file()}
    assert modes == {0o044}  # others may read every file, as the mask of this process says


@pytest.mark.slow
def test_the_probe_tells_adapter_and_base_apart(base, adapter):
    parity = json.loads((adapter / "reload_parity.json").read_text())
    assert 0 <= parity["logit_difference"] <= parity["tolerance"]
    probe = read_probe(adapter)
    assert probe.is_of_adapter(probe.trained) and not probe.is_of_adapter(probe.base)
    assert len(probe.frames) == 2 and probe.frames[0].shape == (64, 64, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "sources"),
    [
        ({}, {"forced", "model"}), ({"readout": "expected"}, {"forced", "expected"}),
        ({"temperature": 1.0}, {None, "model"}), ({"drafting": False}, {"forced", "model"}),
    ],
)  # fmt: skip
def test_every_read_out(base, adapter, options, sources):
    rows = infer_progress_from_video(
        str(adapter), VIDEO, TASK, use_lora=True, max_sampled_frames=3, max_new_tokens=20, **options
    )
    assert len(rows) == 3 and {row["progress_source"] for row in rows} <= sources
    assert all(0 <= row["progress"] <= 100 for row in rows if row["progress"] is not None)


@pytest.mark.slow
@pytest.mark.parametrize("form", ("hub", *FORMS))
def test_merged_folders_are_the_base_with_other_weights(base, adapter, tmp_path, form, monkeypatch):
    if form not in ("hub", "older keys"):  # a new process takes most of the time
        monkeypatch.setattr("train.merge.check_from_disk", lambda *_: None)
    folder = Path(make_real_base(tmp_path / "base", form))
    assert merge_adapter(adapter, tmp_path / "merged", str(folder)) < 1e-3
    merged = tmp_path / "merged"
    for path in folder.iterdir():
        weights = path.name.startswith(("model", "pytorch_model"))
        if not weights and path.name not in ("preprocessor_config.json",):
            assert json_or_bytes(merged / path.name) == json_or_bytes(path), path.name
    assert not (merged / "tokenizer.json").exists() or form != "vocab and merges"
    frames = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    outputs = []
    for source in (ModelSource(str(merged)), ModelSource(str(adapter), use_lora=True)):
        model = ProgressModel.load(source)
        inputs = model.inputs.build([model.encode_frames(frames, pixel_budget=(1024, 4096))], ["t"])
        outputs.append(model.base(**inputs).logits)
    assert (outputs[0] - outputs[1]).abs().max() < 0.05 * outputs[1].abs().max()  # bfloat16 weights


def json_or_bytes(path: Path):
    return json.loads(path.read_text()) if path.suffix == ".json" else path.read_bytes()


@pytest.mark.slow
def test_report(base, adapter, tmp_path, monkeypatch):
    for module in ("evaluate", "shortcuts"):
        monkeypatch.setattr(f"infer.report.{module}.Decoding", partial(Decoding, 12))  # gibberish does not end
    episodes = [str(DEMO / "held_out" / name) for name in ("success_1.json", "failure_open.json")]
    report(
        report_parser().parse_args(
            [
                "--model_path", str(adapter), "--use_lora", "--annotations", *episodes, "--output", str(tmp_path),
                "--max_sampled_frames", "2", "--shortcut_windows", "1",
            ]
        )
    )  # fmt: skip
    assert json.loads((tmp_path / "report.json").read_text())["verdict"]["outcome"] != "adopt"


@pytest.mark.slow
def test_another_training_of_the_base_is_refused_everywhere(adapter, tmp_path):
    other = make_real_base(tmp_path / "other", seed=1)
    for use in (
        lambda: infer_progress_from_video(str(adapter), VIDEO, TASK, use_lora=True, base_model=other),
        lambda: merge_adapter(adapter, tmp_path / "merged", other),
        lambda: ModelSource(str(adapter), use_lora=True, base_model=other).check_folder(),
    ):
        with pytest.raises(ModelError, match="was trained on other weights than those of"):
            use()
    assert not (tmp_path / "merged").exists()
