"""Every command that the README and the recipes name exists and takes the flags it is shown with."""

import argparse
import re
import shlex
from importlib import import_module

import pytest
from material import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [README, *(path.read_text(encoding="utf-8") for path in (ROOT / "recipes").glob("*.yaml"))]


def commands(start: str) -> list[str]:
    """Return the commands of all documents that begin with `start`, placeholders included."""
    found = []
    for text in DOCUMENTS:
        for match in re.finditer(rf"`({start}[^`]*)`|^[ #]*({start}.*)$", text, re.MULTILINE):
            found.append(" ".join((match.group(1) or match.group(2)).split()).split("  #")[0].split(" # ")[0])
    assert found, start
    return found


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in commands("make "):
        name = shlex.split(command)[1]
        if name != "lists":
            assert name in targets, command


def test_make_variables_exist():
    known = set(re.findall(r"^([A-Z]+) [?:]=", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in commands("make "):
        assert set(re.findall(r" ([A-Z]+)=", command)) <= known, command


@pytest.mark.parametrize("module", ["dataset", "train", "infer"])
def test_module_commands_parse(module):
    parser: argparse.ArgumentParser = import_module(f"{module}.__main__").make_parser()
    for command in commands(f"python -m {module} "):
        words = shlex.split(command)[3:]
        if "..." not in words[:1]:
            parser.parse_intermixed_args(words)


def test_named_files_exist():
    for path in re.findall(r"\]\(((?!http)[^)]+)\)|`((?:recipes|infer|dataset|train)/[\w./]+)`", README):
        name = path[0] or path[1]
        assert (ROOT / name).exists(), name


def test_the_prompt_shown_is_the_prompt_used():
    from dataset.prompts import build_completion, build_prompt

    shown = " ".join(README.split())
    task = "Pick up the red puck and bring it to the blue goal marker"
    assert " ".join(build_prompt(task).split()) in shown
    answer = build_completion(41.72, ("Lift the red puck off the table", "Carry the red puck to the blue goal marker"))
    assert " ".join(answer.split()) in shown


def test_the_annotation_shown_is_the_bundled_one():
    assert (ROOT / "recipes" / "demo" / "demo.json").read_text(encoding="utf-8").strip() in README
