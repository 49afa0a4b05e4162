"""`python -m infer`: the flags that people type, and one line and exit status 2 for what cannot be done."""

import sys
from dataclasses import dataclass

import pytest
from made_adapter import make_adapter
from material import DEMO, NANO, write_video

from dataset.command_line import run_command
from dataset.window import WindowSpec
from infer.__main__ import main, make_parser
from infer.records import read_records

BASE = ["--model_path", str(NANO), "--task", "Lift it"]


@dataclass
class Finished:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process, as typed."""

    def typed(*arguments: str) -> Finished:
        monkeypatch.setattr(sys, "argv", ["infer", *arguments])
        with pytest.raises(SystemExit) as stop:
            run_command(make_parser(), main)
        return Finished(stop.value.code, *capsys.readouterr())

    return typed


def test_the_flags_of_the_reference_are_there():
    arguments = make_parser().parse_args([
        "--model_path", "m", "--video_path", "v.mp4", "--output_path", "p.jsonl", "--task", "t", "--window_size", "8",
        "--use_lora", "--max_frames", "100", "--max_sampled_frames", "50", "--max_new_tokens", "64", "--temperature",
        "0.5", "--torch_dtype", "float32",
    ])  # fmt: skip
    assert (arguments.window_size, arguments.max_sampled_frames, arguments.use_lora) == (8, 50, True)


@pytest.mark.slow
def test_many_videos_and_resume(run, tmp_path):
    output = tmp_path / "p.jsonl"
    options = [*BASE, "--output_path", str(output), "--max_sampled_frames", "2", "--max_new_tokens", "12"]
    videos = ["--video_path", str(DEMO / "demo.mp4"), str(DEMO / "held_out" / "pa*.mp4")]
    first = run(*options, *videos)
    assert first.returncode == 0, first.stderr
    assert 'progress_source "forced"' in first.stdout
    rows = read_records(output)
    assert [row["video_path"] for row in rows[::2]] == [str(DEMO / "demo.mp4"), str(DEMO / "held_out" / "pause.mp4")]
    content = output.read_bytes()
    output.write_bytes(content[: len(content) // 2])
    again = run(*options, *videos, "--resume")
    assert again.returncode == 0, again.stderr
    assert output.read_bytes() == content


@pytest.mark.slow
def test_a_video_that_breaks_ends_with_status_2_and_its_frame(run, tmp_path):
    path = write_video(tmp_path / "broken.mp4", 120, g="12", bf="2")
    content = bytearray(path.read_bytes())
    low, high = int(len(content) * 0.5), int(len(content) * 0.6)
    content[low:high] = bytes(high - low)
    path.write_bytes(content)
    output = tmp_path / "p.jsonl"
    done = run(*BASE, "--video_path", str(path), "--output_path", str(output), "--max_new_tokens", "2")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "frame 79 does not decode" in line
    assert "Traceback" not in done.stderr
    assert [row["frame_index"] for row in read_records(output)] == list(range(79))


@pytest.mark.slow
def test_a_task_that_the_adapter_was_not_trained_on_is_a_warning(run, tmp_path):
    adapter = make_adapter(tmp_path / "adapter", seed=0, window=WindowSpec(size=2, stride=1))
    common = [
        "--model_path", adapter, "--use_lora", "--video_path", str(DEMO / "demo.mp4"), "--max_sampled_frames", "2",
        "--max_new_tokens", "2", "--output_path", str(tmp_path / "p.jsonl"),
    ]  # fmt: skip
    other = run(*common, "--task", "Öffne die Tür")
    assert other.returncode == 0, other.stderr
    assert 'trained on "t", not on "Öffne die Tür"' in other.stdout
    assert "trained on" not in run(*common, "--task", "t").stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--video_path", "missing.mp4"], "no such file"),
        (["--video_path", str(DEMO / "demo.mp4"), "--temperature", "-1"], "temperature is -1.0"),
        (["--video_path", str(DEMO / "demo.mp4"), "--use_lora"], "leave --use_lora out"),
        (["--video_path", str(DEMO / "demo.mp4"), "--device", "nonsense"], 'device "nonsense" cannot be used'),
    ],
)
def test_what_cannot_be_done_is_one_line(run, tmp_path, arguments, message):
    done = run(*BASE, "--output_path", str(tmp_path / "p.jsonl"), *arguments)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "p.jsonl").exists()
