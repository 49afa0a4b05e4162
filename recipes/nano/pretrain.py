"""Train the embedded base model: a Qwen3-VL of a few million parameters, with its own tokenizer.

    python recipes/nano/pretrain.py --config recipes/nano/pretrain.yaml --clips CLIPS --output recipes/nano/model
    python recipes/nano/pretrain.py --init MODEL image_size=128 vision_train.steps=0 ...    # go on with a trained one
    torchrun --nproc_per_node 2 recipes/nano/pretrain.py ... train.threads=1                # each draws half of a batch

CLIPS holds simulated episodes (`recipes/nano/simulate.py`); procedural ones are drawn on the fly (`scenes.py`). Model
inputs are built by `infer.model`, prompts and answers by `dataset.prompts`: the very code that adapts
and runs the 2B model. Writes the model folder, and `training_log.jsonl` and `training_curve.png` into --log_folder. The
unfinished model is saved beside the output every `train.save_every` steps.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.distributed as dist
from answer_loss import AnswerLoss, answer_loss
from frame_probe import FrameProbe
from nano_batches import Pools, corpus, draw_batch, draw_frames, image_side, image_tokens, load_simulated
from nano_model import continued_model, new_model, quicken, save
from omegaconf import DictConfig, OmegaConf
from scenes import draw_episode
from tqdm import tqdm

from infer.model.model import ProgressModel

HERE = Path(__file__).parent
NO_CHANGES = ("zoomed_share", "largest_shift", "mirrored_share", "repainted_share")
UNCHANGED = dict.fromkeys(NO_CHANGES, 0.0) | {"simulated_share": 1.0}  # clips as they are, to watch the loss


def main() -> None:
    arguments = make_parser().parse_intermixed_args()
    recipe = OmegaConf.merge(OmegaConf.load(arguments.config), OmegaConf.from_dotlist(arguments.overrides))
    torch.set_num_threads(recipe.train.threads)
    if "WORLD_SIZE" in os.environ:  # of torchrun
        dist.init_process_group("gloo")
        share_work(recipe, processes())
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)

    simulated, watched = load_simulated(arguments.clips, recipe.image_size, recipe.held_out_every, rank(), processes())
    texts = of_all_processes(list(corpus(simulated, rng)))
    model = continued_model(arguments.init, recipe) if arguments.init else new_model(recipe, texts)
    quicken(model.model)
    count = sum(p.numel() for p in model.model.parameters())
    print(f"{count:,} parameters, {len(model.tokenizer)} tokens, {len(simulated)} clips and {len(watched)} to watch")
    rng = np.random.default_rng([recipe.seed, rank()])  # the same model in each process, other pictures
    drawn = [draw_episode(rng, image_side(model)) for _ in tqdm(range(recipe.train.drawn_pool), desc="drawing scenes")]
    output = Path(arguments.output)
    log = train(
        model, Pools(simulated, drawn), Pools(watched, drawn), recipe, rng, output.with_name(output.name + ".partial")
    )
    if rank() == 0:
        save(model, output)
        write_log(log, recipe, Path(arguments.log_folder))
    if dist.is_initialized():
        dist.destroy_process_group()  # its threads must end before the process does


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=str(HERE / "pretrain.yaml"))
    parser.add_argument(
        "--clips", nargs="+", required=True, help="folders of simulated episodes, <task>/epNN.{mp4,json}"
    )
    parser.add_argument("--init", help="a model of this kind to go on with, in place of random weights")
    parser.add_argument("--output", default=str(HERE / "model"), help="folder of the model")
    parser.add_argument("--log_folder", default=str(HERE), help="folder of training_log.jsonl and training_curve.png")
    parser.add_argument("overrides", nargs="*", help="key=value, for example train.steps=50")
    return parser


def rank() -> int:
    """Return the number of this process among those that train together, 0 if it is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def of_all_processes(texts: list[str]) -> list[str]:
    """Return the texts of all processes, in the same order in each."""
    if not dist.is_initialized():
        return texts
    gathered = [None] * processes()
    dist.all_gather_object(gathered, texts)
    return [text for part in gathered for text in part]


