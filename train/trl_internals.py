"""The private parts of TRL and of transformers' trainer that this workbench uses, all of them here.

Checked against trl 1.16.0 and transformers 5.23.0. A new version is checked by the tests named below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from trl import SFTConfig, SFTTrainer


def count_answer_tokens(trainer: SFTTrainer) -> None:
    """Let the loss of a step be the mean over all its answer tokens, over processes and accumulated batches.

    trl 1.16.0: `Trainer.model_accepts_loss_kwargs` is read from the signature of the model's forward pass. Qwen3-VL's
    own loss does not take the number of answer tokens, the loss that TRL puts in its place does.
    tests/train/test_processes.py compares one process with two.
    """
    trainer.model_accepts_loss_kwargs = True


def set_tensorboard_folder(trainer: SFTTrainer, folder: str) -> None:
    """Send TensorBoard's files to a folder of the run; the default names this machine.

    transformers 5.23.0: `TrainingArguments` has no field for it; the callback has. tests/train/test_curves.py looks for
    the files.
    """
    for callback in _tensorboard(trainer):
        if callback.logging_dir is None:
            callback.logging_dir = folder


def continue_tensorboard(trainer: SFTTrainer, step: int) -> None:
    """After an interruption, let TensorBoard drop what was reported after a checkpoint: those steps come again.

    transformers 5.23.0: `TensorBoardCallback._SummaryWriter`, and `tb_writer`, which it makes only where there is none.
    tests/train/test_curves.py reads the files.
    """
    for callback in _tensorboard(trainer):
        if callback._SummaryWriter is not None and trainer.is_world_process_zero():
            callback.tb_writer = callback._SummaryWriter(log_dir=callback.logging_dir, purge_step=step + 1)


def _tensorboard(trainer: SFTTrainer) -> list[Any]:
    from transformers.integrations import TensorBoardCallback

    return [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, TensorBoardCallback)]


def reported_names(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the trainer's log under the names that wandb gets: train/loss, eval/mae.

    transformers 5.23.0: `integration_utils.rewrite_logs`. tests/train/test_curves.py.
    """
    from transformers.integrations.integration_utils import rewrite_logs

    return rewrite_logs({key: value for key, value in row.items() if key != "step"})


def tensorboard_writer(trainer: SFTTrainer) -> Any:
    """Return TensorBoard's writer; None where the run does not report there.

    transformers 5.23.0: `TensorBoardCallback.tb_writer`.
    """
    writers = (getattr(callback, "tb_writer", None) for callback in trainer.callback_handler.callbacks)
    return next((writer for writer in writers if writer), None)


def report_metrics(trainer: SFTTrainer, metrics: dict[str, float]) -> None:
    """Tell the callbacks (best checkpoint, early stopping) about an evaluation, as `Trainer.evaluate` does.

    transformers 5.23.0: `Trainer.callback_handler` and `Trainer.control`. tests/train/test_lora.py stops early.
    """
    trainer.control = trainer.callback_handler.on_evaluate(trainer.args, trainer.state, trainer.control, metrics)


def use_one_gpu(config: SFTConfig) -> None:
    """Train on one GPU where several are visible to a single process, and name the way to all of them.

    transformers 5.23.0: `TrainingArguments._n_gpu`; above 1 the model is wrapped in `nn.DataParallel`, which trl 1.16.0
    refuses. tests/train/test_configs.py sets it to 2.
    """
    if (count := config.n_gpu) > 1:
        config._n_gpu = 1
        print(
            f"{count} GPUs are visible; training on {config.device} alone. For all of them start the same command by "
            f"`torchrun --nproc_per_node {count} -m train`; for another one set CUDA_VISIBLE_DEVICES"
        )


def restore_forward(model: torch.nn.Module) -> None:
    """Give a model its own forward pass back.

    trl 1.16.0: `SFTTrainer` replaces `forward` on the instance by one that computes the loss in parts.
    tests/train/test_lora.py trains twice on one base.
    """
    model.__dict__.pop("forward", None)
