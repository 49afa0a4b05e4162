"""Train the embedded base model from scratch: a Qwen3-VL of two million parameters, with its own tokenizer.

    python recipes/nano/pretrain.py --config recipes/nano/pretrain.yaml --clips CLIPS --output recipes/nano/model

CLIPS holds simulated episodes (`recipes/nano/simulate.py`); procedural ones are drawn on the fly (`scenes.py`). Model
inputs are built by `infer.model.ProgressModel`, prompts and answers by `dataset.prompts`: the very code that adapts
and runs the 2B model. Writes the model folder, `training_log.jsonl` and `training_curve.png` beside this file.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image
from scenes import COLOURS, GOALS, OBJECTS, Episode, draw_episode
from sim_tasks import NEVER_TRAIN_ON
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from dataset.prompts import build_completion, build_prompt
from dataset.video import VideoReader
from infer.model import ProgressModel

HERE = Path(__file__).parent
SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
PROGRESS_BINS = 21
CHAT_TEMPLATE = (
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string %}{{ message.content }}{%- else %}"
    "{%- for part in message.content %}"
    "{%- if part.type == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif part.type == 'text' %}{{ part.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{{ '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=str(HERE / "pretrain.yaml"))
    parser.add_argument(
        "--clips", nargs="+", required=True, help="folders of simulated episodes, <task>/epNN.{mp4,json}"
    )
    parser.add_argument("--output", default=str(HERE / "model"))
    parser.add_argument("overrides", nargs="*", help="key=value, for example train.steps=50")
    arguments = parser.parse_intermixed_args()
    recipe = OmegaConf.merge(OmegaConf.load(arguments.config), OmegaConf.from_dotlist(arguments.overrides))
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.train.threads)
    rng = np.random.default_rng(recipe.seed)

    processor = Qwen2VLImageProcessorPil(
        patch_size=16, temporal_patch_size=2, merge_size=2, image_mean=[0.5] * 3, image_std=[0.5] * 3,
        min_pixels=32 * 32, max_pixels=recipe.image_size**2,
    )  # fmt: skip
    episodes = load_simulated(arguments.clips, recipe.image_size)
    tokenizer = train_tokenizer(corpus(episodes, rng), recipe.vocabulary)
    model = build_model(recipe, tokenizer)
    progress_model = ProgressModel(model, tokenizer, processor, base_name="nano")
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens, {len(episodes)} clips")
    output = Path(arguments.output)
    log = train(progress_model, episodes, recipe, rng, output.with_name(output.name + ".partial"))
    save(progress_model, output)
    write_log(log, recipe)


def load_simulated(folders: list[str], size: int) -> list[Episode]:
    """Read labelled clips into memory, resized once to (size, size)."""
    paths = [path for folder in folders for path in sorted(Path(folder).glob("*/ep*.json"))]
    paths = [path for path in paths if path.parent.name.split("__")[0] not in NEVER_TRAIN_ON]
    if not paths:
        raise SystemExit(f"no clips in {folders}; make some with recipes/nano/simulate.py")
    episodes = []
    for path in tqdm(paths, desc="reading clips"):
        record = json.loads(path.read_text(encoding="utf-8"))
        frames = np.stack(
            [
                np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC))
                for _, frame in VideoReader(path.with_suffix(".mp4")).iter_frames()
            ]
        )
        episodes.append(
            Episode(
                frames=frames,
                task=record["instruction"],
                stages=tuple(stage["description"] for stage in record["stages"]),
                stage_index=np.array(record["stage_index"]),
                progress=100.0 * np.array(record["progress"]),
            )
        )
    return episodes


def corpus(episodes: list[Episode], rng: np.random.Generator) -> Iterator[str]:
    """Yield texts in the exact prompt and answer format, for the tokenizer."""
    for episode in [*episodes, *(draw_episode(rng, 32) for _ in range(100))]:
        for first in range(len(episode.stages) + 1):
            yield build_prompt(episode.task)
            yield build_completion(float(rng.uniform(0, 100)), episode.stages[first:])
    yield from (f"{colour} {thing}" for colour in COLOURS for thing in (*OBJECTS, *GOALS))


def train_tokenizer(texts: Iterator[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE that splits digits one by one and knows Qwen's control tokens."""
    tokenizer = Tokenizer(models.BPE())
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS),
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


