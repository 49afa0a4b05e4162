"""Build the embedded base: a Qwen3-VL of a few million parameters with a tokenizer and an image processor of its own.

Knows sizes, tokens and folders; does not know data or training.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from infer.model.model import ProgressModel
from infer.model.source import ModelSource
from infer.model.transformers_internals import rotate_vision

SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
CHAT_TEMPLATE = (
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string %}{{ message.content }}{%- else %}"
    "{%- for part in message.content %}"
    "{%- if part.type == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif part.type == 'text' %}{{ part.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{{ '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
)


def new_model(recipe: DictConfig, texts: Iterable[str]) -> ProgressModel:
    """Return a randomly initialised model of the recipe's size, whose tokenizer is trained on `texts`."""
    tokenizer = train_tokenizer(texts, recipe.vocabulary)
    return ProgressModel(build_model(recipe, tokenizer), tokenizer, image_processor(recipe), "nano")


def continued_model(folder: str, recipe: DictConfig) -> ProgressModel:
    """Return a trained model to go on with, at another image size if need be.

    The positions of the vision tower are interpolated by the model itself, so that larger images cost no new weights.
    """
    model = ProgressModel.load(ModelSource(folder, device="cpu", torch_dtype="float32"))
    return ProgressModel(model.model, model.tokenizer, image_processor(recipe), "nano")


def image_processor(recipe: DictConfig) -> Qwen2VLImageProcessorPil:
    """Return an image processor whose budget is the recipe's square image."""
    patch, merge = recipe.vision.patch_size, recipe.vision.spatial_merge_size
    return Qwen2VLImageProcessorPil(
        patch_size=patch, temporal_patch_size=2, merge_size=merge, image_mean=[0.5] * 3, image_std=[0.5] * 3,
        min_pixels=(patch * merge) ** 2, max_pixels=recipe.image_size**2,
    )  # fmt: skip


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
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


def build_model(recipe: DictConfig, tokenizer: PreTrainedTokenizerFast) -> Qwen3VLForConditionalGeneration:
    """Build a randomly initialised Qwen3-VL of the recipe's size."""
    token = tokenizer.convert_tokens_to_ids
    text = OmegaConf.to_container(recipe.text)
    config = Qwen3VLConfig(
        text_config={
            **text,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 10000.0, "mrope_section": rope_sections(text["head_dim"]),
                "mrope_interleaved": True,
            },
            "tie_word_embeddings": True,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": token("<|im_end|>"),
        },
        vision_config={
            **OmegaConf.to_container(recipe.vision),
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


def rope_sections(head_dim: int) -> list[int]:
    """Split the rotary dimensions over time, height and width as evenly as Qwen3-VL does."""
    half = head_dim // 2
    side = half // 3
    return [half - 2 * side, side, side]


def quicken(model: Qwen3VLForConditionalGeneration) -> None:
    """Let the vision tower do the same arithmetic in fewer steps, for images of one size.

    The patch embedding becomes one matrix product (its convolution never overlaps, and is slow on a CPU), attention one
    call for all images in place of one call each.
    """
    embedding = model.model.visual.patch_embed
    convolution = embedding.proj

    def embed(pixels: torch.Tensor) -> torch.Tensor:  # (patches, channels * time * height * width)
        return torch.nn.functional.linear(pixels, convolution.weight.flatten(1), convolution.bias)

    embedding.forward = embed
    for block in model.model.visual.blocks:
        block.attn.forward = partial(attend, block.attn)


def attend(
    attention: torch.nn.Module,
    hidden_states: torch.Tensor,
    cu_seqlens: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    **_: object,
) -> torch.Tensor:
    """Return what the `forward` of a `Qwen3VLVisionAttention` does, for images of one size.

    Args:
        attention: The attention.
        hidden_states: Shape (images * patches, dim).
        cu_seqlens: Where each image begins, and the end; shape (images + 1,).
        position_embeddings: Cosines and sines of the rotary positions.
    """
    total, images = len(hidden_states), len(cu_seqlens) - 1
    qkv = attention.qkv(hidden_states).reshape(total, 3, attention.num_heads, -1)
    query, key, value = qkv.permute(1, 0, 2, 3).unbind(0)
    query, key = rotate_vision(query, key, position_embeddings)
    query, key, value = (
        part.reshape(images, total // images, *part.shape[1:]).transpose(1, 2) for part in (query, key, value)
    )
    seen = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=attention.scaling)
    return attention.proj(seen.transpose(1, 2).reshape(total, -1))


def save(model: ProgressModel, folder: str | Path) -> None:
    """Write a folder that `from_pretrained` loads like any Qwen3-VL."""
    model.model.generation_config.eos_token_id = model.end_token_id
    model.model.generation_config.pad_token_id = model.tokenizer.pad_token_id
    for part in (model.model, model.tokenizer, model.image_processor):
        part.save_pretrained(folder)
    print(f"wrote {folder}: {sum(f.stat().st_size for f in Path(folder).iterdir()) / 1e6:.1f} MB")
