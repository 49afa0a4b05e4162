"""The `onetake` command: every command under one name, from any folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from material import ROOT

from dataset.onetake import COMMANDS

ONETAKE = Path(sys.executable).with_name("onetake")


def onetake(folder: Path, *words: str) -> subprocess.CompletedProcess:
    start = "import sys; from dataset.onetake import main; sys.argv[0] = 'onetake'; sys.path.pop(0); main()"
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[0] = {str(ROOT)!r}; {start}", *words],
        cwd=folder, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": ""},
    )  # fmt: skip


def test_every_command_is_listed(tmp_path):
    listed = onetake(tmp_path).stdout
    for name in COMMANDS:
        assert f"  {name} " in listed


def test_every_module_that_is_a_command_has_a_name():
    sources = [path for package in ("annotate", "dataset", "infer", "train") for path in (ROOT / package).rglob("*.py")]
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for path in sources
        if "\n    run_command(" in path.read_text() and 'if __name__ == "__main__"' in path.read_text()
    }
    assert {module for module, _ in COMMANDS.values()} == modules - {"dataset.command_line"}


def test_an_unknown_command_is_one_line(tmp_path):
    result = onetake(tmp_path, "trian")
    assert result.returncode == 2
    assert result.stderr.startswith('error: "trian" is no command; use one of annotate, dataset')


def test_a_file_of_the_same_name_in_the_folder_is_not_taken(tmp_path):
    for name in ("dataset.py", "train.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong file')")
    result = onetake(tmp_path, "dataset", "--help")
    assert result.returncode == 0 and "usage: onetake dataset" in result.stdout
    assert "the wrong file" not in result.stderr


@pytest.mark.skipif(not ONETAKE.exists(), reason="the package was installed without its commands")
def test_the_installed_command_runs(tmp_path):
    result = subprocess.run([ONETAKE, "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.startswith("onetake ")
