"""`python -m infer.vllm`: start a vLLM server for a base model and, with --use_lora, an adapter on it.

vLLM has a Python environment of its own (`make vllm`), since it pins other versions of transformers and numpy. This
program only builds its command line and becomes that process.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from infer.model.adapter_folder import rank_of_adapter
from infer.model.base_files import resolve_model_name, split_revision
from infer.model.errors import ModelError
from infer.model.source import ModelSource

DEFAULT_PYTHON = ".venv-vllm/bin/python"
HOST, PORT = "127.0.0.1", 8000
DEFAULT_SERVER = f"http://{HOST}:{PORT}"
BASE_NAME, ADAPTER_NAME = "base", "adapter"  # of the models on the server
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM can be set to
MAX_IMAGES = 64  # frames in one window

EPILOG = """\
examples:
  python -m infer.vllm --model_path runs/oneshot/adapter --use_lora
  python -m infer.vllm --model_path ce-amtic/ProcVLM-2B --port 8100 --vllm_args="--gpu-memory-utilization 0.8"
then: python -m infer --engine vllm --model_path (the same) ...
"""


def server_command(
    source: ModelSource,
    python: str = DEFAULT_PYTHON,
    host: str = HOST,
    port: int = PORT,
    extra: Sequence[str] = (),
) -> list[str]:
    """Return the command line of the server.

    Args:
        source: The model; device, attention and 4 bits are vLLM's own matter.
        python: Interpreter of the environment that has vLLM.
        host, port: Where to listen.
        extra: More of vLLM's own arguments.

    Raises:
        ModelError: The adapter cannot run on vLLM.
    """
    base, config = source.check_folder()
    lora: list[str] = []
    pixels: list[str] = []
    if source.use_lora:
        modules = f"{ADAPTER_NAME}={source.model_path}"
        lora = ["--enable-lora", "--lora-modules", modules, "--max-lora-rank", str(_vllm_rank(source.model_path))]
        if config and config.min_pixels and config.max_pixels:
            size = {"size": {"shortest_edge": config.min_pixels, "longest_edge": config.max_pixels}}
            pixels = ["--mm-processor-kwargs", json.dumps(size)]
    name, revision = split_revision(base)
    pinned = ["--revision", revision] if revision else []
    images = ["--limit-mm-per-prompt", json.dumps({"image": MAX_IMAGES})]
    return [
        python, "-m", "vllm.entrypoints.openai.api_server", "--model", resolve_model_name(name),
        *pinned, "--served-model-name", BASE_NAME, *lora, *images, *pixels, "--dtype", source.torch_dtype,
        "--host", host, "--port", str(port), *extra,
    ]  # fmt: skip


def _vllm_rank(adapter: str) -> int:
    """Return the smallest rank that vLLM can be set to and that holds the adapter's."""
    rank = rank_of_adapter(adapter) or 0
    for least in RANKS:
        if rank <= least:
            return least
    raise ModelError(f"the adapter has rank {rank}; vLLM takes at most {RANKS[-1]}")


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infer.vllm", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--model_path", required=True, help="base model; with --use_lora the adapter folder")
    parser.add_argument("--use_lora", action="store_true", help="--model_path is a LoRA adapter folder")
    parser.add_argument("--base_model", help="base to use in place of the one that the adapter names")
    parser.add_argument("--python", default=DEFAULT_PYTHON, help="interpreter of the environment that has vLLM")
    parser.add_argument("--host", default=HOST, help="address to listen on; this machine only by default")
    parser.add_argument("--port", type=int, default=PORT, help="port to listen on (default: %(default)s)")
    parser.add_argument("--torch_dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--vllm_args", default="", help="more of vLLM's own arguments, in one string")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Become the server."""
    if not Path(arguments.python).exists():
        raise ModelError(
            f"{arguments.python} does not exist; `make vllm` makes that environment for a CPU, or name the Python of "
            "an environment with vLLM by --python"
        )
    source = ModelSource(arguments.model_path, arguments.use_lora, arguments.base_model, arguments.torch_dtype)
    extra = shlex.split(arguments.vllm_args)
    command = server_command(source, arguments.python, arguments.host, arguments.port, extra)
    print(shlex.join(command), flush=True)
    os.execvp(command[0], command)
