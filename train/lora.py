"""Adapt a base model to annotated demonstrations: recipe in, adapter folder out. The main path reads top to bottom.

    python -m train --config recipes/nano.yaml data.annotations=[data/demo.json] sft.output_dir=runs/demo/adapter

Knows the order of the steps; each step is in a file of its own.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import EarlyStoppingCallback

from dataset.sample_file import VqaSample
from infer.metrics.progress import METRICS
from infer.model.adapter_folder import TRAINING_LOG, base_of_adapter, is_adapter
from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.model.source import ModelSource
from train.adapter_writer import save_adapter, write_summary
from train.callbacks import (
    CheckWeights,
    SaveOnSignal,
    base_checksums,
    refuse_changed_base,
    refuse_untrained,
    shortages_explained,
)
from train.collate import WindowCollator, needed_frames, refuse_long_samples
from train.configs import build_configs
from train.curves import CurveFiles, WandbCatchUp, one_wandb_run, report_adapter, write_log
from train.evaluation import evaluate_episodes
from train.features import Share, prepare_frames
from train.peft_internals import explain_unmatched_targets
from train.recipe import Recipe
from train.reload_check import check_gathered, check_reload, take_probes
from train.run_folder import Interruption, RunFolder, seconds_of, step_of
from train.run_inputs import describe_inputs
from train.trainer import ProgressTrainer
from train.training_data import TrainingData, read_training_data
from train.trl_internals import continue_tensorboard


def train_lora(
    recipe: Recipe,
    overwrite: bool = False,
    resume: bool = False,
    base: ProgressModel | None = None,
    data: TrainingData | None = None,
) -> Path:
    """Train a LoRA adapter and write it, complete, to `recipe.sft["output_dir"]`.

    The folder appears in one step at the end: a run that fails or is stopped does not change an earlier adapter.

    Args:
        recipe: The settings of the run.
        overwrite: Replace an adapter folder that exists.
        resume: Continue an interrupted run from its last checkpoint. Without one, start; if the adapter is complete,
            return it. Recipe, data and base must be those of the earlier run.
        base: The base model, if it is in memory already; `train.reload_check.bare_base` takes an adapter off again.
        data: What to train on, if it was made already; by default the recipe's demonstrations.

    Returns:
        The adapter folder.

    Raises:
        ValueError: The recipe, a demonstration or the base model cannot be used; or the folder exists already.
        KeyboardInterrupt: A signal stopped the run; its checkpoint is kept for `resume`.
    """
    refuse_adapter_as_base(recipe)
    run = RunFolder(recipe.sft["output_dir"], writes=os.environ.get("RANK", "0") == "0")
    with run.locked():
        return _train_lora(run, recipe, overwrite, resume, base, data)


def _train_lora(
    run: RunFolder,
    recipe: Recipe,
    overwrite: bool,
    resume: bool,
    base: ProgressModel | None,
    data: TrainingData | None,
) -> Path:
    """The steps of `train_lora`, in a folder that no other process works on."""
    started = time.monotonic()
    lora_config, sft_config = build_configs(recipe, run.partial)
    with sft_config.main_process_first(desc="earlier runs"):
        complete = run.already_complete()
        run.check(overwrite, resume)
    data = data or read_training_data(recipe)
    inputs = describe_inputs(recipe.model, data, sft_config.world_size)
    if resume:
        run.refuse_changes(recipe, inputs)
    if resume and complete:
        print(f"{run.output} is complete; nothing to resume")
        return run.output
    model = base or load_base(recipe, sft_config)
    base_before = base_checksums(model.model)
    refuse_long_samples(model, data.samples, recipe.sft.get("max_length"))

    with sft_config.main_process_first(desc="run folder"):
        checkpoint = run.open(recipe, inputs, resume)
        started -= seconds_of(checkpoint)  # now: it may be removed for a later one
    sft_config.eval_on_start = sft_config.eval_on_start and checkpoint is None
    interruption = Interruption()
    with run.filled(), one_wandb_run(sft_config.report_to, run.partial), shortages_explained(recipe, run):
        trainer = make_trainer(recipe, model, data, lora_config, sft_config)
        refuse_changed_base(base_before, model.model, lora_config.init_lora_weights)
        if checkpoint:
            continue_tensorboard(trainer, step_of(checkpoint))
            trainer.add_callback(WandbCatchUp())
        trainer.add_callback(CheckWeights(run))
        trainer.add_callback(SaveOnSignal(run, interruption, started))
        trainer.add_callback(CurveFiles(run.partial))
        collator = trainer.data_collator = make_collator(recipe, model, data.samples, sft_config)
        with interruption.listening():
            result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if interruption.stopped and trainer.state.global_step < trainer.state.max_steps:
            raise KeyboardInterrupt(f"stopped after step {trainer.state.global_step}; go on with --resume")
        refuse_untrained(trainer.model, trainer.state.global_step)

        model.model.eval()
        figures = training_figures(trainer, model, result.training_loss, checkpoint)
        sharded = trainer.accelerator.get_state_dict(trainer.model) if trainer.is_fsdp_enabled else None
        if run.writes:
            save_adapter(model, run.partial, recipe, data, sharded)
            write_log(run.partial / TRAINING_LOG, trainer.state.log_history)
            if sharded:  # the weights are compared, not logits
                check_gathered(sharded, run.partial, recipe.model)
                difference = None
            else:
                probes = take_probes(model, collator, data.samples)
                difference = check_reload(model, base_before, probes, collator, run.partial)
            figures |= {"reload_logit_difference": difference, "seconds": round(time.monotonic() - started, 1)}
            write_summary(run.partial, recipe, data, figures)
    trainer.accelerator.wait_for_everyone()
    report_adapter(sft_config.report_to, run.output)
    return run.output


def refuse_adapter_as_base(recipe: Recipe) -> None:
    """Refuse a recipe whose `model` is an adapter, before its data are read."""
    if is_adapter(recipe.model):
        raise ModelError(
            f"recipe: model is {recipe.model}, which is a LoRA adapter; set the base that it was trained on, "
            f"model={base_of_adapter(recipe.model)}"
        )


def load_base(recipe: Recipe, sft_config: Any) -> ProgressModel:
    """Load the base in the number type and on the device of the recipe."""
    source = ModelSource(
        recipe.model,
        torch_dtype="bfloat16" if sft_config.bf16 else "float16" if sft_config.fp16 else "float32",
        device=str(sft_config.device),
        min_pixels=recipe.image.min_pixels,
        max_pixels=recipe.image.max_pixels,
        load_in_4bit=recipe.load_in_4bit,
    )
    return ProgressModel.load(source)


def make_trainer(
    recipe: Recipe, model: ProgressModel, data: TrainingData, lora_config: Any, sft_config: Any
) -> ProgressTrainer:
    """Put a new adapter on the base and build the trainer; `model` is the adapted model afterwards."""
    held_out = [
        {"episode": episode.demonstration.name, "frame_index": t} for episode in data.held_out for t in episode.frames
    ]
    patience = recipe.evaluation.patience
    try:
        trainer = ProgressTrainer(
            evaluate_held_out=partial(evaluate_episodes, model, data.held_out, recipe.data.window),
            held_out=len(data.held_out),
            model=model.model,
            args=sft_config,
            train_dataset=data.dataset,
            eval_dataset=Dataset.from_list(held_out) if held_out else None,
            processing_class=model.tokenizer,
            data_collator=WindowCollator(model, {}),  # the frames follow in `make_collator`
            peft_config=lora_config,
            callbacks=[EarlyStoppingCallback(patience)] if data.held_out and patience else None,
        )
    except ValueError as error:
        raise explain_unmatched_targets(error, model.model, lora_config.target_modules) from error
    model.model = trainer.model
    return trainer


def make_collator(
    recipe: Recipe, model: ProgressModel, samples: Sequence[VqaSample], sft_config: Any
) -> WindowCollator:
    """Prepare every frame once: as vision features, or as pixels if the vision tower is trained."""
    learning = [name for name, weight in model.model.named_parameters() if weight.requires_grad and ".visual." in name]
    if learning:
        print(
            f"LoRA changes the vision tower ({len(learning)} weights, {learning[0]} first). Images are encoded in "
            "every step, which takes several times as long. Merge the adapter (`python -m train.merge`) before "
            "inference can use it"
        )
    share = Share(sft_config.local_process_index, local_processes(sft_config))
    frames = prepare_frames(model, needed_frames(samples), recipe.features, bool(learning), share)
    if share.count > 1:
        torch.distributed.barrier()
    return WindowCollator(model, frames, as_pixels=bool(learning))


def local_processes(sft_config: Any) -> int:
    """Return how many processes of this run share this machine and its feature cache."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if sft_config.world_size > 1 else 1