def share_work(recipe: DictConfig, count: int) -> None:
    """Let each of `count` processes draw its share of every batch."""
    for section, key in ((recipe.train, "episodes_per_step"), (recipe.vision_train, "frames_per_step")):
        if section[key] % count:
            raise SystemExit(f"{key} is {section[key]}, which {count} processes cannot share evenly")
        section[key] //= count


def average_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Give every process the mean of all gradients."""
    if not dist.is_initialized():
        return
    for each in parameters:
        each.grad = torch.zeros_like(each) if each.grad is None else each.grad
    flat = torch.nn.utils.parameters_to_vector([each.grad for each in parameters])
    dist.all_reduce(flat)
    torch.nn.utils.vector_to_parameters(flat / processes(), [each.grad for each in parameters])


def train(
    model: ProgressModel, pools: Pools, watched: Pools, recipe: DictConfig, rng: np.random.Generator, checkpoint: Path
) -> list[dict]:
    """Train the vision tower alone, then everything; returns one log row every ten steps.

    A language model that starts beside a blind tower learns to answer without it; so the tower learns to see first.
    """
    model.model.train()
    probe = FrameProbe(model, image_tokens(model))
    log = train_vision(model, probe, pools, watched, recipe, rng)
    if rank() == 0:
        save(model, checkpoint)
    options, drawing = recipe.train, recipe.train.copy()
    parameters = [*model.model.parameters(), *probe.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.98)
    )
    sizes = np.random.default_rng(recipe.seed)  # the same in every process, or one would wait for the other
    started = time.monotonic()
    bar = tqdm(range(options.steps), desc="pre-training", disable=rank() > 0)
    for step in bar:
        rate = learning_rate(step, options)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if step % 2 == 0:
            pools.drawn[rng.integers(len(pools.drawn))] = draw_episode(rng, image_side(model))
        drawing.largest_shift = largest_shift(step, options)
        size = int(sizes.choice(list(options.window_sizes), p=list(options.window_shares)))
        drawing.window_sizes, drawing.window_shares = [size], [1.0]
        batch, frames = draw_batch(model, pools, drawing, rng)
        loss, probe_loss = answer_loss(model, batch, options.decisive_weight), probe.loss(frames)
        optimizer.zero_grad()
        (loss.weighted + options.probe_weight * probe_loss).backward()
        average_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, options.clip_norm)
        optimizer.step()
        if (step + 1) % 10 == 0:
            minutes = round((time.monotonic() - started) / 60, 2)
            log.append(
                {"phase": "all", "step": step + 1, "minutes": minutes, **rounded(loss)}
                | {"probe_loss": round(probe_loss.item(), 4), "learning_rate": round(rate, 6)}
                | {"gradient_norm": round(norm.item(), 3)}
            )
            names = ("loss", "digits_loss", "opening_loss", "probe_loss")
            recent = {name: np.mean([row[name] for row in log[-10:] if name in row]) for name in names}
            bar.set_postfix({name: f"{value:.3f}" for name, value in recent.items()})
        if (step + 1) % options.save_every == 0 or step + 1 == options.steps:
            if rank() == 0:
                save(model, checkpoint)
            if watched.simulated:
                log.append({"phase": "watch", "step": step + 1, **watch(model, watched, options)})
                if rank() == 0:
                    print(json.dumps(log[-1]), flush=True)
    model.model.eval()
    return log


def learning_rate(step: int, options: DictConfig) -> float:
    """Return the rate of a step: linear warm-up, then a cosine to 0."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / options.steps))
    return options.learning_rate * min((step + 1) / options.warmup_steps, cosine)


def largest_shift(step: int, options: DictConfig) -> float:
    """Return how far pictures are moved at most at a step: less and less, `last_shift` from `settled` of all steps on.

    Shifted pictures teach what the hand does wherever it is; where things are exactly, those that stand still.
    """
    left = max(0.0, 1.0 - step / (options.settled * options.steps))
    return options.last_shift + left * (options.largest_shift - options.last_shift)


