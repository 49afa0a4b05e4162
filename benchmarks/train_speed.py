"""Training speed: every frame encoded once, against the naive path that encodes all images of a sample in the step.

    python benchmarks/train_speed.py                        # the embedded model, 3 epochs over the bundled demo
    python benchmarks/train_speed.py --shape 2b --steps 2   # Qwen3-VL-2B's exact shape, random weights

The naive path opens the video for every sample, decodes and preprocesses its window, and lets the forward pass run the
vision tower; everything else (trainer, samples, seeds, LoRA) is the same. Each side runs in a process of its own, in
turns, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from transformers import TrainerCallback  # noqa: E402

from dataset.video import VideoReader  # noqa: E402
from infer.model.model import ProgressModel  # noqa: E402
from infer.model.source import ModelSource  # noqa: E402
from train.collate import WindowCollator, needed_frames  # noqa: E402
from train.configs import build_configs  # noqa: E402
from train.features import PreparedFrame, prepare_frames, prepare_group  # noqa: E402
from train.lora import load_base, make_trainer  # noqa: E402
from train.recipe import Recipe, read_recipe  # noqa: E402
from train.training_data import read_training_data  # noqa: E402

PATHS = ("naive", "once")


class NaiveCollator(WindowCollator):
    """Decodes and preprocesses the window of every sample in the step; the forward pass encodes it."""

    def __init__(self, model: ProgressModel) -> None:
        super().__init__(model, {}, as_pixels=True)

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the forward pass's arguments, `pixel_values` included."""
        windows: list[list[PreparedFrame]] = []
        for row in rows:
            frames = VideoReader(row["video"]).frames(row["window_frame_indices"])
            windows.append(prepare_group(self.model, frames, as_pixels=True))
        return self._with_pixels(windows, [r["prompt"] for r in rows], [r["completion"] for r in rows])


class TimedCollator:
    """A collator that counts its seconds: the data time of a run."""

    def __init__(self, collator: WindowCollator) -> None:
        self._collator, self.seconds = collator, 0.0

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        started = time.monotonic()
        batch = self._collator(rows)
        self.seconds += time.monotonic() - started
        return batch


