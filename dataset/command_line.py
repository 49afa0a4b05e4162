"""What all commands share: how they end on bad input, and the options that several of them take.

A bad input ends with one clear line and exit status 2; the traceback is shown with `--debug`. Does not know what a
command does.
"""

from __future__ import annotations

import argparse
import errno
import sys
import traceback
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from dataset.progress_lines import ProgressLines


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


class HelpWithDefaults(argparse.RawDescriptionHelpFormatter):
    """Help that keeps the lines of description and examples, and names the default of every option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        shown = action.default not in (None, False, [], argparse.SUPPRESS) and action.option_strings
        if not shown or "default" in (action.help or ""):
            return action.help
        return f"{action.help} (default: %(default)s)"


def run_command(parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], int | None]) -> None:
    """Parse the command line, run `command` and exit; a ValueError or OSError becomes one line and status 2.

    Two flags are added to the parser: `--debug` shows the traceback as well, `--version` says which Onetake this is.
    Progress bars become lines where the error stream is no terminal.
    """
    if sys.argv[0].startswith("onetake "):
        parser.prog = sys.argv[0]
    parser.formatter_class = HelpWithDefaults
    parser.add_argument("--version", action="version", version=f"onetake {onetake_version()}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_intermixed_args()
    terminal, format_of_warnings = sys.stderr, warnings.formatwarning
    warnings.formatwarning = _one_line
    if not terminal.isatty():
        sys.stderr = ProgressLines(terminal)
    try:
        if getattr(arguments, "video_backend", None) is not None:
            from dataset.video import set_default_backend

            set_default_backend(arguments.video_backend)
        sys.exit(command(arguments) or 0)
    except (ValueError, OSError) as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"error: {' '.join(_message(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stopped:
        print(f"interrupted; {stopped}" if str(stopped) else "interrupted; nothing was replaced", file=sys.stderr)
        sys.exit(130)
    finally:
        warnings.formatwarning = format_of_warnings
        if isinstance(sys.stderr, ProgressLines):
            sys.stderr.finish()
            sys.stderr = terminal


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Return a warning as people read it; the file and line of the code help only with other kinds than UserWarning."""
    place = "" if category is UserWarning else f" ({category.__name__}, {filename}:{lineno})"
    return f"warning: {' '.join(str(message).split())}{place}\n"


def _message(error: ValueError | OSError) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f" for {error.filename}" if error.filename else ""
        return f"no space is left on the disk{where}; free some and run the same command again"
    return str(error)
