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

from dataset.budget import read_token_budget
from infer.model.adapter_folder import rank_of_adapter
from infer.model.base_files import base_folder, resolve_model_name, split_revision
from infer.model.errors import ModelError
from infer.model.source import BASE_MAX_PIXELS, ModelSource
from infer.request import BASE_WINDOW

DEFAULT_PYTHON = ".venv-vllm/bin/python"
HOST, PORT = "127.0.0.1", 8000
DEFAULT_SERVER = f"http://{HOST}:{PORT}"
BASE_NAME, ADAPTER_NAME = "base", "adapter"  # of the models on the server
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM can be set to
TEXT_TOKENS = 1024  # room for question and answer beside the frames of a window
LARGEST_PICTURE = 1920 * 1080  # pixels of a frame where nothing limits them further

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
    window_size: int | None = None,
) -> list[str]:
    """Return the command line of the server: room for one window per request, and none of the base's own sampling.

    Args:
        source: The model; device, attention and 4 bits are vLLM's own matter.
        python: Interpreter of the environment that has vLLM.
        host, port: Where to listen.
        extra: More of vLLM's own arguments; they replace those made here.
        window_size: Frames in a window; the adapter's by default.

    Raises:
        ModelError: The adapter cannot run on vLLM.
    """
    source = source.for_predictions()
    base, config = source.check_folder()
    lora: list[str] = []
    if source.use_lora:
        modules = f"{ADAPTER_NAME}={source.model_path}"
        lora = ["--enable-lora", "--lora-modules", modules, "--max-lora-rank", str(_vllm_rank(source.model_path))]
    limits = config or source
    folder = base_folder(base)
    image = {"min_pixels": limits.min_pixels, "max_pixels": limits.max_pixels}
    budget = read_token_budget({"model": folder, "image": image})
    size = {"size": {"shortest_edge": budget.min_pixels, "longest_edge": budget.max_pixels}}
    frames = window_size or (config.window.size if config else BASE_WINDOW.size)
    length = frames * (min(budget.max_pixels, LARGEST_PICTURE) // budget.factor**2 + 2) + TEXT_TOKENS
    if folder is not None:
        length = min(length, budget.context)
    name, revision = split_revision(base)
    pinned = ["--revision", revision] if revision else []
    chosen = {
        "--limit-mm-per-prompt": json.dumps({"image": frames}),
        "--mm-processor-kwargs": json.dumps(size),
        "--max-model-len": str(length),
        "--generation-config": "vllm",
        "--dtype": source.torch_dtype,
    }
    given = {word.partition("=")[0].replace("_", "-") for word in extra}
    ours = [word for flag, value in chosen.items() if flag not in given for word in (flag, value)]
    return [
        python, "-m", "vllm.entrypoints.openai.api_server", "--model", resolve_model_name(name),
        *pinned, "--served-model-name", BASE_NAME, *lora, *ours, "--host", host, "--port", str(port), *extra,
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
    parser.add_argument(
        "--window_size", type=int, help=f"frames in a window (default: the adapter's; of a base {BASE_WINDOW.size})"
    )
    parser.add_argument(
        "--max_pixels", type=int,
        help=f"largest area of a frame (default: the adapter's; of a base {BASE_MAX_PIXELS}, or its own if less)",
    )  # fmt: skip
    parser.add_argument("--vllm_args", default="", help="more of vLLM's own arguments, in one string")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Become the server."""
    if not Path(arguments.python).exists():
        raise ModelError(
            f"{arguments.python} does not exist; `make vllm` makes that environment for a CPU, or name the Python of "
            "an environment with vLLM by --python"
        )
    source = ModelSource(
        arguments.model_path, arguments.use_lora, arguments.base_model, arguments.torch_dtype,
        max_pixels=arguments.max_pixels,
    )  # fmt: skip
    extra = shlex.split(arguments.vllm_args)
    command = server_command(source, arguments.python, arguments.host, arguments.port, extra, arguments.window_size)
    print(shlex.join(command), flush=True)
    os.execvp(command[0], command)
