"""Two processes train like one: the same losses at the same global batch, each frame encoded by one of them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from material import DEMO, ROOT
from safetensors.torch import load_file


def arguments(output: Path, *overrides: str) -> list[str]:
    return [
        "--config", "recipes/nano.yaml", f"data.annotations=[{DEMO / 'demo.json'}]",
        f"sft.output_dir={output}", "data.sampling.every=9", "sft.max_steps=4", "sft.logging_steps=1", *overrides,
    ]  # fmt: skip


def run(words: list[str]) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def losses(adapter: Path) -> list[float]:
    rows = [json.loads(line) for line in (adapter / "training_log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def torchrun() -> list[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(port)]


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    """The same run in one process."""
    output = tmp_path_factory.mktemp("one") / "adapter"
    run(["-m", "train", *arguments(output, "sft.per_device_train_batch_size=4")])
    return output


def assert_same(adapter: Path, one: Path) -> None:
    assert losses(adapter) == pytest.approx(losses(one), rel=1e-4)
    weights = [load_file(folder / "adapter_model.safetensors") for folder in (adapter, one)]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        assert weight == pytest.approx(weights[1][name], abs=2e-3), name  # Adam makes whole steps of last bits


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path, one):
    two, cache = tmp_path / "two", tmp_path / "cache"
    words = arguments(two, "sft.per_device_train_batch_size=2", f"features.cache={cache}")
    said = run([*torchrun(), "-m", "train", *words])
    assert_same(two, one)
    assert said.count("adapter: ") == 1  # one of them speaks
    assert json.loads((two / "train_summary.json").read_text())["processes"] == 2
    assert list(cache.glob("*.values"))  # shared between the two


@pytest.mark.slow
def test_sharded_weights_train_like_whole_ones(tmp_path, one):
    two = tmp_path / "two"
    words = arguments(
        two, "sft.per_device_train_batch_size=2", f"features.cache={tmp_path / 'cache'}", "sft.fsdp=full_shard",
        "sft.fsdp_config={transformer_layer_cls_to_wrap: [Qwen3VLTextDecoderLayer]}",
    )  # fmt: skip
    said = run([*torchrun(), "tests/train_sharded_on_cpu.py", *words])
    assert "parameters are DTensor" in said
    assert_same(two, one)
    assert json.loads((two / "reload_parity.json").read_text())["equal_weights"] == len(
        load_file(two / "adapter_model.safetensors")
    )
