"""Provenance: what a report was made with, so that its figures can be reproduced.

Knows versions, the checkout, the command and the adapter's own records; does not know metrics.
"""

from __future__ import annotations

import resource
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from infer.model.adapter_folder import rank_of_adapter, read_recipe_document
from infer.model.model import ProgressModel
from infer.report.evaluate import EpisodeResult, EvaluationSpec
from infer.request import choose_window

PACKAGES = ("torch", "transformers", "peft", "av", "numpy", "scipy")
CHECKOUT = Path(__file__).parents[1]


def collect_provenance(
    model: ProgressModel,
    model_path: str,
    results: Sequence[EpisodeResult],
    spec: EvaluationSpec,
    train: dict[str, Any],
    command: Sequence[str],
) -> dict[str, Any]:
    """Return the report's provenance as JSON.

    Args:
        model: The evaluated model.
        model_path: The path given by the caller.
        results: The episodes.
        spec: The settings of the evaluation.
        train: `train_summary.json` of the adapter; empty for a base.
        command: The words of the command line.
    """
    adapter = model_path if model.has_adapter else None
    recipe = read_recipe_document(adapter) if adapter else {}
    return {
        "model": model_path,
        "base": model.base_name,
        "base_revision": model.revision,
        "adapter": adapter,
        "training_demonstrations": len(train["data"]) if "data" in train else None,
        "training_data": train.get("data", []),
        "trained_tasks": list(model.progress_config.tasks) if model.progress_config else [],
        "samples": train.get("samples"),
        "steps": train.get("steps"),
        "train_seconds": train.get("seconds"),
        "seed": (recipe.get("sft") or {}).get("seed"),
        "lora_rank": rank_of_adapter(adapter) if adapter else None,
        "recipe": recipe or None,
        "window": choose_window(model.progress_config).to_dict(),
        "readout": spec.readout,
        "max_sampled_frames": spec.max_sampled_frames,
        "shortcut_windows": spec.shortcut_windows,
        "episodes": [
            {
                "episode": result.demonstration.name,
                "fingerprint": result.demonstration.annotation.fingerprint,
                "held_out": result.held_out,
            }
            for result in results
        ],
        "versions": {"python": sys.version.split()[0], **{package: version(package) for package in PACKAGES}},
        "git_commit": git_commit(),
        "command": shlex.join(command),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def git_commit(folder: Path = CHECKOUT) -> str | None:
    """Return the commit of the checkout, with "+" where tracked files differ from it; None outside of git."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


def measured_cost(model: ProgressModel, results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Return the cost: milliseconds per window and model (both playbacks; encoding counts for the first), memory."""
    windows = 2 * sum(len(result.frames) for result in results)
    return {
        "ms_per_window": {
            name: round(1000 * sum(result.seconds[name] for result in results) / windows, 1)
            for name in results[0].seconds
        },
        "windows": windows,
        "peak_memory_gb": round(peak_memory_gb(model.device), 2),
        "device": str(model.device),
    }


def peak_memory_gb(device: torch.device) -> float:
    """Return the peak memory so far, 10^9 bytes: of the GPU, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB, macOS in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
