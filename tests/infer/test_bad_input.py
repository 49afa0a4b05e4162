"""Bad input at the command line: one clear line, exit status 2, no traceback, nothing half-written."""

import json
import subprocess
import sys

import pytest
from material import DEMO, NANO, ROOT, write_sound

RECIPE = "recipes/nano.yaml"


def command(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def refused(*words: str) -> str:
    """Run a command that must fail cleanly; returns its one line."""
    result = command(*words)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and result.stderr.splitlines()[-1] == lines[0]
    return lines[0]


def infer(video, output, *words: str) -> tuple:
    return ("infer", "--model_path", NANO, "--video_path", video, "--task", "t", "--output_path", output, *words)


@pytest.mark.slow
def test_bad_videos_leave_an_earlier_result_alone(tmp_path):
    earlier = tmp_path / "out.jsonl"
    earlier.write_text("earlier\n")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "corrupt.mp4").write_bytes(b"\x01" * 3000)
    write_sound(tmp_path / "sound.wav")
    for name, message in (
        ("missing.mp4", "no such file; check the path"),
        ("empty.mp4", "the file is empty"),
        ("corrupt.mp4", "re-encode"),
        ("sound.wav", "has no picture"),
    ):
        line = refused(*infer(tmp_path / name, earlier))
        assert name in line and message in line
    assert earlier.read_text() == "earlier\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        "out.jsonl", "empty.mp4", "corrupt.mp4", "sound.wav"
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 0, "end": 20}, "stages must not overlap"),
        ({"start": 19, "end": 9999}, "but the video has 108 frames"),
        ({"start": 19, "end": 19}, "is empty"),
    ],
)
def test_bad_annotations(tmp_path, change, message):
    document = json.loads((DEMO / "demo.json").read_text())
    document["video"] = str(DEMO / "demo.mp4")
    document["stages"][1].update(change)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    line = refused("dataset", path, "--output", tmp_path / "s.jsonl")
    assert str(path) in line and message in line
    assert not (tmp_path / "s.jsonl").exists()


@pytest.mark.slow
def test_bad_recipes_are_refused_before_anything_is_made(tmp_path):
    base = ("train", "--config", RECIPE, f"data.annotations=[{DEMO / 'demo.json'}]", f"sft.output_dir={tmp_path / 'a'}")
    assert "did you mean `learning_rate`?" in refused(*base, "sft.lerning_rate=1")
    assert "did you mean `lora_alpha`?" in refused(*base, "lora.lora_alfa=1")
    assert "did you mean `sampling`?" in refused(*base, "data.samplin.every=1")
    assert "--base_model" in refused(*base, "model=nobody/nothing")
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_adapter_and_base_are_not_confused(tmp_path):
    video = DEMO / "demo.mp4"
    assert "leave --use_lora out" in refused(*infer(video, tmp_path / "o.jsonl", "--use_lora"))
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": "nobody/nothing"}')
    words = infer(video, tmp_path / "o.jsonl")
    words = (*words[:2], tmp_path / "adapter", *words[3:])
    assert "add --use_lora" in refused(*words)


@pytest.mark.slow
def test_a_command_that_succeeds_and_debug(tmp_path):
    result = command("dataset", DEMO / "demo.json", "--config", RECIPE, "--output", tmp_path / "s.jsonl")
    assert result.returncode == 0, result.stderr
    assert "wrote" in result.stdout
    result = command("dataset", tmp_path / "nothing.json", "--output", tmp_path / "s.jsonl", "--debug")
    assert result.returncode == 2 and "Traceback" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", ["dataset", "train", "infer", "infer.report", "infer.overlay", "annotate"])
def test_help_teaches(module):
    result = command(module, "--help")
    assert result.returncode == 0
    assert "usage: python -m " + module in result.stdout
    assert len(result.stdout) > 600