def build_model(recipe, tokenizer: PreTrainedTokenizerFast) -> Qwen3VLForConditionalGeneration:
    """Build a randomly initialised Qwen3-VL of the recipe's size."""
    token = tokenizer.convert_tokens_to_ids
    text = OmegaConf.to_container(recipe.text)
    sections = _rope_sections(text["head_dim"])
    config = Qwen3VLConfig(
        text_config={
            **text,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections, "mrope_interleaved": True
            },
            "tie_word_embeddings": True,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": token("<|im_end|>"),
        },
        vision_config={
            **OmegaConf.to_container(recipe.vision),
            "patch_size": 16,
            "spatial_merge_size": 2,
            "out_hidden_size": text["hidden_size"],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
        eos_token_id=token("<|im_end|>"),
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return Qwen3VLForConditionalGeneration(config)


def _rope_sections(head_dim: int) -> list[int]:
    """Split the rotary dimensions over time, height and width as evenly as Qwen3-VL does."""
    half = head_dim // 2
    side = half // 3
    return [half - 2 * side, side, side]


def train(
    model: ProgressModel, simulated: list[Episode], recipe, rng: np.random.Generator, checkpoint: Path
) -> list[dict]:
    """Train on random windows of random episodes; returns one log row every ten steps."""
    options = recipe.train
    drawn = [draw_episode(rng, image_side(model)) for _ in tqdm(range(options.drawn_pool), desc="drawing scenes")]
    model.model.train()
    probe = FrameProbe(model)
    log = train_vision(model, probe, simulated, drawn, recipe, rng)
    parameters = [*model.model.parameters(), *probe.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.98)
    )
    started = time.monotonic()
    bar = tqdm(range(options.steps), desc="pre-training")
    for step in bar:
        cosine = 0.5 * (1 + math.cos(math.pi * step / options.steps))
        rate = options.learning_rate * min((step + 1) / options.warmup_steps, cosine)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if step % 2 == 0:
            drawn[rng.integers(len(drawn))] = draw_episode(rng, image_side(model))
        batch, frames = draw_batch(model, simulated, drawn, options, rng)
        loss, text_loss, number_loss = weighted_loss(model, batch, options.decisive_weight)
        probe_loss = probe.loss(frames)
        loss = loss + options.probe_weight * probe_loss
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, options.clip_norm)
        optimizer.step()
        if (step + 1) % options.save_every == 0:
            save(model, checkpoint)
        if (step + 1) % 10 == 0:
            log.append(
                {
                    "phase": "all",
                    "step": step + 1,
                    "minutes": round((time.monotonic() - started) / 60, 2),
                    "loss": round(text_loss, 4),
                    "number_loss": round(number_loss, 4),
                    "probe_loss": round(probe_loss.item(), 4),
                    "learning_rate": round(rate, 6),
                    "gradient_norm": round(norm.item(), 3),
                }
            )
            recent = {
                name: np.mean([row[name] for row in log[-10:] if name in row])
                for name in ("loss", "number_loss", "probe_loss")
            }
            bar.set_postfix({name: f"{value:.3f}" for name, value in recent.items()})
    model.model.eval()
    return log


