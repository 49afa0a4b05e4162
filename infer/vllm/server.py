"""`python -m infer.vllm`: start a vLLM server for a base model and, with --use_lora, an adapter on it.

vLLM lives in a Python environment of its own (`make vllm`), since it pins other versions of transformers and numpy.
This program only puts its command line together and becomes that process.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from pathlib import Path

from infer.model.adapter_folder import (
    ADAPTER_CONFIG,
    ProgressConfig,
    base_of_adapter,
    is_adapter,
    refuse_vision_adapter,
)
from infer.model.base_name import resolve_model_name, split_revision
from infer.model.errors import ModelError

DEFAULT_PYTHON = ".venv-vllm/bin/python"
HOST, PORT = "127.0.0.1", 8000
DEFAULT_SERVER = f"http://{HOST}:{PORT}"
MAX_IMAGES = 64  # frames in one window

EPILOG = """\
examples:
  python -m infer.vllm --model_path runs/oneshot/adapter --use_lora
  python -m infer.vllm --model_path ce-amtic/ProcVLM-2B --port 8100 --vllm_args="--gpu-memory-utilization 0.8"
then: python -m infer --engine vllm --model_path (the same) ...
"""


def server_command(
    model_path: str,
    use_lora: bool,
    base_model: str | None = None,
    python: str = DEFAULT_PYTHON,
    host: str = HOST,
    port: int = PORT,
    dtype: str = "auto",
    extra: tuple[str, ...] = (),
) -> list[str]:
    """Return the command line of the server; ModelError when the adapter cannot run on vLLM."""
    base = model_path
    lora: list[str] = []
    pixels: list[str] = []
    if use_lora:
        base = base_model or base_of_adapter(model_path)
        refuse_vision_adapter(model_path)
        rank = json.loads((Path(model_path) / ADAPTER_CONFIG).read_text(encoding="utf-8"))["r"]
        lora = ["--enable-lora", "--lora-modules", f"adapter={model_path}", "--max-lora-rank", str(_vllm_rank(rank))]
        config = ProgressConfig.read(model_path)
        if config.min_pixels and config.max_pixels:
            size = {"size": {"shortest_edge": config.min_pixels, "longest_edge": config.max_pixels}}
            pixels = ["--mm-processor-kwargs", json.dumps(size)]
    elif is_adapter(model_path):
        raise ModelError(f"{model_path} is a LoRA adapter, not a base model; add --use_lora")
    name, revision = split_revision(base)
    pinned = ["--revision", revision] if revision else []
    images = ["--limit-mm-per-prompt", json.dumps({"image": MAX_IMAGES})]
    return [
        python, "-m", "vllm.entrypoints.openai.api_server", "--model", resolve_model_name(name),
        *pinned, "--served-model-name", "base", *lora, *images, *pixels, "--dtype", dtype, "--host", host,
        "--port", str(port), *extra,
    ]  # fmt: skip


def _vllm_rank(rank: int) -> int:
    """Return the smallest rank that vLLM can be set to and that holds `rank`."""
    for known in (8, 16, 32, 64, 128, 256, 320, 512):
        if rank <= known:
            return known
    raise ModelError(f"the adapter has rank {rank}; vLLM takes at most 512")


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
    command = server_command(
        arguments.model_path, arguments.use_lora, arguments.base_model, arguments.python, arguments.host,
        arguments.port, arguments.torch_dtype, tuple(shlex.split(arguments.vllm_args)),
    )  # fmt: skip
    print(shlex.join(command), flush=True)
    os.execvp(command[0], command)
