"""The cost of a run, estimated before it: counts, memory, and time from three timed steps.

Knows how to run and time a few steps; writes no adapter.
"""

from __future__ import annotations

import math
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from train.callbacks import memory_explained
from train.collate import image_token_counts, needed_frames, refuse_long_samples, token_counts
from train.configs import build_configs
from train.lora import load_base, make_collator, make_trainer
from train.recipe import EvaluationSection, Recipe
from train.training_data import read_training_data

TIMED_STEPS = 3
WARM_UP_STEPS = 1


@dataclass(frozen=True)
class Cost:
    """The estimated cost of a run.

    Args:
        samples: Samples of one epoch.
        steps: Optimizer steps of the run.
        tokens: Tokens of one epoch; `image_tokens` of them are visual.
        image_tokens: See `tokens`.
        longest_sample: Tokens of the longest sample.
        frames: Distinct frames, each encoded once.
        trainable_parameters: Parameters that LoRA adds.
        parameters: All parameters, adapter included.
        weights_gb: Memory of the weights, in 10^9 bytes.
        training_gb: Memory of the gradients of the adapter and of the optimizer.
        peak_gb: Peak memory of the timed steps: of the GPU, or of this process on a CPU.
        seconds_per_step: Median of three steps, after one to warm up.
        seconds_to_encode: For all frames, from the time for those of the timed steps.
        seconds: Encoding and all steps, without evaluations.
    """

    samples: int
    steps: int
    tokens: int
    image_tokens: int
    longest_sample: int
    frames: int
    trainable_parameters: int
    parameters: int
    weights_gb: float
    training_gb: float
    peak_gb: float
    seconds_per_step: float
    seconds_to_encode: float
    seconds: float


def estimate_cost(recipe: Recipe) -> Cost:
    """Load the base, run a few steps on a part of the samples and extrapolate.

    Raises:
        ValueError: The run itself would raise it.
    """
    data = read_training_data(recipe)
    with tempfile.TemporaryDirectory() as folder:
        short = replace(
            recipe,
            evaluation=EvaluationSection(),
            sft={**recipe.sft, "max_steps": WARM_UP_STEPS + TIMED_STEPS, "save_strategy": "no", "report_to": "none"},
        )
        full_config = build_configs(replace(recipe, sft={**recipe.sft, "report_to": "none"}), Path(folder))[1]
        lora_config, sft_config = build_configs(short, Path(folder))
        model = load_base(recipe, sft_config)
        refuse_long_samples(model, data.samples, recipe.sft.get("max_length"))
        image_tokens = image_token_counts(model, needed_frames(data.samples))
        counts = token_counts(model, data.samples, image_tokens)
        per_step = sft_config.per_device_train_batch_size * sft_config.gradient_accumulation_steps
        count = min(len(data.samples), per_step * (WARM_UP_STEPS + TIMED_STEPS))
        spread = [round(i * (len(data.samples) - 1) / max(count - 1, 1)) for i in range(count)]
        part = replace(data, dataset=data.dataset.select(spread), held_out=[])
        with memory_explained(recipe):
            trainer = make_trainer(short, model, part, lora_config, sft_config)
            timer = _StepTimer()
            trainer.add_callback(timer)
            started = time.monotonic()
            trainer.data_collator = make_collator(short, model, part.samples, sft_config)
            per_frame = (time.monotonic() - started) / sum(map(len, needed_frames(part.samples).values()))
            trainer.train()
    return _bill(trainer, data.samples, counts, image_tokens, full_config, per_frame, timer.seconds)


def format_cost(cost: Cost) -> str:
    """Return the cost as lines of text."""
    share = cost.trainable_parameters / cost.parameters
    lines = [
        ("samples", f"{cost.samples:,} per epoch"),
        ("steps", f"{cost.steps:,}"),
        ("tokens", f"{cost.tokens:,} per epoch, {cost.image_tokens:,} of them visual; longest {cost.longest_sample:,}"),
        ("frames", f"{cost.frames:,}, each encoded once ({cost.seconds_to_encode:.0f} s)"),
        ("trainable", f"{cost.trainable_parameters:,} of {cost.parameters:,} parameters ({share:.2%})"),
        ("memory", f"weights {cost.weights_gb:.2f} GB, gradients and optimizer {cost.training_gb:.2f} GB"),
        ("peak", f"{cost.peak_gb:.2f} GB in the timed steps"),
        ("step", f"{cost.seconds_per_step:.2f} s, median of {TIMED_STEPS}"),
        ("time", f"about {_duration(cost.seconds)} (without evaluations)"),
    ]
    return "\n".join(f"{name:<10} {text}" for name, text in lines)


def total_steps(samples: int, config: Any) -> int:
    """Return the optimizer steps of a run: batches of all processes, accumulated, over all epochs."""
    if config.max_steps > 0:
        return config.max_steps
    batches = math.ceil(samples / (config.per_device_train_batch_size * config.world_size))
    return math.ceil(config.num_train_epochs * max(1, math.ceil(batches / config.gradient_accumulation_steps)))


def _bill(trainer, samples, counts, image_tokens, config, per_frame: float, step_seconds: list[float]) -> Cost:
    trainable, parameters = trainer.model.get_nb_trainable_parameters()
    learning = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    frames = sum(map(len, needed_frames(samples).values()))
    steps, step = total_steps(len(samples), config), statistics.median(step_seconds[WARM_UP_STEPS:])
    values = dict(
        samples=len(samples),
        steps=steps,
        tokens=sum(counts),
        image_tokens=sum(len(s.window_frame_indices) * image_tokens[s.video] for s in samples),
        longest_sample=max(counts),
        frames=frames,
        trainable_parameters=trainable,
        parameters=parameters,
        weights_gb=sum(w.numel() * w.element_size() for w in trainer.model.parameters()) / 1e9,
        training_gb=sum(w.numel() * 3 * w.element_size() for w in learning) / 1e9,  # gradient and AdamW's two moments
        peak_gb=_peak_bytes() / 1e9,
        seconds_per_step=step,
        seconds_to_encode=per_frame * frames,
        seconds=per_frame * frames + steps * step,
    )
    return Cost(**{item.name: values[item.name] for item in fields(Cost)})


class _StepTimer(TrainerCallback):
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._since = 0.0

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        self._since = self._now()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.seconds.append(self._now() - self._since)

    @staticmethod
    def _now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.monotonic()


def _peak_bytes() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts in bytes, Linux in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