def training_figures(
    trainer: ProgressTrainer, model: ProgressModel, training_loss: float, checkpoint: Path | None
) -> dict[str, Any]:
    """Return what `train_summary.json` records of the training itself.

    `mean_loss` is the trainer's own; of a resumed run, whose trainer forgets the steps before, the mean of the log.
    """
    return {
        "steps": trainer.state.global_step,
        "samples": len(trainer.train_dataset),
        "mean_loss": mean_logged_loss(trainer.state.log_history) if checkpoint else round(training_loss, 4),
        "base_revision": model.revision,
        "torch_dtype": str(model.base.dtype).removeprefix("torch."),
        "processes": trainer.args.world_size,
        "trainable_parameters": trainer.model.get_nb_trainable_parameters()[0],
        "evaluations": evaluations(trainer.state.log_history),
        "best_step": trainer.state.best_global_step,
        "resumed_from_step": step_of(checkpoint) if checkpoint else None,
    }


def mean_logged_loss(log_history: Sequence[dict[str, Any]]) -> float | None:
    """Return the mean loss over the logged steps, each row counting for the steps since the row before."""
    rows = [(row["step"], row["loss"]) for row in log_history if "loss" in row]
    steps = [step - before for (step, _), before in zip(rows, [0, *(step for step, _ in rows)], strict=False)]
    total = sum(steps)
    return round(sum(n * loss for n, (_, loss) in zip(steps, rows, strict=True)) / total, 4) if total else None


def evaluations(log_history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per evaluation: `step` and every metric, None where undefined."""
    return [
        {"step": row["step"], **{n: None if math.isnan(row[f"eval_{n}"]) else row[f"eval_{n}"] for n in METRICS}}
        for row in log_history
        if "eval_voc" in row
    ]
