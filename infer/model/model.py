"""The model: base, adapter, tokenizer and image processor, from folder or hub; frames to features.

Knows transformers and PEFT; this is the only file that calls `from_pretrained`. Does not know videos, label curves or
what an answer says. Nothing here depends on the size of the model.

Every frame is encoded once: the vision tower treats each image alone, so its output per frame is computed here and
windows are put together from it (see `inputs`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, Qwen2VLImageProcessorPil, Qwen3VLForConditionalGeneration

from infer.model.adapter_folder import (
    PROGRESS_CONFIG,
    ProgressConfig,
    base_of_adapter,
    is_adapter,
    refuse_vision_adapter,
)
from infer.model.base_name import resolve_model_name, split_revision
from infer.model.batch_limit import BatchLimit
from infer.model.devices import best_attention, best_device, four_bits, move, resolve_dtype
from infer.model.errors import ModelError
from infer.model.window_inputs import FrameFeatures, WindowInputs

DEFAULT_ADAPTER = "default"
PixelBudget = tuple[int, int]  # least and most pixels of one image


class ProgressModel:
    """A progress-reward model: a Qwen3-VL base and any number of LoRA adapters on it, one of them active.

    Attributes:
        model: The transformers model; a `PeftModel` when there is an adapter.
        tokenizer: Its tokenizer with the chat template.
        inputs: Puts windows and texts together to its inputs.
        image_processor: Its image processor, set to the pixel budget of the active adapter.
        base_name: Hub id (with its `@revision` where one was asked for) or path of the base model.
        adapters: How each adapter was trained, by name.
        progress_config: How the active adapter was trained; None without one.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        image_processor: Qwen2VLImageProcessorPil,
        base_name: str,
        progress_config: ProgressConfig | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.base_name = base_name
        self.progress_config = progress_config
        self.adapters = {DEFAULT_ADAPTER: progress_config} if progress_config else {}
        self.inputs = WindowInputs(self.base, tokenizer, base_name)
        self.end_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
        self._base_pixels = dict(image_processor.size)
        self._recent_answers: dict[str, dict[tuple[int, ...], None]] = {}

    @classmethod
    def load(
        cls,
        model_path: str,
        use_lora: bool = False,
        base_model: str | None = None,
        torch_dtype: str = "auto",
        device: str | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        attn_implementation: str | None = None,
        load_in_4bit: bool = False,
    ) -> ProgressModel:
        """Load a base model, or with `use_lora` an adapter folder and the base it was trained on.

        Args:
            model_path: Base model (hub id, `id@revision` or folder); with `use_lora` the adapter folder.
            use_lora: Whether `model_path` is an adapter. It changes nothing else.
            base_model: Base to use in place of the one named in the adapter.
            torch_dtype: "auto" (bfloat16 on a GPU that has it, else float32), "float32", "bfloat16" or "float16".
            device: Torch device; "cuda" or "mps" when there is one, else "cpu".
            min_pixels, max_pixels: Pixel budget of one image; None takes the adapter's, then the base's own.
            attn_implementation: Attention of transformers; FlashAttention 2 where it is installed and the GPU and the
                dtype can use it, else "sdpa".
            load_in_4bit: Keep the base's matrices in 4 bits (bitsandbytes, NVIDIA GPUs only).

        Raises:
            ModelError: The folder is of the other kind, the base cannot be found, or 4 bits are not to be had here.
        """
        base_name = model_path
        if use_lora:
            base_name = base_model or base_of_adapter(model_path)
            _refuse_other_pixels(ProgressConfig.read(model_path), model_path, min_pixels, max_pixels)
            refuse_vision_adapter(model_path)
        elif is_adapter(model_path):
            raise ModelError(f"{model_path} is a LoRA adapter, not a base model; add --use_lora")
        device = device or best_device()
        dtype = resolve_dtype(torch_dtype, device)
        attention = attn_implementation or best_attention(device, dtype)
        options = {"dtype": dtype, "attn_implementation": attention}
        if load_in_4bit:
            options |= four_bits(device, dtype)
        model, tokenizer, image_processor = _load_base(base_name, options, min_pixels, max_pixels)
        if not load_in_4bit:  # bitsandbytes has put it on the GPU already
            move(model, device)
        loaded = cls(model.eval(), tokenizer, image_processor, base_name)
        if use_lora:
            loaded.load_adapter(model_path, DEFAULT_ADAPTER, base_model)
        elif (Path(model_path) / PROGRESS_CONFIG).exists():  # a merged model (`python -m train.merge`)
            loaded.progress_config = ProgressConfig.read(model_path)
        return loaded

    def with_adapter(self, folder: str | Path) -> ProgressModel:
        """Return this base with the adapter of a folder on it, whatever it changes; the pixel budget stays as loaded.

        For training and merging. PEFT puts its layers into the base's own modules; `model.unload()` takes them out.
        """
        from peft import PeftModel

        model = PeftModel.from_pretrained(self.model, str(folder)).to(self.device).eval()
        return ProgressModel(model, self.tokenizer, self.image_processor, self.base_name, ProgressConfig.read(folder))

    @property
    def revision(self) -> str | None:
        """Commit of the hub that the base was loaded from; None for a folder."""
        return getattr(self.base.config, "_commit_hash", None) or split_revision(self.base_name)[1]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def base(self) -> Qwen3VLForConditionalGeneration:
        """The transformers model under the adapter."""
        return self.model.get_base_model() if self.has_adapter else self.model

    @property
    def has_adapter(self) -> bool:
        """Whether a LoRA adapter is loaded."""
        return hasattr(self.model, "peft_config")

    def load_adapter(self, folder: str, name: str | None = None, base_model: str | None = None) -> str:
        """Put one more adapter on the base that is in memory, make it the active one and return its name.

        Args:
            folder: Adapter folder that `python -m train` wrote.
            name: Name for `set_adapter`; the folder's own name by default.
            base_model: Set it to load an adapter that names another base, as `load` does.

        Raises:
            ModelError: The name is taken, or the adapter was trained on another base.
        """
        name = name or Path(folder).resolve().name.replace(".", "_")
        trained_on, config = base_of_adapter(folder), ProgressConfig.read(folder)
        if name in self.adapters:
            raise ModelError(f'an adapter "{name}" is loaded already ({", ".join(self.adapters)}); give another name')
        if base_model is None and not self._is_base(trained_on):
            raise ModelError(
                f"adapter {folder} was trained on {trained_on}, but {self.base_name} is loaded; load that base, or "
                "pass base_model if it is the same model under another name"
            )
        refuse_vision_adapter(folder)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # PEFT asks by its old name
            if self.has_adapter:
                self.model.load_adapter(folder, adapter_name=name, torch_device=str(self.device))
            else:
                from peft import PeftModel

                self.model = PeftModel.from_pretrained(self.model, folder, adapter_name=name).to(self.device)
        self.model.eval()
        self.adapters[name] = config
        self.set_adapter(name)
        return name

    def _is_base(self, trained_on: str) -> bool:
        """Tell whether a name stands for the base in memory; a revision counts where both sides know theirs."""
        (here, _), (there, revision) = split_revision(self.base_name), split_revision(trained_on)
        same_revision = revision is None or self.revision in (None, revision)
        return resolve_model_name(here) == resolve_model_name(there) and same_revision

    def set_adapter(self, name: str) -> None:
        """Make a loaded adapter the active one; its window rule and pixel budget come with it."""
        self.progress_config = self._adapter(name)
        self.model.set_adapter(name, inference_mode=True)
        least, most = self.pixel_budget_of(name)
        self.image_processor.size = {"shortest_edge": least, "longest_edge": most}

    def _adapter(self, name: str) -> ProgressConfig:
        if name not in self.adapters:
            raise ModelError(f'no adapter "{name}" is loaded; loaded are: {", ".join(self.adapters) or "none"}')
        return self.adapters[name]

    @contextmanager
    def adapter_switch(self, enabled: bool, name: str | None = None):
        """Choose inside the block: adapter `name`, the active one by default, or with `enabled` False the base.

        Vision features stay valid, as adapters leave the vision tower alone.
        """
        if not enabled and self.has_adapter:
            with self.model.disable_adapter():
                yield
            return
        if not enabled or name is None:
            yield
            return
        active = next((key for key, config in self.adapters.items() if config is self.progress_config), None)
        self.set_adapter(name)
        try:
            yield
        finally:
            if active is not None:
                self.set_adapter(active)

    def recent_answers(self, task: str) -> dict[tuple[int, ...], None]:
        """Return the memory of distinct answers to one task, as tokens, the latest last; drafts for the next ones."""
        return self._recent_answers.setdefault(task, {})

    @property
    def pixel_budget(self) -> PixelBudget:
        """Least and most pixels of one image for the active adapter; features of two budgets differ."""
        return self.image_processor.size["shortest_edge"], self.image_processor.size["longest_edge"]

    def pixel_budget_of(self, name: str | None) -> PixelBudget:
        """Return the pixel budget of adapter `name`; of the active one, or of the base, for None."""
        if name is None:
            return self.pixel_budget
        config = self._adapter(name)
        return (
            config.min_pixels or self._base_pixels["shortest_edge"],
            config.max_pixels or self._base_pixels["longest_edge"],
        )

    @torch.no_grad()
    def encode_frames(
        self, frames: np.ndarray, batch_size: int = 16, pixel_budget: PixelBudget | None = None
    ) -> list[FrameFeatures]:
        """Run the vision tower on RGB uint8 frames, shape (T, H, W, 3); features stay on the model's device."""
        return BatchLimit(batch_size, "frames").run(
            lambda part: self.encode_pixels(**self.preprocess(part, pixel_budget)), frames
        )

    def preprocess(
        self, frames: Sequence[np.ndarray] | np.ndarray, pixel_budget: PixelBudget | None = None
    ) -> dict[str, torch.Tensor]:
        """Resize and normalise frames: `pixel_values` (patches, patch_dim) and `image_grid_thw` (T, 3)."""
        least, most = pixel_budget or self.pixel_budget
        size = {"shortest_edge": least, "longest_edge": most}
        return dict(self.image_processor(images=list(frames), size=size, return_tensors="pt"))

    def encode_pixels(self, pixel_values: torch.Tensor, image_grid_thw: torch.Tensor) -> list[FrameFeatures]:
        """Run the vision tower on preprocessed images; gradients flow when they are enabled."""
        output = self.base.get_image_features(pixel_values.to(self.device), image_grid_thw.to(self.device))
        grids = [tuple(grid) for grid in image_grid_thw.tolist()]
        return [
            FrameFeatures(embedding, tuple(layer[index] for layer in output.deepstack_features), grids[index])
            for index, embedding in enumerate(output.pooler_output)
        ]


