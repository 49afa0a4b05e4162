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
SIDES = ("left", "right")
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
    optimizer = torch.optim.AdamW(
        model.model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.98)
    )
    model.model.train()
    drawn = [draw_episode(rng, image_side(model)) for _ in tqdm(range(options.drawn_pool), desc="drawing scenes")]
    log, started = [], time.monotonic()
    bar = tqdm(range(options.steps), desc="pre-training")
    for step in bar:
        cosine = 0.5 * (1 + math.cos(math.pi * step / options.steps))
        rate = options.learning_rate * min((step + 1) / options.warmup_steps, cosine)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if step % 2 == 0:
            drawn[rng.integers(len(drawn))] = draw_episode(rng, image_side(model))
        batch = draw_batch(model, simulated, drawn, options, rng)
        loss, text_loss, number_loss = weighted_loss(model, batch, options.number_weight)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.model.parameters(), options.clip_norm)
        optimizer.step()
        if (step + 1) % options.save_every == 0:
            save(model, checkpoint)
        if (step + 1) % 10 == 0:
            log.append(
                {
                    "step": step + 1,
                    "minutes": round((time.monotonic() - started) / 60, 2),
                    "loss": round(text_loss, 4),
                    "number_loss": round(number_loss, 4),
                    "learning_rate": round(rate, 6),
                    "gradient_norm": round(norm.item(), 3),
                }
            )
            recent = {name: np.mean([row[name] for row in log[-10:]]) for name in ("loss", "number_loss")}
            bar.set_postfix({name: f"{value:.3f}" for name, value in recent.items()})
    model.model.eval()
    return log


def weighted_loss(model: ProgressModel, batch: dict, number_weight: float) -> tuple[torch.Tensor, float, float]:
    """Return the loss to minimise, and for the log the plain mean over all answer tokens and over the digits alone.

    Most tokens of an answer can be told from those before them; the digits can only be told from the pictures, so they
    count `number_weight` times.
    """
    labels = batch.pop("labels")
    logits = model.model(**batch).logits[:, :-1]
    targets = labels[:, 1:]
    answer = targets != -100
    losses = torch.nn.functional.cross_entropy(logits[answer], targets[answer], reduction="none")
    digits = (torch.isin(targets, digit_tokens(model)) & after_therefore(model, targets))[answer]
    weights = torch.where(digits, number_weight, 1.0)
    return (losses * weights).sum() / weights.sum(), losses.mean().item(), losses[digits].mean().item()


def after_therefore(model: ProgressModel, targets: torch.Tensor) -> torch.Tensor:
    """Mark the last sentence of each answer, which holds the percentage; bool, shape of `targets`."""
    (therefore,) = model.tokenizer("Therefore", add_special_tokens=False)["input_ids"]
    return (targets == therefore).cumsum(1) > 0


def digit_tokens(model: ProgressModel) -> torch.Tensor:
    """Return the token ids of the ten digits."""
    return torch.tensor(model.tokenizer.convert_tokens_to_ids(list("0123456789")))


def draw_batch(
    model: ProgressModel, simulated: list[Episode], drawn: list[Episode], options, rng: np.random.Generator
) -> dict:
    """Draw windows of a few episodes; every frame is encoded once and shared by the windows it is in."""
    windows, prompts, completions = [], [], []
    frames, places = [], []
    for _ in range(options.episodes_per_step):
        pool = simulated if rng.random() < options.simulated_share else drawn
        episode = pool[rng.integers(len(pool))]
        chosen = [draw_window(len(episode.frames), options, rng) for _ in range(options.windows_per_episode)]
        used = sorted({index for window in chosen for index in window})
        position = {index: len(frames) + rank for rank, index in enumerate(used)}
        frames += list(jitter(episode, used, rng))
        for window in chosen:
            places.append([position[index] for index in window])
            prompts.append(build_prompt(episode.task))
            progress = float(round(episode.progress[window[-1]]))  # whole percents: decimals would be noise to learn
            completions.append(build_completion(progress, episode.stages[episode.stage_index[window[-1]] :]))
    pixels = model.preprocess(frames)
    features = model.encode_pixels(pixels["pixel_values"], pixels["image_grid_thw"])
    windows = [[features[place] for place in window] for window in places]
    return model.build_inputs(windows, prompts, completions)


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


def jitter(episode: Episode, indices: list[int], rng: np.random.Generator) -> np.ndarray:
    """Return frames of an episode with brightness, contrast, framing and handedness varied, alike for all of them."""
    frames = episode.frames[indices]
    if rng.random() < 0.5 and not any(side in text for text in (episode.task, *episode.stages) for side in SIDES):
        frames = frames[:, :, ::-1]
    gain, shift = rng.uniform(0.85, 1.15), rng.uniform(-18, 18)
    frames = np.clip((frames.astype(np.float32) - 128) * gain + 128 + shift, 0, 255).astype(np.uint8)
    dy, dx = rng.integers(-4, 5, 2)
    padded = np.pad(frames, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="edge")
    return padded[:, 4 + dy : 4 + dy + frames.shape[1], 4 + dx : 4 + dx + frames.shape[2]]


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
