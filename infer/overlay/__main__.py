"""`python -m infer.overlay`: see `infer.overlay.render`."""

from dataset.command_line import run_command
from infer.overlay.render import main, make_parser

if __name__ == "__main__":
    run_command(make_parser(), main)
