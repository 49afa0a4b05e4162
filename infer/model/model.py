"""The model: base, adapter, tokenizer and image processor, from folder or hub; frames to features.

Files are loaded by `infer.model.loaded_base` and `infer.model.adapter_weights`. Does not know videos, label curves or
what an answer says. Nothing here depends on the size of the model.

Every frame is encoded once: the vision tower treats each image alone, so its output per frame is computed here and
windows are put together from it (`infer.model.window_inputs`).
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen2VLImageProcessorPil, Qwen3VLForConditionalGeneration

from infer.model.adapter_folder import ProgressConfig, base_of_adapter, refuse_vision_adapter
from infer.model.adapter_weights import put_adapter
from infer.model.base_files import base_digest, refuse_other_weights, resolve_model_name, split_revision
from infer.model.batch_limit import BatchLimit
from infer.model.devices import allow_tf32, best_attention, best_device, check_device, four_bits, resolve_dtype
from infer.model.errors import ModelError
from infer.model.loaded_base import load_base, load_image_processor
from infer.model.source import ModelSource
from infer.model.transformers_internals import hub_commit
from infer.model.window_inputs import FrameFeatures, WindowInputs

BASE = "base"  # in place of an adapter's name: the base without an adapter
DEFAULT_ADAPTER = "default"
ENCODED_TOGETHER = 16  # frames
PixelBudget = tuple[int, int]  # least and most pixels of one image


class ProgressModel:
    """A progress-reward model: a Qwen3-VL base and any number of LoRA adapters on it, one of them active.

    Threads can share it. Whatever answers with an adapter does so inside `adapter_switch`, one thread at a time, and
    binds adapter, window rule and pixels when it begins: another active adapter does not change them later.

    Attributes:
        model: The transformers model; a `PeftModel` when there is an adapter.
        tokenizer: Its tokenizer with the chat template.
        inputs: Makes its inputs from windows and texts.
        image_processor: Its image processor, set to the pixel budget of the active adapter.
        base_name: Hub id (with its `@revision` where one was named) or path of the base model.
        adapters: How each adapter was trained, by name.
        end_token_id: The token that ends the answers which training teaches.
        end_token_ids: All tokens that end an answer: this one, and those of the base's generation settings.
        lock: Held while adapters are loaded or switched, and while one of them answers.
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
        self.adapters = {DEFAULT_ADAPTER: progress_config} if progress_config else {}
        self.lock = threading.RLock()
        self._progress_config = progress_config
        self._active = DEFAULT_ADAPTER if progress_config else None
        self.inputs = WindowInputs(self.base, tokenizer, base_name)
        self.end_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
        self.end_token_ids = frozenset([self.end_token_id, *_list(self.base.generation_config.eos_token_id)])
        self._base_pixels = dict(image_processor.size)
        self._batch_limits: dict[tuple[Hashable, ...], BatchLimit] = {}
        self._recent_answers: dict[str, dict[tuple[int, ...], None]] = {}

    @classmethod
    def load(cls, source: ModelSource) -> ProgressModel:
        """Load a base model, or an adapter folder and the base it was trained on.

        Raises:
            ModelError: The folder is of the other kind, the base cannot be found, or device or 4 bits cannot be used.
        """
        base_name, config = source.check_folder()
        device = source.device or best_device()
        check_device(device)
        dtype = resolve_dtype(source.torch_dtype, device)
        allow_tf32(device, dtype)
        options = {"dtype": dtype, "attn_implementation": source.attn_implementation or best_attention(device, dtype)}
        if source.load_in_4bit:
            options |= four_bits(device, dtype)
        model, tokenizer = load_base(base_name, options)
        trained = config if config and not source.use_lora else source  # a merged model keeps its budget
        image_processor = load_image_processor(
            base_name, source.min_pixels or trained.min_pixels, source.max_pixels or trained.max_pixels
        )
        if not source.load_in_4bit:  # bitsandbytes has put it on the GPU already
            model.to(device)
        loaded = cls(model.eval(), tokenizer, image_processor, base_name)
        if source.use_lora:
            loaded.load_adapter(source.model_path, DEFAULT_ADAPTER, source.base_model)
        else:
            loaded._progress_config = config
        return loaded

    def with_adapter(self, folder: str | Path) -> ProgressModel:
        """Return this base with the adapter of a folder on it, for training and merging; the pixel budget stays.

        Adapters of the vision tower are allowed here, and the weights keep the number type of the file. PEFT puts its
        layers into the base's own modules; `model.unload()` takes them out.
        """
        config = ProgressConfig.read(folder)
        refuse_other_weights(folder, config.base_digest, self.base_name)
        model = put_adapter(self.model, folder, DEFAULT_ADAPTER, as_saved=True).eval()
        return ProgressModel(model, self.tokenizer, self.image_processor, self.base_name, config)

    @property
    def revision(self) -> str | None:
        """Commit of the hub that the base was loaded from; None for a folder."""
        return hub_commit(self.base) or split_revision(self.base_name)[1]

    @cached_property
    def base_digest(self) -> str | None:
        """Digest of the base's weights, of its files; None where it has no files on this machine."""
        try:
            return base_digest(self.base_name)
        except ModelError:
            return None

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

    @property
    def progress_config(self) -> ProgressConfig | None:
        """How the active adapter was trained; None without one."""
        with self.lock:
            return self._progress_config

    @property
    def active_adapter(self) -> str | None:
        """Name of the active adapter, `BASE` without one; None for an adapter in training, which has no name yet."""
        with self.lock:
            return self._active or (None if self.has_adapter else BASE)

    def config_of(self, name: str | None) -> ProgressConfig | None:
        """Return how adapter `name` was trained; None and `BASE` take the active one's, to be asked alike."""
        return self.progress_config if name in (None, BASE) else self._adapter(name)

    def load_adapter(self, folder: str, name: str | None = None, base_model: str | None = None) -> str:
        """Put an adapter on the base in memory, make it the active one and return its name.

        Streams and predictions that exist keep the adapter that they began with.

        Args:
            folder: Adapter folder that `python -m train` wrote.
            name: Name for `set_adapter`; the folder's own name by default.
            base_model: Set it to load an adapter that names another base, as `load` does.

        Raises:
            ModelError: The name is in use, the adapter was trained on another base, or its weights do not fit.
        """
        name = name or Path(folder).resolve().name.replace(".", "_")
        trained_on, config = base_of_adapter(folder), ProgressConfig.read(folder)
        if name == BASE:
            raise ModelError(f'an adapter cannot be named "{BASE}", which stands for no adapter; give another name')
        if name in self.adapters:
            raise ModelError(f'an adapter "{name}" is loaded already ({", ".join(self.adapters)}); give another name')
        if base_model is None and not self._is_base(trained_on):
            raise ModelError(
                f"adapter {folder} was trained on {trained_on}, but {self.base_name} is loaded; load that base, or "
                "pass base_model if it is the same model under another name"
            )
        refuse_vision_adapter(folder)
        refuse_other_weights(folder, config.base_digest, self.base_name)
        if config.base_digest is None:
            print(
                f"warning: adapter {folder} names no digest of its base's weights (version 0.1 wrote none), so "
                f"{self.base_name} is not compared with the base that it was trained on"
            )
        with self.lock:
            self.model = put_adapter(self.model, folder, name).eval()
            self.adapters[name] = config
            self.set_adapter(name)
        return name

    def _is_base(self, trained_on: str) -> bool:
        """Tell whether a name means the base in memory; revisions are compared where both names have one."""
        (here, _), (there, revision) = split_revision(self.base_name), split_revision(trained_on)
        same_revision = revision is None or self.revision in (None, revision)
        return resolve_model_name(here) == resolve_model_name(there) and same_revision

    def set_adapter(self, name: str) -> None:
        """Make a loaded adapter the active one; its window rule and pixel budget come with it."""
        config = self._adapter(name)
        with self.lock:
            self.model.set_adapter(name, inference_mode=True)
            self._active, self._progress_config = name, config
            least, most = self.pixel_budget_of(name)
            self.image_processor.size = {"shortest_edge": least, "longest_edge": most}

    def _adapter(self, name: str) -> ProgressConfig:
        if name not in self.adapters:
            raise ModelError(f'no adapter "{name}" is loaded; loaded are: {", ".join(self.adapters) or "none"}')
        return self.adapters[name]

    @contextmanager
    def adapter_switch(self, name: str | None = None) -> Iterator[None]:
        """Answer inside the block with adapter `name`; None leaves the active one, `BASE` takes none.

        Other threads wait until the block ends. Vision features stay valid, as adapters leave the vision tower alone.
        """
        with self.lock:
            if name == BASE and self.has_adapter:
                with self.model.disable_adapter():
                    yield
            elif name in (None, BASE, self._active):
                yield
            else:
                before = self._active
                self.set_adapter(name)
                try:
                    yield
                finally:
                    if before is not None:
                        self.set_adapter(before)

    def recent_answers(self, task: str) -> dict[tuple[int, ...], None]:
        """Return the memory of distinct answers to one task, as tokens, the latest last: answer drafts for the next."""
        return self._recent_answers.setdefault(task, {})

    @property
    def pixel_budget(self) -> PixelBudget:
        """Least and most pixels of one image for the active adapter; features of two budgets differ."""
        with self.lock:
            return self.image_processor.size["shortest_edge"], self.image_processor.size["longest_edge"]

    def pixel_budget_of(self, name: str | None) -> PixelBudget:
        """Return the pixel budget of adapter `name`; None and `BASE` take the present one, of the active adapter."""
        if name in (None, BASE):
            return self.pixel_budget
        config = self._adapter(name)
        return (
            config.min_pixels or self._base_pixels["shortest_edge"],
            config.max_pixels or self._base_pixels["longest_edge"],
        )

    @torch.no_grad()
    def encode_frames(self, frames: np.ndarray, pixel_budget: PixelBudget | None = None) -> list[FrameFeatures]:
        """Run the vision tower on RGB uint8 frames, shape (T, H, W, 3); features stay on the model's device.

        The features of a frame are copies: one that is kept does not hold those that were encoded with it.
        """
        budget = pixel_budget or self.pixel_budget

        def encode(batch: np.ndarray) -> list[FrameFeatures]:
            return [features.copy() for features in self.encode_pixels(**self.preprocess(batch, budget))]

        return self.batch_limit(ENCODED_TOGETHER, "frames", budget).run(encode, frames)

    def batch_limit(self, size: int, items: str, *work: Hashable) -> BatchLimit:
        """Return how many items are worked on at once: `size`, or what fitted into memory when the same was done.

        Args:
            size: Items to start with.
            items: What they are, for messages.
            work: What else their memory depends on.
        """
        return self._batch_limits.setdefault((size, items, *work), BatchLimit(size, items))

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


def _list(tokens: int | list[int] | None) -> list[int]:
    return [] if tokens is None else [tokens] if isinstance(tokens, int) else tokens
