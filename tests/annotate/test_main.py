import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from annotate_page import Server
from material import ROOT, TASK

from annotate.__main__ import _login


def run(*arguments, **options):
    command = [sys.executable, "-m", "annotate", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--video", "none.mp4"], "video none.mp4: no such file or folder; check the path"),
        (
            ["--video", "{video}", "--auth_file", "{login}"],
            "is not USER:PASSWORD; write both with a colon between them",
        ),
        (["--video", "{video}", "--port", "99999"], "--port is 99999; a port is a number from 1 to 65535"),
        (["--video", "{video}", "--camera", "front"], "--camera is 'front'; write NAME=PATH"),
        (["--video", "{broken}"], "cannot be decoded"),
        (["--video", "{video}", "--port", "{busy}"], "cannot listen on 127.0.0.1:"),
    ],
)
def test_bad_input_ends_with_one_line_and_status_2(video, tmp_path, arguments, message):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        login = tmp_path / "login"
        login.write_text("anna\n")
        values = {"login": login, "video": video, "broken": broken, "busy": occupied.getsockname()[1]}
        done = run(*(argument.format(**values) for argument in arguments))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_it_listens_here_only_and_ends_on_ctrl_c(video, tmp_path):
    shutil.copy(video, tmp_path / "demo.mp4")
    server = Server("--video", tmp_path / "demo.mp4", "--task", TASK)
    addresses = subprocess.run(["ss", "-ltn"], capture_output=True, text=True).stdout if shutil.which("ss") else ""
    assert f"0.0.0.0:{server.port}" not in addresses
    server.process.send_signal(signal.SIGINT)
    printed, _ = server.process.communicate(timeout=20)
    assert f"1 video(s); open http://127.0.0.1:{server.port}" in printed
    assert "WARNING" not in printed
    assert "Traceback" not in printed


@pytest.mark.slow
def test_an_open_server_is_warned_about_in_capitals(video, tmp_path):
    shutil.copy(video, tmp_path / "demo.mp4")
    server = Server("--video", tmp_path / "demo.mp4", "--host", "0.0.0.0")
    assert "WARNING: ANYBODY WHO REACHES 0.0.0.0:" in server.stop()
    (tmp_path / "login").write_text("anna:secret\n")
    closed = Server("--video", tmp_path / "demo.mp4", "--host", "0.0.0.0", "--auth_file", tmp_path / "login")
    assert "warning" not in closed.stop().lower()


def test_the_login_comes_from_where_other_users_do_not_see_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "login").write_text("anna:se:cret\n")
    options = {"auth": None, "auth_file": None}
    assert _login(argparse.Namespace(**options)) is None
    assert _login(argparse.Namespace(**options | {"auth_file": str(tmp_path / "login")})) == ("anna", "se:cret")
    monkeypatch.setenv("ONETAKE_AUTH", "ben:secret")
    assert _login(argparse.Namespace(**options)) == ("ben", "secret")
    assert capsys.readouterr().err == ""
    assert _login(argparse.Namespace(**options | {"auth": "anna:old"})) == ("anna", "old")  # as before, with a warning
    assert "list of processes" in capsys.readouterr().err


def test_make_passes_a_login_in_the_environment_only(tmp_path):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$@ / $ONETAKE_AUTH"\n')
    program.chmod(0o755)
    command = ["make", "-s", "-o", ".venv/.installed", f"PY={program}", "annotate", "VIDEO=clips", "AUTH=anna:secret"]
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.stdout.strip().splitlines()[-1] == "-m annotate --video clips / anna:secret", done.stderr


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (["VIDEO=my clip.mp4", "TASK=Put it in"], "-m annotate --video my clip.mp4 --task Put it in"),
        (["VIDEO=clips"], "-m annotate --video clips"),
        (
            [
                "VIDEO=clips",
                "OUTPUT=labels",
                "HOST=0.0.0.0",
                "PORT=8000",
                "CAMERA=front=clips_front",
            ],
            "-m annotate --video clips --camera front=clips_front --output labels --host 0.0.0.0 --port 8000",
        ),
    ],
)
def test_make_annotate_passes_what_is_set(tmp_path, variables, expected):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    command = ["make", "-s", "-o", ".venv/.installed", f"PY={program}", "annotate", *variables]
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.stdout.strip().splitlines()[-1].strip() == expected, done.stderr
