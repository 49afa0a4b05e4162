"""What all commands share: how they end on bad input, and the options that several of them take.

A bad input ends with one clear line and exit status 2; the traceback is shown with `--debug`. Does not know what a
command does.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version


def onetake_version() -> str:
    """Return the version that is installed; only `pyproject.toml` holds it."""
    try:
        return version("onetake")
    except PackageNotFoundError:
        return "of a checkout that is not installed (`make setup` installs it)"


def add_video_backend(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add `--video_backend`; `run_command` passes its value to `dataset.video.set_default_backend`."""
    parser.add_argument(
        "--video_backend", choices=("auto", "pyav", "decord"),
        help="library that decodes videos: pyav (default, exact), decord (refuses files that it reads wrongly), "
        "auto (the faster one: pyav)",
    )  # fmt: skip


def run_command(parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], int | None]) -> None:
    """Parse the command line, run `command` and exit; a ValueError or OSError becomes one line and status 2.

    Two flags are added to the parser: `--debug` shows the traceback as well, `--version` says which Onetake this is.
    """
    parser.add_argument("--version", action="version", version=f"onetake {onetake_version()}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_intermixed_args()
    try:
        if getattr(arguments, "video_backend", None) is not None:
            from dataset.video import set_default_backend

            set_default_backend(arguments.video_backend)
        sys.exit(command(arguments) or 0)
    except (ValueError, OSError) as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stopped:
        print(f"interrupted; {stopped}" if str(stopped) else "interrupted; nothing was replaced", file=sys.stderr)
        sys.exit(130)
