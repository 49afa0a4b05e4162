"""Trainer callbacks: checks of gradients and base weights, saving after a signal; and the error for lack of memory.

Knows parameters, gradients and trainer callbacks; does not know samples or files.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import TrainerCallback

from infer.model.errors import ModelError
from train.recipe import Recipe
from train.run_folder import Interruption, RunFolder, mark_complete

FULL_DISK = 1 << 20  # bytes: with less space left, a failed write has no other reason


class TrainingError(ModelError):
    """A run that cannot go on; the message names what was kept and what to change."""


class CheckWeights(TrainerCallback):
    """Stops a run that learns nothing, changes the base, or has a loss that is not finite.

    Before the first update: every LoRA module has a finite gradient that is not all zero. After it: the weights of the
    base are unchanged. Before every update: the gradients are finite, so that no NaN reaches a weight.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._base: dict[str, int] = {}
        self._first_step: int | None = None

    def on_train_begin(self, args, state, control, model=None, **kwargs) -> None:
        self._first_step = state.global_step
        self._base = base_checksums(model)

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs) -> None:
        gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
        if state.global_step == self._first_step:
            refuse_dead_modules(gradients)
        if args.fp16:  # the gradient scaler causes overflows on purpose and skips those steps
            return
        norms = torch.stack([_local(grad).norm() for grad in gradients.values() if grad is not None])
        if not torch.isfinite(norms).all():
            checkpoint = self._run.last_checkpoint()
            kept = f"the last good one is kept in {checkpoint}" if checkpoint else "none was saved yet"
            raise TrainingError(
                f"the loss is not finite at step {state.global_step + 1} (learning rate "
                f"{args.learning_rate:g}); the step was not taken, {kept}. Lower sft.learning_rate, or set "
                "sft.max_grad_norm=0.5 or sft.warmup_steps"
            )

    def on_step_end(self, args, state, control, model=None, **kwargs) -> None:
        if self._first_step is not None and state.global_step == self._first_step + 1:
            changed = [name for name, value in base_checksums(model).items() if value != self._base[name]]
            if changed:
                raise TrainingError(
                    f"{len(changed)} weights of the base changed in the first step ({changed[0]}); only LoRA weights "
                    "may learn. Leave lora.modules_to_save and lora.bias out of the recipe"
                )


class SaveOnSignal(TrainerCallback):
    """Saves and stops after the step in which a signal came; marks checkpoints that are complete.

    The loss is logged with every checkpoint and after the last step: a resumed run begins a new mean.

    Args:
        run: The folder with the checkpoints.
        interruption: The signal.
        started: `time.monotonic()` at which the run would have begun without interruptions.
    """

    def __init__(self, run: RunFolder, interruption: Interruption, started: float) -> None:
        self._run, self._interruption, self._started = run, interruption, started

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if _any_process(self._interruption.signal_number is not None, args.device):
            control.should_save = control.should_training_stop = self._interruption.stopped = True
        control.should_log |= control.should_save or state.global_step >= state.max_steps

    def on_epoch_end(self, args, state, control, **kwargs) -> None:
        control.should_log |= control.should_save

    def on_save(self, args, state, control, **kwargs) -> None:
        if torch.distributed.is_initialized():  # every process has written its random state
            torch.distributed.barrier()
        if state.is_world_process_zero:
            mark_complete(self._run.partial / f"checkpoint-{state.global_step}", time.monotonic() - self._started)


def refuse_dead_modules(gradients: dict[str, torch.Tensor | None]) -> None:
    """Refuse the first step if a LoRA module gets no gradient, or only zeros.

    LoRA starts with one of its two matrices at zero, so one of each pair has a zero gradient at first.

    Args:
        gradients: Per trainable parameter its gradient.
    """
    alive: dict[str, bool] = {}
    for name, grad in gradients.items():
        module = name.split(".lora_")[0]
        if grad is None:
            raise TrainingError(
                f"{name} got no gradient in the first step; with gradient checkpointing set "
                "sft.gradient_checkpointing_kwargs.use_reentrant=false, else take its module out of lora.target_modules"
            )
        alive[module] = alive.get(module, False) or bool(_whole(grad).any())
    dead = [module for module, learns in alive.items() if not learns]
    if dead:
        raise TrainingError(
            f"{len(dead)} of {len(alive)} LoRA modules got a zero gradient in the first step ({dead[0]}); they would "
            "never learn. Take them out of lora.target_modules"
        )


