"""TRL's trainer, with evaluation by the code of inference.

Knows `SFTTrainer`; does not know how samples, adapters or pictures are made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from trl import SFTTrainer

from train.curves import report_evaluation, show_evaluation
from train.evaluation import EpisodeEvaluation, mean_metrics
from train.trl_internals import count_answer_tokens, report_metrics, set_tensorboard_folder


class ProgressTrainer(SFTTrainer):
    """`SFTTrainer` whose `evaluate` predicts the held-out set; best checkpoint and early stopping use its metrics.

    Args:
        evaluate_held_out: Returns the evaluations of the held-out episodes of these numbers with the present adapter.
        held_out: How many held-out episodes there are; several processes share them, and all decide on all figures.
        **arguments: Those of `SFTTrainer`.
    """

    control: Any  # the trainer's own state

    def __init__(
        self,
        evaluate_held_out: Callable[[Sequence[int]], Sequence[EpisodeEvaluation]],
        held_out: int = 0,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._evaluate_held_out, self._held_out = evaluate_held_out, held_out
        count_answer_tokens(self)
        set_tensorboard_folder(self, str(self.run_folder / "tensorboard"))

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Predict the held-out set and return its mean metrics as `eval_NAME`; an undefined one is nan."""
        self.model.eval()
        with torch.no_grad():
            evaluations = self._evaluate_together()
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

    def _evaluate_together(self) -> list[EpisodeEvaluation]:
        """Evaluate each episode in one of the processes; every process gets all evaluations, in the episodes' order."""
        rank, count = self.args.process_index, self.args.world_size
        mine = list(range(rank, self._held_out, count))
        done = list(zip(mine, self._evaluate_held_out(mine), strict=True))
        gathered = gather_object(done) if count > 1 else done
        return [evaluation for _, evaluation in sorted(gathered, key=lambda pair: pair[0])]

    @property
    def run_folder(self) -> Path:
        """The folder that the run writes to until it is complete."""
        return Path(self.args.output_dir)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write no card: the adapter folder gets its own at the end."""
