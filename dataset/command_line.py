"""How every command of Onetake ends on bad input: one clear line, exit status 2, no traceback unless asked for.

Knows exit statuses only; does not know what a command does.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version


def onetake_version() -> str:
    """Return the version that is installed; `pyproject.toml` is the one place where it stands."""
    try:
        return version("onetake")
    except PackageNotFoundError:
        return "of a checkout that is not installed (`make setup` installs it)"


def run_command(parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], int | None]) -> None:
    """Parse the command line, run `command` and exit; a ValueError or OSError becomes one line and status 2.

    Two flags are added to the parser: `--debug` shows the traceback as well, `--version` says which Onetake this is.
    """
    parser.add_argument("--version", action="version", version=f"onetake {onetake_version()}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_intermixed_args()
    try:
        sys.exit(command(arguments) or 0)
    except (ValueError, OSError) as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stopped:
        print(f"interrupted; {stopped}" if str(stopped) else "interrupted; nothing was replaced", file=sys.stderr)
        sys.exit(130)