def refuse_changed_base(before: dict[str, int], model: torch.nn.Module, initialisation: Any) -> None:
    """Refuse an adapter that changed the base when it was put on it, before any frame is encoded.

    Args:
        before: Checksums of the base's weights without it.
        model: The model with it.
        initialisation: The recipe's `lora.init_lora_weights`.
    """
    lost = set(before.values()) - set(base_checksums(model).values())
    if lost:
        raise TrainingError(
            f"recipe: lora.init_lora_weights is {initialisation}, which changes weights of the base ({len(lost)} of "
            f"{len(before)}); an adapter must leave the base as it is. Leave the key out"
        )


def refuse_untrained(model: torch.nn.Module, steps: int) -> None:
    """Refuse an adapter that changes nothing: LoRA's second matrices are all zero, as before the first step."""
    second = [weight for name, weight in model.named_parameters() if ".lora_B." in name or ".lora_embedding_B." in name]
    if second and not any(bool(_whole(weight.detach()).any()) for weight in second):
        raise TrainingError(
            f"nothing was learned in {steps} steps: every lora_B is zero, so that the adapter would answer like the "
            "base. Raise sft.learning_rate, sft.num_train_epochs or sft.max_steps (a warmup as long as the run keeps "
            "the learning rate near 0)"
        )


def base_checksums(model: torch.nn.Module) -> dict[str, int]:
    """Return a checksum per frozen parameter: the sum of its bits as integers."""
    return {
        name: int(_bits(_local(weight)).sum(dtype=torch.int64).item())
        for name, weight in model.named_parameters()
        if ".lora_" not in name
    }


@contextmanager
def memory_explained(recipe: Recipe) -> Iterator[None]:
    """Turn lack of memory inside the block into an error that names what to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in str(error):
            raise
        batch = recipe.sft.get("per_device_train_batch_size", 8)
        advice = [
            f"sft.per_device_train_batch_size ({batch}; raise sft.gradient_accumulation_steps by as much)",
            f"image.max_pixels ({recipe.image.max_pixels or 'the base model’s own'})",
            f"data.window.size ({recipe.data.window.size})",
        ]
        more = "" if recipe.sft.get("gradient_checkpointing", True) else ", or set sft.gradient_checkpointing=true"
        raise TrainingError(f"out of memory; lower, in this order: {', '.join(advice)}{more}") from error


@contextmanager
def shortages_explained(recipe: Recipe, run: RunFolder) -> Iterator[None]:
    """Turn lack of memory or of disk inside the block into an error that names what to do."""
    with memory_explained(recipe), full_disk_explained(run):
        yield


@contextmanager
def full_disk_explained(run: RunFolder) -> Iterator[None]:
    """Turn a full disk inside the block into an error that names what was kept; libraries raise their own kinds."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if shutil.disk_usage(run.partial if run.partial.exists() else run.partial.parent).free > FULL_DISK:
            raise
        checkpoint = run.last_checkpoint()
        kept = f"step {checkpoint.name.rpartition('-')[2]} is kept" if checkpoint else "nothing was saved yet"
        raise TrainingError(
            f"no space is left on the disk of {run.partial} ({kept}); free some space and run the same command with "
            "--resume"
        ) from error


def _any_process(flag: bool, device: torch.device) -> bool:
    """Return whether the flag is set in any process: all must stop after the same step."""
    if not torch.distributed.is_initialized():
        return flag
    wish = torch.tensor(int(flag), device=device)
    torch.distributed.all_reduce(wish, torch.distributed.ReduceOp.MAX)
    return bool(wish.item())


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    integer = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return tensor.detach().contiguous().view(integer)
