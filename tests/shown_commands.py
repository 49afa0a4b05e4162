"""Commands that documents show, found and parsed by the programs' own parsers."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
import tomllib
from importlib import import_module

import pytest
from material import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"^([A-Z]+) [?:]?=", MAKEFILE, re.MULTILINE))
STARTS = ("make", "python", "torchrun", ".venv/bin/pip", "source", ".ci/run")
ELSEWHERE = ("evqa/", "ffmpeg")  # programs of others that a page names


def commands_of(text: str) -> list[str]:
    """Return the commands of a document: in back-quotes, or on lines of their own that are indented or commented."""
    found = []
    text = re.sub(r"```\w+\n.*?```", "", text, flags=re.DOTALL)  # Python, JSON: looked at elsewhere
    for match in re.finditer(r"`([^`]+)`|^(?:#? {4,}|# +)(\S.*)$", text, re.MULTILINE):
        command = " ".join((match.group(1) or match.group(2)).split())
        command = re.split(r"  +#| # ", command)[0].strip()
        words = command.split() or [""]
        whole = len(words) > 1 or words[0].endswith("/run")
        if whole and words[0] in STARTS and not any(name in command for name in ELSEWHERE):
            found.append(command)
    return found


def checked_commands(text: str) -> int:
    """Parse every command of a document; returns how many there were."""
    commands = commands_of(text)
    for command in commands:
        check_command(command)
    return len(commands)


def check_command(command: str) -> None:
    """Fail unless the command's program exists and takes these arguments."""
    words = shlex.split(command)
    if words[0] == "make":
        check_make(words[1:], command)
    elif words[0] == ".venv/bin/pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
            "optional-dependencies"
        ]
        assert re.fullmatch(r"\.\[(\w+)\]", words[-1]).group(1) in extras, command
    elif words[0] == ".ci/run":
        assert (ROOT / words[0]).exists()
    elif "-m" in words:
        place = words.index("-m")
        check_module(words[place + 1], words[place + 2 :], command)
    elif words[0] == "python":
        assert (ROOT / words[1]).exists(), command


def check_make(words: list[str], command: str) -> None:
    for word in words:
        name, equals, _ = word.partition("=")
        assert (name in VARIABLES or name == "PYTHON") if equals else name in TARGETS, command


def check_module(module: str, words: list[str], command: str) -> None:
    if not words or words == ["..."]:  # the program's name, in a sentence
        import_module(f"{module}.__main__" if (ROOT / module.replace(".", "/")).is_dir() else module)
        return
    home = f"{module}.__main__" if (ROOT / module.replace(".", "/")).is_dir() else module
    parser: argparse.ArgumentParser = import_module(home).make_parser()
    known = {flag for action in parser._actions for flag in action.option_strings} | {"--debug", "--version"}
    shortened = "..." in words or (words[-1] in known and len(words) == 1) or not _has_what_is_required(parser, words)
    if shortened:  # its flags at least are real
        for word in words:
            assert not word.startswith("--") or word.split("=")[0] in known, command
        return
    with contextlib.suppress(SystemExit):
        parser.parse_intermixed_args(words)
        return
    pytest.fail(f"{command}: {module} does not take these arguments")


def _has_what_is_required(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    needed = [action.option_strings for action in parser._actions if action.required and action.option_strings]
    return all(any(flag in words for flag in flags) for flags in needed)
