"""The options that all commands share."""

import argparse
import errno
import warnings
from importlib import import_module

import pytest
from material import ROOT, write_video

from dataset import video as video_module
from dataset.__main__ import main, make_parser
from dataset.command_line import run_command
from dataset.recipe import read_data_section
from train.recipe import read_recipe
from train.training_data import read_training_data

COMMANDS = {
    "dataset.__main__": ["a.json"],
    "annotate.__main__": ["--video", "v.mp4"],
    "infer.__main__": ["--model_path", "m", "--video_path", "v.mp4", "--task", "t", "--output_path", "o"],
    "infer.report.__main__": ["--model_path", "m", "--output", "o"],
    "infer.overlay.render": ["--output", "o.mp4"],
}


@pytest.fixture(autouse=True)
def pyav_afterwards():
    yield
    video_module.set_default_backend("pyav")


@pytest.mark.parametrize("module", COMMANDS)
def test_commands_that_open_videos_set_the_backend(module, monkeypatch):
    parser, seen = import_module(module).make_parser(), []

    def command(arguments: argparse.Namespace) -> None:
        seen.append(video_module._default_backend)

    for flags, expected in (
        ([], "pyav"),
        (["--video_backend", "decord"], "decord"),
        (["--video_backend=auto"], "pyav"),
    ):
        monkeypatch.setattr("sys.argv", ["program", *COMMANDS[module], *flags])
        with pytest.raises(SystemExit) as ended:
            run_command(import_module(module).make_parser(), command)
        assert ended.value.code == 0 and seen.pop() == expected
    with pytest.raises(SystemExit):
        parser.parse_args([*COMMANDS[module], "--video_backend", "opencv"])


def test_the_recipe_sets_the_backend_where_no_flag_does(annotation_path):
    main(make_parser().parse_intermixed_args([str(annotation_path), "--check", "data.video_backend=decord"]))
    assert video_module._default_backend == "decord"
    assert read_data_section(ROOT / "recipes" / "nano.yaml").video_backend == "pyav"
    with pytest.raises(ValueError, match=r"data\.video_backend"):
        read_data_section(None, ["data.video_backend=opencv"])


def test_training_sets_the_backend_of_its_recipe(annotation_path, tmp_path):
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    overrides = [f"data.annotations=[{annotation_path}]", "data.video_backend=decord", f"sft.output_dir={tmp_path}/run"]
    assert read_training_data(read_recipe(ROOT / "recipes" / "nano.yaml", overrides))
    assert video_module.VideoReader(annotation_path.with_suffix(".mp4")).backend == "decord"


def test_a_refused_video_is_an_error_message(tmp_path, monkeypatch, capsys):
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    video = write_video(tmp_path / "v.flv", 50, "libx264", g="10", bf="2")
    parser = argparse.ArgumentParser()
    monkeypatch.setattr("sys.argv", ["program"])
    video_module.set_default_backend("decord")
    with pytest.raises(SystemExit) as ended:
        run_command(parser, lambda arguments: print(video_module.VideoReader(video).fps))
    assert ended.value.code == 2
    assert 'use video backend "pyav"' in capsys.readouterr().err


def run(monkeypatch, command, flags=()) -> int:
    """Run a command with one option; return its exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=8, help="how many")
    parser.add_argument("--output", help="a file (default: none)")
    parser.add_argument("--force", action="store_true", help="go on")
    monkeypatch.setattr("sys.argv", ["program", *flags])
    with pytest.raises(SystemExit) as ended:
        run_command(parser, command)
    return ended.value.code


def test_help_names_every_default(monkeypatch, capsys):
    assert run(monkeypatch, print, ["--help"]) == 0
    shown = capsys.readouterr().out
    assert "how many (default: 8)" in shown and "a file (default: none)\n" in shown and "go on\n" in shown


def test_a_full_disk_is_one_line_with_the_file(monkeypatch, capsys):
    def command(arguments):
        raise OSError(errno.ENOSPC, "No space left on device", "out.jsonl")

    assert run(monkeypatch, command) == 2
    assert capsys.readouterr().err == (
        "error: no space is left on the disk for out.jsonl; free some and run the same command again\n"
    )


def test_a_warning_is_one_line(monkeypatch, capsys):
    def command(arguments):
        print(warnings.formatwarning(UserWarning("slow\n  disk"), UserWarning, "f.py", 3), end="")
        print(warnings.formatwarning(FutureWarning("old"), FutureWarning, "f.py", 3), end="")

    assert run(monkeypatch, command) == 0
    assert capsys.readouterr().out == "warning: slow disk\nwarning: old (FutureWarning, f.py:3)\n"