def _refuse_other_pixels(config: ProgressConfig, folder: str, min_pixels: int | None, max_pixels: int | None) -> None:
    for name, asked in (("min_pixels", min_pixels), ("max_pixels", max_pixels)):
        trained = getattr(config, name)
        if asked is not None and trained is not None and asked != trained:
            raise ModelError(f"adapter {folder} was trained with {name} {trained}, not {asked}; leave {name} out")


def _load_base(base_name: str, options: dict[str, Any], min_pixels: int | None, max_pixels: int | None):
    name, revision = split_revision(base_name)
    where = {"pretrained_model_name_or_path": resolve_model_name(name), "revision": revision or "main"}
    try:
        model = Qwen3VLForConditionalGeneration.from_pretrained(**where, **options)
        tokenizer = AutoTokenizer.from_pretrained(**where)
    except (OSError, ValueError) as error:
        raise _cannot_load(base_name, error) from error
    tokenizer.padding_side = "left"
    return model, tokenizer, load_image_processor(base_name, min_pixels, max_pixels)


def load_image_processor(
    base_name: str, min_pixels: int | None = None, max_pixels: int | None = None
) -> Qwen2VLImageProcessorPil:
    """Return the image processor of a base model, set to a pixel budget; None leaves the base's own."""
    name, revision = split_revision(base_name)
    try:
        processor = Qwen2VLImageProcessorPil.from_pretrained(resolve_model_name(name), revision=revision or "main")
    except (OSError, ValueError) as error:
        raise _cannot_load(base_name, error) from error
    size = dict(processor.size)
    processor.size = {
        "shortest_edge": min_pixels or size["shortest_edge"],
        "longest_edge": max_pixels or size["longest_edge"],
    }
    return processor


def _cannot_load(base_name: str, error: Exception) -> ModelError:
    detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelError(
        f'base model "{base_name}" cannot be loaded ({detail}); give a folder with its weights, or a hub id '
        "while the network is up (adapters: --base_model overrides the base they name)"
    )