class Losses(TrainerCallback):
    """The loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if "loss" in (logs or {}):
            self.values.append(logs["loss"])


def make_recipe(arguments: argparse.Namespace, folder: str) -> Recipe:
    """Return the recipe both paths train with: nano's, or the 2B shape's with gradient checkpointing."""
    overrides = [
        f"data.annotations=[{ROOT / 'recipes' / 'demo' / 'demo.json'}]", f"sft.output_dir={folder}/adapter",
        "sft.logging_steps=1", f"sft.per_device_train_batch_size={arguments.batch}",
        f"sft.num_train_epochs={arguments.epochs}", f"sft.max_steps={arguments.steps or -1}",
    ]  # fmt: skip
    if arguments.shape == "2b":
        overrides += [
            "sft.gradient_checkpointing=true", "sft.bf16=true", "lora.target_modules=[q_proj,k_proj,v_proj,o_proj]",
            "lora.r=64", "lora.lora_alpha=128", f"image.max_pixels={arguments.pixels**2}",
        ]  # fmt: skip
    return read_recipe(ROOT / "recipes" / "nano.yaml", overrides)


def random_2b(recipe: Recipe, device: str, pixels: int) -> ProgressModel:
    """Return a model of Qwen3-VL-2B's exact shape with random weights, behind the embedded model's tokenizer.

    The demo's pictures are small: the least pixels are the most pixels, so that every image has this size.
    """
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    nano = ProgressModel.load(ModelSource(recipe.model, torch_dtype="float32"))
    special = {
        key: getattr(nano.base.config, key) for key in ("image_token_id", "video_token_id", "vision_start_token_id")
    }
    config = Qwen3VLConfig(
        text_config=dict(
            hidden_size=2048, intermediate_size=6144, num_hidden_layers=28, num_attention_heads=16,
            num_key_value_heads=8, head_dim=128, vocab_size=151936, tie_word_embeddings=True,
            max_position_embeddings=262144, rope_parameters=dict(
                rope_type="default", rope_theta=5e6, mrope_section=[24, 20, 20], mrope_interleaved=True
            ),
        ),
        vision_config=dict(
            depth=24, hidden_size=1024, num_heads=16, intermediate_size=4096, patch_size=16, temporal_patch_size=2,
            spatial_merge_size=2, out_hidden_size=2048, num_position_embeddings=2304,
            deepstack_visual_indexes=[5, 11, 17],
        ),
        tie_word_embeddings=True, **special,
    )  # fmt: skip
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    model = Qwen3VLForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    nano.image_processor.size = {"shortest_edge": pixels**2, "longest_edge": pixels**2}
    model.requires_grad_(False)
    return ProgressModel(model.to(device).eval(), nano.tokenizer, nano.image_processor, "random 2B")


def run_path(path: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train by one path; returns seconds (encoding included), samples, data seconds, losses and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = make_recipe(arguments, folder)
        lora_config, sft_config = build_configs(recipe, Path(folder))
        data = read_training_data(recipe)
        device = str(sft_config.device)
        if arguments.shape == "2b":
            model = random_2b(recipe, device, arguments.pixels)
        else:
            model = load_base(recipe, sft_config)
        if arguments.steps:  # no more frames than these steps show
            count = min(arguments.steps * arguments.batch, len(data.dataset))
            data = replace(data, dataset=data.dataset.select(range(count)))
        trainer = make_trainer(recipe, model, data, lora_config, sft_config)
        losses = Losses()
        trainer.add_callback(losses)
        started = time.monotonic()
        if path == "naive":
            collator = NaiveCollator(model)
        else:
            collator = WindowCollator(model, prepare_frames(model, needed_frames(data.samples), recipe.features))
        encoded = time.monotonic()
        timed = trainer.data_collator = TimedCollator(collator)
        trainer.train()
        finished = time.monotonic()
    steps = trainer.state.global_step
    if device.startswith("cuda"):
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": finished - started,
        "encoding_seconds": encoded - started,
        "step_seconds": (finished - encoded) / steps,
        "samples": round(len(data.samples) * trainer.state.epoch),
        "data_share": timed.seconds / (finished - encoded),
        "peak_gb": peak / 1e9,
        "losses": losses.values,
    }


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("nano", "2b"), default="nano", help="the embedded model, or the 2B shape")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the demo's samples")
    parser.add_argument("--steps", type=int, help="stop after so many steps")
    parser.add_argument("--batch", type=int, help="samples in a step (default: 8, and 1 for the 2B shape)")
    parser.add_argument("--pixels", type=int, default=256, help="2B shape: width and height of an image")
    parser.add_argument("--rounds", type=int, default=1, help="how often the two paths take turns")
    parser.add_argument("--path", choices=PATHS, help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Run both paths in turns and print the comparison; with --path run one and print JSON."""
    arguments = make_parser().parse_args()
    arguments.batch = arguments.batch or (8 if arguments.shape == "nano" else 1)
    if arguments.path:
        print("RESULT " + json.dumps(run_path(arguments.path, arguments)))
        return
    results: dict[str, list[dict[str, Any]]] = {path: [] for path in PATHS}
    for _ in range(arguments.rounds):
        for path in PATHS:
            command = [sys.executable, __file__, *sys.argv[1:], "--path", path]
            output = subprocess.run(
                command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"}
            )
            if output.returncode:
                sys.exit(output.stderr)
            line = next(line for line in output.stdout.splitlines() if line.startswith("RESULT "))
            results[path].append(json.loads(line.removeprefix("RESULT ")))
    middle = {
        path: {k: statistics.median(r[k] for r in rows) for k in rows[0] if k != "losses"}
        for path, rows in results.items()
    }
    for path, row in middle.items():
        print(
            f"{path:<6} {row['samples'] / row['seconds']:7.3f} samples/s  {row['step_seconds']:8.3f} s/step  "
            f"data {row['data_share']:6.1%} of the step  encoding {row['encoding_seconds']:6.2f} s once  "
            f"peak {row['peak_gb']:.2f} GB"
        )
    ratio = middle["naive"]["seconds"] / middle["once"]["seconds"]
    losses = [results[path][0]["losses"] for path in PATHS]
    apart = max(abs(a - b) for a, b in zip(*losses, strict=True))
    print(f"once/naive: {ratio:.2f}x samples/s; losses differ by at most {apart:.1e} over {len(losses[0])} steps")


if __name__ == "__main__":
    main()
