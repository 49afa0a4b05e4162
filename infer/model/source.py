"""Where a model comes from: a base, or an adapter and its base, and how to load it. Imports no torch.

Knows names and folders; does not know weights. Built once, by the command line or the caller, and passed on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dataset.budget import TokenBudget, read_token_budget
from dataset.checked_numbers import check_whole
from infer.model.adapter_folder import (
    PROGRESS_CONFIG,
    ProgressConfig,
    base_of_adapter,
    is_adapter,
    refuse_vision_adapter,
)
from infer.model.base_files import base_folder, refuse_other_family, refuse_other_weights
from infer.model.errors import ModelError

BASE_MAX_PIXELS = TokenBudget.max_pixels  # of a base where nothing is set: that of the recipes
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class ModelSource:
    """A model and how it is loaded.

    Args:
        model_path: Base model (hub id, `id@revision` or folder); with `use_lora` the adapter folder.
        use_lora: Whether `model_path` is an adapter. It changes nothing else.
        base_model: Base to use in place of the one that the adapter names.
        torch_dtype: "auto" (bfloat16 on a GPU that has it, else float32), "float32", "bfloat16" or "float16".
        device: Torch device; None takes "cuda" or "mps" where there is one, else "cpu".
        min_pixels, max_pixels: Pixel budget of one image; None takes the adapter's, then the base's own (see
            `for_predictions`).
        attn_implementation: Attention of transformers; None takes FlashAttention 2 where it is installed and GPU and
            dtype can use it, else "sdpa".
        load_in_4bit: Keep the base's matrices in 4 bits (bitsandbytes, NVIDIA GPUs only).

    Raises:
        ModelError: The number type is unknown.
    """

    model_path: str
    use_lora: bool = False
    base_model: str | None = None
    torch_dtype: str = "auto"
    device: str | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    attn_implementation: str | None = None
    load_in_4bit: bool = False

    def __post_init__(self) -> None:
        for name in ("min_pixels", "max_pixels"):
            value = getattr(self, name)
            if value is not None and check_whole(name, value) < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1 (leave it out for the base's own)")
        if self.torch_dtype not in ("auto", *DTYPES):
            raise ModelError(f'torch_dtype "{self.torch_dtype}" is unknown; use auto, {", ".join(DTYPES)}')

    def check_folder(self) -> tuple[str, ProgressConfig | None]:
        """Return the base's name, and how the model was trained; None for a base that was not adapted.

        Raises:
            ModelError: The folder is of the other kind, is damaged, changes the vision tower, or was trained with other
                pixels than are set here; or the base is of another family, or has other weights than the adapter was
                trained on.
        """
        if self.use_lora:
            base_name = self.base_model or base_of_adapter(self.model_path)
            config = ProgressConfig.read(self.model_path)
            self._refuse_other_pixels(config)
            refuse_vision_adapter(self.model_path)
            refuse_other_family(base_name)
            refuse_other_weights(self.model_path, config.base_digest, base_name)
            return base_name, config
        if is_adapter(self.model_path):
            raise ModelError(f"{self.model_path} is a LoRA adapter, not a base model; add --use_lora")
        refuse_other_family(self.model_path)
        if not (Path(self.model_path) / PROGRESS_CONFIG).exists():
            return self.model_path, None
        config = ProgressConfig.read(self.model_path)  # written by `python -m train.merge`
        self._refuse_other_pixels(config)
        return self.model_path, config

    def for_predictions(self) -> ModelSource:
        """Return the source with a pixel budget that its predictions can use.

        A base may allow pictures of 16 million pixels, which take 16,000 tokens each. One that was not adapted and has
        no budget here gets the one of the recipes, if its own is larger.
        """
        if self.use_lora or self.max_pixels is not None or self.check_folder()[1] is not None:
            return self
        folder = base_folder(self.model_path)
        own = read_token_budget({"model": folder}).max_pixels if folder else None
        if own is not None and own <= BASE_MAX_PIXELS:
            return self
        print(
            f"{self.model_path}: pictures are reduced to {BASE_MAX_PIXELS} pixels, as in the recipes"
            + (f" (its own limit is {own})" if own else "")
            + "; --max_pixels sets another limit"
        )
        return replace(self, max_pixels=BASE_MAX_PIXELS)

    def _refuse_other_pixels(self, config: ProgressConfig) -> None:
        for name in ("min_pixels", "max_pixels"):
            requested, trained = getattr(self, name), getattr(config, name)
            if requested is not None and trained is not None and requested != trained:
                raise ModelError(
                    f"{self.model_path} was trained with {name} {trained}, not {requested}; leave {name} out"
                )