def train_vision(
    model: ProgressModel, probe: FrameProbe, pools: Pools, watched: Pools, recipe: DictConfig, rng: np.random.Generator
) -> list[dict]:
    """Teach the vision tower alone to tell progress from single frames of many episodes; returns log rows."""
    options = recipe.vision_train
    if not options.steps:
        return []
    parameters = [*model.model.model.visual.parameters(), *probe.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.learning_rate, options.steps, pct_start=0.05)
    log, started = [], time.monotonic()
    bar = tqdm(range(options.steps), desc="vision tower", disable=rank() > 0)
    for step in bar:
        loss = probe.loss(draw_frames(model, pools, options.frames_per_step, recipe.train, rng))
        optimizer.zero_grad()
        loss.backward()
        average_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, recipe.train.clip_norm)
        optimizer.step()
        schedule.step()
        if (step + 1) % 10 == 0:
            minutes = round((time.monotonic() - started) / 60, 2)
            log.append({"phase": "vision", "step": step + 1, "minutes": minutes, "probe_loss": round(loss.item(), 4)})
            bar.set_postfix(probe_loss=f"{np.nanmean([row.get('probe_loss', np.nan) for row in log[-10:]]):.3f}")
        if watched.simulated and ((step + 1) % 250 == 0 or step + 1 == options.steps):
            minutes = round((time.monotonic() - started) / 60, 2)
            log.append(
                {"phase": "watch", "step": step + 1, "minutes": minutes, **watch_vision(model, probe, watched, recipe)}
            )
            if rank() == 0:
                print(json.dumps(log[-1]), flush=True)
    return log


@torch.no_grad()
def watch_vision(model: ProgressModel, probe: FrameProbe, watched: Pools, recipe: DictConfig) -> dict[str, float]:
    """Return how well the probe reads the same frames of clips kept out of training, each time it is called."""
    rng = np.random.default_rng(1)
    plain = OmegaConf.merge(recipe.train, UNCHANGED)
    frames = [frame for _ in range(8) for frame in draw_frames(model, watched, 192, plain, rng)]
    return probe.evaluate(frames)


@torch.no_grad()
def watch(model: ProgressModel, watched: Pools, options: DictConfig, batches: int = 20) -> dict[str, float]:
    """Return the mean losses over the same batches of clips kept out of training, each time it is called."""
    rng = np.random.default_rng(1)
    plain = OmegaConf.merge(options, UNCHANGED)
    rows = [rounded(answer_loss(model, draw_batch(model, watched, plain, rng)[0], 1.0)) for _ in range(batches)]
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}


def rounded(loss: AnswerLoss) -> dict[str, float]:
    """Return the parts of a loss for the log."""
    return {
        "loss": round(loss.mean, 4),
        "digits_loss": round(loss.digits, 4),
        "opening_loss": round(loss.opening, 4),
    }


def write_log(log: list[dict], recipe: DictConfig, folder: Path) -> None:
    """Write the training log and its curve."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log), encoding="utf-8")
    rows, watched = ([row for row in log if row["phase"] == phase and "loss" in row] for phase in ("all", "watch"))
    if not rows:
        return
    figure, axis = plt.subplots(figsize=(8, 4))
    for key, name, colour in (("loss", "all answer tokens", "#1f4e9c"), ("digits_loss", "digits", "#b45309")):
        values = np.array([row[key] for row in rows])
        smooth = np.convolve(values, np.ones(20) / 20, mode="valid") if len(values) >= 20 else values
        steps = [row["step"] for row in rows]
        axis.plot(steps[-len(smooth) :], smooth, color=colour, label=f"{name}, mean of 20")
        if watched:
            axis.plot(
                [row["step"] for row in watched],
                [row[key] for row in watched],
                "o",
                color=colour,
                label=f"{name}, clips kept out",
            )
    axis.set(xlabel="step", ylabel="loss (nats per token)", yscale="log")
    axis.set_title(f"pre-training of the embedded base, seed {recipe.seed}")
    axis.legend(title="dots: clips kept out" if watched else None)
    figure.tight_layout()
    figure.savefig(folder / "training_curve.png", dpi=110)


if __name__ == "__main__":
    main()