def train_vision(
    model: ProgressModel, probe: FrameProbe, simulated: list[Episode], drawn: list[Episode], recipe, rng
) -> list[dict]:
    """Teach the vision tower alone to tell progress from single frames of many episodes; returns log rows.

    A language model that starts beside a blind tower learns to answer without it; so the tower learns to see first.
    """
    options = recipe.vision_train
    parameters = [*model.model.model.visual.parameters(), *probe.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.learning_rate, options.steps, pct_start=0.05)
    log, started = [], time.monotonic()
    bar = tqdm(range(options.steps), desc="vision tower")
    for step in bar:
        pixels, sources = [], []
        for _ in range(options.frames_per_step // 2):
            pool = simulated if rng.random() < recipe.train.simulated_share else drawn
            episode = pool[rng.integers(len(pool))]
            indices = [int(index) for index in rng.integers(len(episode.frames), size=2)]
            pixels.append(jitter(episode, indices, rng, draw_mirrored(episode, recipe.train, rng)))
            task_tokens = model.tokenizer(episode.task)["input_ids"]
            sources += [(task_tokens, float(episode.progress[index])) for index in indices]
        inputs = preprocess_square(model, np.concatenate(pixels))
        features = model.encode_pixels(inputs["pixel_values"], inputs["image_grid_thw"])
        loss = probe.loss([(f.embedding, *source) for f, source in zip(features, sources, strict=True)])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.train.clip_norm)
        optimizer.step()
        schedule.step()
        if (step + 1) % 10 == 0:
            minutes = round((time.monotonic() - started) / 60, 2)
            log.append({"phase": "vision", "step": step + 1, "minutes": minutes, "probe_loss": round(loss.item(), 4)})
            bar.set_postfix(probe_loss=f"{np.mean([row['probe_loss'] for row in log[-10:]]):.3f}")
    return log


def preprocess_square(model: ProgressModel, frames: np.ndarray) -> dict[str, torch.Tensor]:
    """Do what the image processor does, for frames that have their final size already, all at once."""
    processor = model.image_processor
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (processor.image_mean, processor.image_std))
    images = (torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255.0 - mean) / std
    count, channels, side, _ = images.shape
    patch, merge = processor.patch_size, processor.merge_size
    blocks = side // patch // merge
    grid = images.reshape(count, channels, blocks, merge, patch, blocks, merge, patch)
    patches = grid.permute(0, 2, 5, 3, 6, 1, 4, 7)[:, :, :, :, :, :, None]
    patches = patches.expand(*patches.shape[:6], processor.temporal_patch_size, *patches.shape[7:])
    sides = torch.tensor([[1, blocks * merge, blocks * merge]]).repeat(count, 1)
    return {"pixel_values": patches.reshape(count * (blocks * merge) ** 2, -1), "image_grid_thw": sides}


def weighted_loss(model: ProgressModel, batch: dict, decisive_weight: float) -> tuple[torch.Tensor, float, float]:
    """Return the loss to minimise, and for the log the plain mean over all answer tokens and over the digits alone.

    Most tokens of an answer can be told from those before them; the digits, the first token and the beginning of the
    first remaining step can only be told from the pictures, so they count `decisive_weight` times.
    """
    labels = batch.pop("labels")
    logits = model.model(**batch).logits[:, :-1]
    targets = labels[:, 1:]
    answer = targets != -100
    losses = torch.nn.functional.cross_entropy(logits[answer], targets[answer], reduction="none")
    digits = (torch.isin(targets, digit_tokens(model)) & after_therefore(model, targets))[answer]
    decisive = digits | opens_answer_or_step(model, targets)[answer]
    weights = torch.where(decisive, decisive_weight, 1.0)
    return (losses * weights).sum() / weights.sum(), losses.mean().item(), losses[digits].mean().item()


def opens_answer_or_step(model: ProgressModel, targets: torch.Tensor) -> torch.Tensor:
    """Mark the first token of each answer and the three tokens after "1."; bool, shape of `targets`."""
    first = (targets != -100).cumsum(1) == 1
    one = targets == model.tokenizer.convert_tokens_to_ids("1")
    since_one = (one.cumsum(1) > 0).cumsum(1)  # 1 at the first "1", 2 at its full stop, 3 where the step's text begins
    return first | ((since_one >= 3) & (since_one <= 5))


