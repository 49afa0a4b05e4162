"""TRL's trainer, with evaluation by the code that inference runs.

Knows `SFTTrainer`; does not know how samples, adapters or pictures are made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.integrations import TensorBoardCallback
from trl import SFTTrainer

from infer.model.errors import ModelError
from train.curves import report_evaluation, show_evaluation
from train.evaluation import EpisodeReading, mean_metrics


class ProgressTrainer(SFTTrainer):
    """`SFTTrainer` whose `evaluate` reads held-out episodes; best checkpoint and early stop follow from its metrics.

    Args:
        read_held_out: Returns the readings of the held-out episodes with the adapter as it is; None without any.
        **arguments: `SFTTrainer`'s own.
    """

    control: Any  # the trainer's own state

    def __init__(self, read_held_out: Callable[[], Sequence[EpisodeReading]] | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._read_held_out = read_held_out
        # Qwen3-VL's own loss can't take the number of answer tokens, TRL's can: with it the loss is the mean over all
        # tokens of a step, however they are split into processes and accumulated batches
        self.model_accepts_loss_kwargs = True
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
                callback.logging_dir = str(self.run_folder / "tensorboard")  # its own choice names this machine

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Read the held-out episodes and return their mean metrics as `eval_NAME`; an undefined one is nan."""
        self.model.eval()
        with torch.no_grad():
            readings = self._read_held_out() if self._read_held_out else []
        metrics = {
            f"eval_{name}": math.nan if value is None else value for name, value in mean_metrics(readings).items()
        }
        self.log(dict(metrics))
        if self.is_world_process_zero():
            show_evaluation(self.run_folder, self.state.global_step, readings)
            report_evaluation(self, self.run_folder, readings)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.model.train()
        return metrics

    @property
    def run_folder(self) -> Path:
        """Where the run writes until it is complete."""
        return Path(self.args.output_dir)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write none: the adapter folder gets its own card at the end."""


def refuse_unmatched_targets(error: ValueError, model: torch.nn.Module, targets: Any) -> ValueError:
    """Turn PEFT's error about targets that match no module into one that lists what there is."""
    text = str(error)
    if "arget modules" not in text and "target_modules" not in text:
        return error
    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and ".visual." not in f".{name}."
    }
    return ModelError(
        f"recipe: lora.target_modules = {targets} matches no module of the base; the language model has "
        f"{', '.join(sorted(linear))}"
    )
