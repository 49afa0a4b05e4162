"""Predictions go on only with the model and the settings that made the rows before."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_adapter import make_adapter
from material import NANO
from safetensors.numpy import load_file, save_file

from dataset.window import WindowSpec
from infer.predict import infer_progress_from_video
from infer.records import RecordFile, read_records, run_path

TASK = "t"  # of the adapters that `make_adapter` writes
WINDOW = WindowSpec(size=8, rate_hz=6.25)


def predict(model: str, video, output, **options) -> list[dict]:
    settings = {"use_lora": True, "max_new_tokens": 3, "max_sampled_frames": 4, "torch_dtype": "float32"} | options
    return infer_progress_from_video(str(model), video, TASK, output_path=output, **settings)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    return make_adapter(tmp_path_factory.mktemp("adapter") / "a", 1, WINDOW)


@pytest.fixture
def half(adapter, video, tmp_path):
    """Half of the rows of a run."""
    output = tmp_path / "p.jsonl"
    whole = predict(adapter, video, output)
    content = output.read_bytes()
    lines = content.splitlines(keepends=True)
    output.write_bytes(b"".join(lines[:2]))
    return output, whole


def test_the_same_model_goes_on(half, adapter, video):
    output, whole = half
    assert predict(adapter, video, output, resume=True, batch_size=1, drafting=False) == whole
    assert read_records(output) == whole
    run = json.loads(run_path(output).read_text())
    assert set(run) >= {"base", "adapter", "engine", "task", "window", "readout", "max_new_tokens", "on_unparsed"}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"readout": "expected"}, "readout: text then, expected now"),
        ({"max_new_tokens": 4}, "max_new_tokens: 3 then, 4 now"),
        ({"on_unparsed": "previous"}, "on_unparsed: null then, previous now"),
        ({"temperature": 0.5}, "temperature: 0.0 then, 0.5 now; seed: None then, 0 now"),
        ({"window_size": 2, "force": True}, "window: "),
    ],
)
def test_other_settings_are_refused_by_name(half, adapter, video, options, named):
    output, _ = half
    before = output.read_bytes()
    with pytest.raises(ValueError, match=rf"was made in another way \({named}"):
        predict(adapter, video, output, resume=True, **options)
    assert output.read_bytes() == before


def test_another_adapter_or_base_is_refused_by_name(half, adapter, video, tmp_path):
    output, _ = half
    other = Path(make_adapter(tmp_path / "b", 1, WINDOW))
    weights = load_file(other / "adapter_model.safetensors")
    name = next(name for name in weights if "lora_B" in name)
    weights[name] = weights[name] + np.float32(1e-3)
    save_file(weights, other / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"was made in another way \(adapter: \w+ then, \w+ now"):
        predict(other, video, output, resume=True)
    with pytest.raises(ValueError, match=r"was made in another way \(adapter: \w+ then, None now"):
        predict(NANO, video, output, resume=True, use_lora=False, window_size=8, window_rate_hz=6.25)


def test_rows_of_unknown_origin_are_not_continued(half, adapter, video):
    output, _ = half
    run_path(output).unlink()
    with pytest.raises(ValueError, match=r"p\.run\.json is missing or damaged.*leave --resume out"):
        predict(adapter, video, output, resume=True)


def test_what_is_no_text_is_refused_with_a_remedy(adapter, video, tmp_path):
    output = tmp_path / "p.jsonl"
    output.write_bytes(b"\x80\x81\n")
    for content in (b"\x80\x81\n", b"\x00\x80", b"notes without a line end", b'{"plan": [1, 2]}'):
        output.write_bytes(content)
        with pytest.raises(ValueError, match=r"no file of predictions.*choose another --output_path"):
            predict(adapter, video, output, resume=True)
        assert output.read_bytes() == content


def test_another_recording_at_the_same_place_is_refused(half, adapter, video, tmp_path):
    run = json.loads(run_path(half[0]).read_text())
    path = str(video)
    with pytest.raises(ValueError, match=f"rows of another recording that was at {path}; leave --resume out"):
        RecordFile(half[0], resume=True).made_by(run | {"videos": {path: "v2:1:other"}})
    further = RecordFile(half[0], resume=True)
    further.made_by(run | {"videos": {"further.mp4": "v2:2:x"}})
    with further:
        further.append([{"video_path": "further.mp4", "frame_index": 0, "progress": 1.0}])
    assert set(json.loads(run_path(half[0]).read_text())["videos"]) == {path, "further.mp4"}


@pytest.mark.parametrize("key", ["pixels", "torch_dtype", "base"])
def test_rows_made_otherwise_are_refused(half, key):
    run = json.loads(run_path(half[0]).read_text())
    with pytest.raises(ValueError, match=rf"was made in another way \({key}: "):
        RecordFile(half[0], resume=True).made_by(run | {key: "other"})


def test_rows_that_another_process_wrote_meanwhile_are_kept(tmp_path):
    row = {"video_path": "v", "frame_index": 0, "progress": 1.0}
    with RecordFile(tmp_path / "p.jsonl") as first:
        first.append([row])
    late = RecordFile(tmp_path / "p.jsonl", resume=True)
    with RecordFile(tmp_path / "p.jsonl", resume=True) as second:
        second.append([row])
    with late, pytest.raises(ValueError, match=r"another process has written .* resume again"):
        late.append([row])
    assert len(read_records(tmp_path / "p.jsonl")) == 2


def test_two_processes_never_write_one_file(tmp_path):
    row = {"video_path": "v", "frame_index": 0, "progress": 1.0}
    with RecordFile(tmp_path / "p.jsonl") as first, RecordFile(tmp_path / "p.jsonl") as second:
        first.append([row])
        with pytest.raises(ValueError, match="another process writes"):
            second.append([row])
    assert read_records(tmp_path / "p.jsonl") == [row]