def after_therefore(model: ProgressModel, targets: torch.Tensor) -> torch.Tensor:
    """Mark the last sentence of each answer, which holds the percentage; bool, shape of `targets`."""
    (therefore,) = model.tokenizer("Therefore", add_special_tokens=False)["input_ids"]
    return (targets == therefore).cumsum(1) > 0


def digit_tokens(model: ProgressModel) -> torch.Tensor:
    """Return the token ids of the ten digits."""
    return torch.tensor(model.tokenizer.convert_tokens_to_ids(list("0123456789")))


class FrameProbe(torch.nn.Module):
    """Reads the progress from the features of one frame; a help for the vision tower, thrown away after training.

    Through the language model only 24 answers a step teach the tower, and it stays blind for a long time. Here every
    one of the step's 200 frames does.
    """

    def __init__(self, model: ProgressModel) -> None:
        super().__init__()
        hidden = model.model.config.text_config.hidden_size
        tokens = (image_side(model) // 32) ** 2
        self.embedding = model.model.get_input_embeddings().weight
        self.read_frame = torch.nn.Linear(tokens * hidden, 256)
        self.read_task = torch.nn.Linear(hidden, 256)
        self.answer = torch.nn.Linear(256, PROGRESS_BINS)

    def parameters(self, recurse: bool = True):
        return (p for name, p in self.named_parameters(recurse=recurse) if name != "embedding")

    def loss(self, frames: list[tuple[torch.Tensor, list[int], float]]) -> torch.Tensor:
        """Return the cross-entropy over progress bins; a frame is its features, its task's tokens and its percent."""
        features = torch.stack([embedding.flatten() for embedding, _, _ in frames])
        tasks = torch.stack([self.embedding[tokens].mean(0) for _, tokens, _ in frames]).detach()
        bins = torch.tensor([round(progress / 100.0 * (PROGRESS_BINS - 1)) for _, _, progress in frames])
        hidden = torch.nn.functional.gelu(self.read_frame(features) + self.read_task(tasks))
        return torch.nn.functional.cross_entropy(self.answer(hidden), bins)


def draw_batch(
    model: ProgressModel, simulated: list[Episode], drawn: list[Episode], options, rng: np.random.Generator
) -> tuple[dict, list]:
    """Draw windows of a few episodes; every frame is encoded once and shared by the windows it is in.

    Returns the model's inputs, and per frame what `FrameProbe.loss` needs.
    """
    prompts, completions, places = [], [], []
    pixels, sources = [], []
    for _ in range(options.episodes_per_step):
        pool = simulated if rng.random() < options.simulated_share else drawn
        episode = pool[rng.integers(len(pool))]
        chosen = [draw_window(len(episode.frames), options, rng) for _ in range(options.windows_per_episode)]
        used = sorted({index for window in chosen for index in window})
        position = {index: len(pixels) + rank for rank, index in enumerate(used)}
        pixels += list(jitter(episode, used, rng, draw_mirrored(episode, options, rng)))
        task_tokens = model.tokenizer(episode.task)["input_ids"]
        sources += [(task_tokens, float(episode.progress[index])) for index in used]
        for window in chosen:
            places.append([position[index] for index in window])
            prompts.append(build_prompt(episode.task))
            progress = float(round(episode.progress[window[-1]]))  # whole percents: decimals would be noise to learn
            completions.append(build_completion(progress, episode.stages[episode.stage_index[window[-1]] :]))
    inputs = preprocess_square(model, np.stack(pixels))
    features = model.encode_pixels(inputs["pixel_values"], inputs["image_grid_thw"])
    frames = [(f.embedding, tokens, progress) for f, (tokens, progress) in zip(features, sources, strict=True)]
    windows = [[features[place] for place in window] for window in places]
    return model.inputs.build(windows, prompts, completions), frames


def image_side(model: ProgressModel) -> int:
    """Return the side of a square image in pixels."""
    return math.isqrt(model.image_processor.size["longest_edge"])


def draw_window(num_frames: int, options, rng: np.random.Generator) -> list[int]:
    """Draw one window of 8 frames (or a single one): forward, reversed or with the current frame held."""
    t = int(rng.integers(num_frames))
    if rng.random() < 0.12:  # the ends of an episode are few frames and matter most
        t = num_frames - 1 - int(rng.integers(min(8, num_frames)))
    if rng.random() < options.single_frame_share:
        return [t]
    stride = int(rng.choice(list(options.strides)))
    offsets = np.arange(7, -1, -1) * stride
    if rng.random() < options.pause_share:
        offsets = np.maximum(offsets - stride * int(rng.integers(1, 8)), 0)
    sign = 1 if rng.random() < options.reversed_share else -1
    return [int(index) for index in np.clip(t + sign * offsets, 0, num_frames - 1)]


def jitter(episode: Episode, indices: list[int], rng: np.random.Generator, mirrored: bool) -> np.ndarray:
    """Return frames of an episode with brightness, contrast and framing varied a little, alike for all of them."""
    frames = episode.frames[indices]
    if mirrored:
        frames = frames[:, :, ::-1]
    gain, shift = rng.uniform(0.85, 1.15), rng.uniform(-18, 18)
    frames = np.clip((frames.astype(np.float32) - 128) * gain + 128 + shift, 0, 255).astype(np.uint8)
    dy, dx = rng.integers(-4, 5, 2)
    padded = np.pad(frames, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="edge")
    return padded[:, 4 + dy : 4 + dy + frames.shape[1], 4 + dx : 4 + dx + frames.shape[2]]


def draw_mirrored(episode: Episode, options, rng: np.random.Generator) -> bool:
    """Decide whether to show an episode mirrored; never one whose texts tell left from right."""
    texts = " ".join((episode.task, *episode.stages))
    return bool(rng.random() < options.mirrored_share) and not re.search(r"\b(left|right)\b", texts)


def save(model: ProgressModel, folder: Path) -> None:
    """Write a folder that `from_pretrained` loads like any Qwen3-VL."""
    model.model.generation_config.eos_token_id = model.end_token_id
    model.model.generation_config.pad_token_id = model.tokenizer.pad_token_id
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    model.image_processor.save_pretrained(folder)
    print(f"wrote {folder}: {sum(f.stat().st_size for f in folder.iterdir()) / 1e6:.1f} MB")


def write_log(log: list[dict], recipe) -> None:
    """Write the training log and its curve beside this file."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    (HERE / "training_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log), encoding="utf-8")
    log = [row for row in log if row["phase"] == "all"]
    losses = np.array([row["loss"] for row in log])
    smooth = np.convolve(losses, np.ones(20) / 20, mode="valid") if len(losses) >= 20 else losses
    steps = [row["step"] for row in log]
    figure, axis = plt.subplots(figsize=(8, 4))
    axis.plot(steps, losses, color="#b8c4d6", linewidth=0.6, label="all answer tokens, every tenth step")
    axis.plot(steps[-len(smooth) :], smooth, color="#1f4e9c", label="all answer tokens, mean of 20")
    numbers = np.array([row["number_loss"] for row in log])
    smooth = np.convolve(numbers, np.ones(20) / 20, mode="valid") if len(numbers) >= 20 else numbers
    axis.plot(steps[-len(smooth) :], smooth, color="#b45309", label="digits, mean of 20")
    axis.set(xlabel="step", ylabel="loss (nats per token)", yscale="log")
    axis.set_title(f"pre-training of the embedded base, seed {recipe.seed}")
    axis.legend()
    figure.tight_layout()
    figure.savefig(HERE / "training_curve.png", dpi=110)


if __name__ == "__main__":
    main()
