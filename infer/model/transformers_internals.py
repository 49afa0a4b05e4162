"""The private parts of transformers that this workbench uses, all of them here. Checked against transformers 5.23.0.

A new version of transformers is checked by the tests named below. Nothing else imports `transformers.models...` or uses
a name that begins with `_` of an object of transformers. Imports torch only inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import Qwen3VLForConditionalGeneration

# 5.23.0: keyword of `Qwen3VLModel.forward` (and `generate`) for the outputs of the vision tower, by kind of input, so
# that each frame is encoded once. tests/infer/model/test_model.py compares with pixels in the forward pass.
ENCODED_IMAGES = "mm_encoder_outputs"


def encoded_images(embeddings: Sequence[torch.Tensor], deepstack: Sequence[Sequence[torch.Tensor]]) -> dict[str, Any]:
    """Return the value of `ENCODED_IMAGES` for images that the vision tower has encoded already.

    5.23.0: the class that `Qwen3VLModel.get_image_features` returns; it has no public name.

    Args:
        embeddings: Per image its features, shape (tokens, hidden).
        deepstack: Per image the features of each DeepStack layer, shape (tokens, hidden) each.
    """
    from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

    return {
        "image": BaseModelOutputWithDeepstackFeatures(
            pooler_output=list(embeddings),
            deepstack_features=[list(layer) for layer in zip(*deepstack, strict=True)],
        )
    }


def rope_positions(
    base: Qwen3VLForConditionalGeneration, input_ids: torch.Tensor, is_image: torch.Tensor, grids: torch.Tensor
) -> torch.Tensor:
    """Return the M-RoPE positions of token rows, int64, shape (3, rows, length).

    5.23.0: `Qwen3VLModel.get_rope_index` is not documented. Decoding gives positions explicitly, because rows of a
    cached batch may hold different numbers of tokens. tests/infer/decoding/test_cached_batch.py compares with passes of
    single rows.

    Args:
        base: The model.
        input_ids: Token ids, shape (rows, length).
        is_image: 1 where a token stands for a part of an image, int64, shape (rows, length).
        grids: Patches in time, height and width of every image, shape (images, 3).
    """
    return base.model.get_rope_index(input_ids, is_image, grids)[0]


def hub_commit(base: Qwen3VLForConditionalGeneration) -> str | None:
    """Return the commit of the hub that a model was loaded from; None for a folder.

    5.23.0: `from_pretrained` leaves it in `config._commit_hash`.
    """
    return getattr(base.config, "_commit_hash", None)


@contextmanager
def any_mask_attention(base: Qwen3VLForConditionalGeneration) -> Iterator[None]:
    """Use attention that takes any mask inside the block; FlashAttention takes causal ones only.

    5.23.0: the present choice can only be read as `config._attn_implementation`; `set_attn_implementation` is public.
    """
    chosen = base.config._attn_implementation
    if not chosen.startswith("flash"):
        yield
        return
    base.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        base.set_attn_implementation(chosen)


def resized_shape(processor: Any, height: int, width: int) -> tuple[int, int]:
    """Return the height and width that an image processor of Qwen-VL resizes a picture to.

    5.23.0: `smart_resize`, which `Qwen2VLImageProcessorPil` calls. tests/infer/vllm/test_client.py compares pixels.
    """
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    size = processor.size
    factor = processor.patch_size * processor.merge_size
    return smart_resize(height, width, factor, size["shortest_edge"], size["longest_edge"])


def rotate_vision(
    query: torch.Tensor, key: torch.Tensor, position_embeddings: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply the vision tower's rotary positions to query and key.

    5.23.0: `apply_rotary_pos_emb_vision`. Only recipes/nano uses it, to pretrain the embedded base in less time.
    """
    from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb_vision

    return apply_rotary_pos_emb_vision(query, key, *position_embeddings)
