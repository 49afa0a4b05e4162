"""`python -m annotate`: open the labelling page for a video or a folder of videos."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from dataset.command_line import add_video_backend, run_command

EPILOG = """\
examples:
  python -m annotate --video my.mp4 --task "Put the bread into the drawer"
      the page is at http://127.0.0.1:7860; it writes my.json beside the video
  python -m annotate --video clips/ --task "Put the bread into the drawer" --output labels/
      a queue of all videos in clips/; annotations go to labels/
  python -m annotate --video wrist/ --camera front=front/
      two cameras of every episode side by side, wrist/ep1.mp4 with front/ep1.mp4
  ONETAKE_AUTH=anna:secret python -m annotate --video my.mp4 --task "..." --host 0.0.0.0
      reachable from other machines, with a login
how to mark:
  go to the last frame of a stage (Left, Right; Space plays), press Enter, describe the stage, press Enter again;
  repeat until the task is done, then choose Done. `?` on the page lists all keys. Every change is saved at once.
  "Show samples" checks the annotation, shows what a recipe trains on and the command that does it.
  Stages are coarse steps with a clear goal; the frames after the last one show the finished task.
then:
  make lora ANNOTATIONS=my.json
"""


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m annotate", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--video", required=True, nargs="+", help="videos: files, folders, quoted globs")
    parser.add_argument(
        "--task", default="", help="the instruction that the robot follows; can be edited on the page, per episode"
    )
    parser.add_argument("--output", help="folder of the annotations (default: beside each video)")
    parser.add_argument(
        "--camera",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="a further camera, shown beside the video: a folder with videos of the same names, or one file",
    )
    add_video_backend(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--auth_file",
        metavar="FILE",
        help="require the login in this file, one line USER:PASSWORD; without it the variable ONETAKE_AUTH is read",
    )
    parser.add_argument(
        "--auth", metavar="USER:PASSWORD",
        help="require this login; all users of this machine see it in the list of processes",
    )  # fmt: skip
    parser.add_argument(
        "--allow_host", action="append", default=[], metavar="NAME",
        help="a further name of this server, as of a proxy; IP addresses and this machine's name are known",
    )  # fmt: skip
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Find the episodes, build the page, serve it until interrupted."""
    from annotate.store import Store

    if not 0 < arguments.port < 65536:
        raise ValueError(f"--port is {arguments.port}; a port is a number from 1 to 65535, such as 7860")
    auth = _login(arguments)
    cameras = dict(_camera(text) for text in arguments.camera)
    store = Store.open(arguments.video, arguments.task, arguments.output, cameras)
    _refuse_busy_port(arguments.host, arguments.port)
    if auth is None and arguments.host not in ("127.0.0.1", "localhost", "::1"):
        print(
            f"WARNING: ANYBODY WHO REACHES {arguments.host}:{arguments.port} CAN SEE THE VIDEOS AND CHANGE THE "
            "ANNOTATIONS. SET ONETAKE_AUTH=USER:PASSWORD",
            file=sys.stderr,
        )

    import uvicorn

    from annotate.app import build_app

    app = build_app(store, auth, (*arguments.allow_host, arguments.host))
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    print(f"{len(store.episodes)} video(s); open http://{host}:{arguments.port} and stop with Ctrl+C", flush=True)
    uvicorn.run(app, host=arguments.host, port=arguments.port, log_level="warning")


def _login(arguments: argparse.Namespace) -> tuple[str, str] | None:
    """Return user and password; None where no login is required."""
    origin, text = "--auth", arguments.auth
    if text is not None:
        print(
            "warning: --auth shows the password in the list of processes; set ONETAKE_AUTH or use --auth_file instead",
            file=sys.stderr,
        )
    elif arguments.auth_file is not None:
        origin, text = arguments.auth_file, Path(arguments.auth_file).read_text(encoding="utf-8").strip("\r\n")
    elif "ONETAKE_AUTH" in os.environ:
        origin, text = "ONETAKE_AUTH", os.environ["ONETAKE_AUTH"]
    if text is None:
        return None
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise ValueError(f"the login of {origin} is not USER:PASSWORD; write both with a colon between them")
    return user, password


def _camera(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise ValueError(f"--camera is {text!r}; write NAME=PATH, for example front=clips_front/")
    return name, path


def _refuse_busy_port(host: str, port: int) -> None:
    """Raise one clear error message where uvicorn would log several lines."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        raise ValueError(f"cannot listen on {host}:{port} ({error}); choose another --port or --host") from None


if __name__ == "__main__":
    run_command(make_parser(), main)
