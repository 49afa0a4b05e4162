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


def command(output: Path, *overrides: str) -> list[str]:
    return [
        "-m", "train", "--config", "recipes/nano.yaml", f"data.annotations=[{DEMO / 'demo.json'}]",
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


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(port)]
    two, cache = tmp_path / "two", tmp_path / "cache"
    said = run([*torchrun, *command(two, "sft.per_device_train_batch_size=2", f"features.cache={cache}")])
    run(command(tmp_path / "one", "sft.per_device_train_batch_size=4"))
    assert losses(two) == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    assert said.count("adapter: ") == 1  # one of them speaks
    assert json.loads((two / "train_summary.json").read_text())["processes"] == 2
    assert list(cache.glob("*.values"))  # shared between the two
    weights = [load_file(folder / "adapter_model.safetensors") for folder in (two, tmp_path / "one")]
    for name, weight in weights[0].items():
        assert weight == pytest.approx(weights[1][name], abs=2e-3), name  # Adam turns last bits into whole steps
