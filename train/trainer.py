"""TRL's trainer, with evaluation by the code of inference.

Knows `SFTTrainer`; does not know how samples, adapters or pictures are made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from trl import SFTTrainer

from train.curves import report_evaluation, show_evaluation
from train.evaluation import EpisodeEvaluation, mean_metrics
from train.trl_internals import count_answer_tokens, report_metrics, set_tensorboard_folder


class ProgressTrainer(SFTTrainer):
    """`SFTTrainer` whose `evaluate` predicts the held-out set; best checkpoint and early stopping use its metrics.

    Args:
        evaluate_held_out: Returns the evaluations of the held-out episodes with the present adapter; None without any.
        **arguments: Those of `SFTTrainer`.
    """

    control: Any  # the trainer's own state

    def __init__(
        self, evaluate_held_out: Callable[[], Sequence[EpisodeEvaluation]] | None = None, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self._evaluate_held_out = evaluate_held_out
        count_answer_tokens(self)
        set_tensorboard_folder(self, str(self.run_folder / "tensorboard"))

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Predict the held-out set and return its mean metrics as `eval_NAME`; an undefined one is nan."""
        self.model.eval()
        with torch.no_grad():
            evaluations = self._evaluate_held_out() if self._evaluate_held_out else []
        metrics = {
            f"eval_{name}": math.nan if value is None else value for name, value in mean_metrics(evaluations).items()
        }
        self.log(dict(metrics))
        if self.is_world_process_zero():
            show_evaluation(self.run_folder, self.state.global_step, evaluations)
            report_evaluation(self, self.run_folder, evaluations)
        report_metrics(self, metrics)
        self.model.train()
        return metrics

    @property
    def run_folder(self) -> Path:
        """The folder that the run writes to until it is complete."""
        return Path(self.args.output_dir)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write no card: the adapter folder gets its own at the end."""
