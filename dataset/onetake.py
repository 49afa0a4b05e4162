"""`onetake COMMAND ...`: every command under one name, from any folder.

`python -m train` finds a file `train.py` in the folder it is started in before it finds this package; `onetake train`
does not. Knows which module each command is; imports it only when it is used.
"""

from __future__ import annotations

import runpy
import sys

from dataset.command_line import onetake_version

COMMANDS = {
    "annotate": ("annotate", "mark the stages of demonstrations on a web page"),
    "dataset": ("dataset", "check annotations, write and show their samples"),
    "convert": ("dataset.convert", "annotations from and to other labelling tools"),
    "train": ("train", "adapt a base model to demonstrations"),
    "enough": ("train.enough", "is one demonstration enough, and what to annotate next"),
    "merge": ("train.merge", "merge base and adapter into one model"),
    "infer": ("infer", "predict the progress of recordings"),
    "report": ("infer.report", "evaluate an adapter on annotated episodes; compare reports"),
    "overlay": ("infer.overlay", "draw predictions on a video"),
    "vllm": ("infer.vllm", "start a vLLM server for a model"),
}


def main() -> None:
    """Run the command that `sys.argv` names; without one, list them."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(_help())
    elif name == "--version":
        print(f"onetake {onetake_version()}")
    elif name in COMMANDS:
        sys.argv = [f"onetake {name}", *sys.argv[2:]]
        runpy.run_module(COMMANDS[name][0], run_name="__main__")
    else:
        print(f'error: "{name}" is no command; use one of {", ".join(COMMANDS)}', file=sys.stderr)
        sys.exit(2)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: onetake COMMAND ...", "", *lines, "", "`onetake COMMAND --help` explains its options."])
