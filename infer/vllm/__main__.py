"""`python -m infer.vllm`: see `infer.vllm.server`."""

from dataset.command_line import run_command
from infer.vllm.server import main, make_parser

if __name__ == "__main__":
    run_command(make_parser(), main)
