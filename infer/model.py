"""The model: base, adapter, tokenizer and image processor, from folder or hub; frames to features; windows to inputs.

Knows transformers and PEFT; this is the only file that calls `from_pretrained`. Does not know videos, label curves or
what an answer says. Nothing here depends on the size of the model.

Every frame is encoded once: the vision tower treats each image alone, so its output per frame is computed here and
windows are put together from it (`mm_encoder_outputs` of transformers).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, Qwen2VLImageProcessorPil, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

from dataset.window import WindowSpec
from infer.errors import ModelError

ADAPTER_WEIGHTS = "adapter_config.json"
PROGRESS_CONFIG = "progress_config.json"  # the window rule, the pixels and the prompt that an adapter was trained with
_IMAGE_TOKEN = "<|image_pad|>"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FrameFeatures:
    """What the vision tower makes of one frame.

    Args:
        embedding: Float tensor, shape (tokens, hidden).
        deepstack: One float tensor per DeepStack layer, shape (tokens, hidden) each.
        grid_thw: Patches in time, height and width; tokens = t * h * w / merge^2.
    """

    embedding: torch.Tensor
    deepstack: tuple[torch.Tensor, ...]
    grid_thw: tuple[int, int, int]


@dataclass(frozen=True)
class ProgressConfig:
    """How an adapter was trained, as far as inference must do the same; saved beside the adapter.

    Args:
        window: The window rule.
        min_pixels, max_pixels: Pixel budget of one image; None leaves the base model's own.
        task: Task texts of the training demonstrations.
        prompt_version: `dataset.prompts.PROMPT_VERSION` at training time.
    """

    window: WindowSpec
    min_pixels: int | None
    max_pixels: int | None
    tasks: tuple[str, ...]
    prompt_version: int

    def save(self, folder: str | Path) -> None:
        """Write `progress_config.json` into an adapter folder."""
        document = {
            "window": self.window.to_dict(),
            "min_pixels": self.min_pixels,
            "max_pixels": self.max_pixels,
            "tasks": list(self.tasks),
            "prompt_version": self.prompt_version,
        }
        (Path(folder) / PROGRESS_CONFIG).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: str | Path) -> ProgressConfig:
        """Read it from an adapter folder; ModelError when it is missing or damaged."""
        path = Path(folder) / PROGRESS_CONFIG
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                window=WindowSpec(**document["window"]),
                min_pixels=document["min_pixels"],
                max_pixels=document["max_pixels"],
                tasks=tuple(document["tasks"]),
                prompt_version=document["prompt_version"],
            )
        except FileNotFoundError:
            raise ModelError(
                f"adapter {folder} has no {PROGRESS_CONFIG}, so its window rule is unknown; use a folder that "
                "`python -m train` wrote"
            ) from None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path} is damaged ({error}); train the adapter again or restore the file") from None


class ProgressModel:
    """A progress-reward model: a Qwen3-VL base and, optionally, one LoRA adapter on it.

    Attributes:
        model: The transformers model; a `PeftModel` when there is an adapter.
        tokenizer: Its tokenizer with the chat template.
        image_processor: Its image processor.
        progress_config: How the adapter was trained; None without one.
        base_name: Hub id (with its `@revision` where one was asked for) or path of the base model.
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
        self.image_token_id = tokenizer.convert_tokens_to_ids(_IMAGE_TOKEN)
        self.end_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
        if tokenizer.pad_token_id is None:
            raise ModelError(f"the tokenizer of {base_name} has no padding token; it is not a Qwen3-VL tokenizer")
        self._prompt_ids: dict[tuple[str, int], list[int]] = {}

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
        load_in_4bit: bool = False,
    ) -> ProgressModel:
        """Load a base model, or with `use_lora` an adapter folder and the base it was trained on.

        Args:
            model_path: Base model (hub id, `id@revision` or folder); with `use_lora` the adapter folder.
            use_lora: Whether `model_path` is an adapter. It changes nothing else.
            base_model: Base to use in place of the one named in the adapter.
            torch_dtype: "auto" (bfloat16 on a GPU that has it, else float32), "float32", "bfloat16" or "float16".
            device: Torch device; the GPU when there is one.
            min_pixels, max_pixels: Pixel budget of one image; None takes the adapter's, then the base's own.
            load_in_4bit: Keep the base's matrices in 4 bits (bitsandbytes, NVIDIA GPUs only).

        Raises:
            ModelError: The folder is of the other kind, the base cannot be found, or 4 bits are not to be had here.
        """
        progress_config = None
        base_name = model_path
        if use_lora:
            base_name = base_model or _base_of_adapter(model_path)
            progress_config = ProgressConfig.read(model_path)
            min_pixels = min_pixels or progress_config.min_pixels
            max_pixels = max_pixels or progress_config.max_pixels
        elif (Path(model_path) / ADAPTER_WEIGHTS).exists():
            raise ModelError(f"{model_path} is a LoRA adapter, not a base model; add --use_lora")
        elif (Path(model_path) / PROGRESS_CONFIG).exists():  # a merged model (`python -m train.merge`)
            progress_config = ProgressConfig.read(model_path)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = _resolve_dtype(torch_dtype, device)
        quantization = _four_bits(device, dtype) if load_in_4bit else {}
        model, tokenizer, image_processor = _load_base(base_name, dtype, min_pixels, max_pixels, **quantization)
        if not load_in_4bit:  # bitsandbytes has put it on the GPU already
            model.to(device)
        base = cls(model.eval(), tokenizer, image_processor, base_name, progress_config)
        return base.with_adapter(model_path, progress_config) if use_lora else base

    def with_adapter(self, folder: str | Path, progress_config: ProgressConfig | None = None) -> ProgressModel:
        """Return this base with the adapter of a folder on it; its pixel budget stays as loaded.

        PEFT puts its layers into the base's own modules: `model.unload()` gives the base back.
        """
        from peft import PeftModel

        model = PeftModel.from_pretrained(self.model, str(folder)).to(self.device).eval()
        config = progress_config or ProgressConfig.read(folder)
        return ProgressModel(model, self.tokenizer, self.image_processor, self.base_name, config)

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

    @contextmanager
    def adapter_switch(self, enabled: bool):
        """Answer as the base model inside the block when `enabled` is False; vision features stay valid."""
        with nullcontext() if enabled or not self.has_adapter else self.model.disable_adapter():
            yield

    @torch.no_grad()
    def encode_frames(self, frames: np.ndarray, batch_size: int = 16) -> list[FrameFeatures]:
        """Run the vision tower on RGB uint8 frames, shape (T, H, W, 3); features stay on the model's device."""
        features = []
        for start in range(0, len(frames), batch_size):
            pixels = self.preprocess(frames[start : start + batch_size])
            features += self.encode_pixels(pixels["pixel_values"], pixels["image_grid_thw"])
        return features

    def preprocess(self, frames: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Resize and normalise frames: `pixel_values` (patches, patch_dim) and `image_grid_thw` (T, 3)."""
        return dict(self.image_processor(images=list(frames), return_tensors="pt"))

    def encode_pixels(self, pixel_values: torch.Tensor, image_grid_thw: torch.Tensor) -> list[FrameFeatures]:
        """Run the vision tower on preprocessed images; gradients flow when they are enabled."""
        output = self.base.get_image_features(pixel_values.to(self.device), image_grid_thw.to(self.device))
        grids = [tuple(grid) for grid in image_grid_thw.tolist()]
        return [
            FrameFeatures(embedding, tuple(layer[index] for layer in output.deepstack_features), grids[index])
            for index, embedding in enumerate(output.pooler_output)
        ]

    def build_inputs(
        self,
        windows: Sequence[Sequence[FrameFeatures]],
        prompts: Sequence[str],
        completions: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Put windows and texts together to the model's keyword arguments, padded on the left.

        Args:
            windows: Per sample the features of its frames, oldest first.
            prompts: Per sample the question.
            completions: Per sample the answer to learn; None for inference.

        Returns:
            `input_ids`, `attention_mask`, `mm_token_type_ids` (batch, length), `image_grid_thw` (images, 3),
            `mm_encoder_outputs`, and with completions `labels` (batch, length): -100 everywhere but the answer.
        """
        rows, answer_lengths = [], []
        for number, (window, prompt) in enumerate(zip(windows, prompts, strict=True)):
            row = self._expand_images(self._tokenize_prompt(prompt, len(window)), window)
            answer = [] if completions is None else self._tokenize_completion(completions[number])
            rows.append(row + answer)
            answer_lengths.append(len(answer))
        length = max(len(row) for row in rows)
        input_ids = torch.full((len(rows), length), self.tokenizer.pad_token_id, dtype=torch.long)
        attention_mask = torch.zeros_like(input_ids)
        labels = torch.full_like(input_ids, -100)
        for index, (row, answer_length) in enumerate(zip(rows, answer_lengths, strict=True)):
            input_ids[index, length - len(row) :] = torch.tensor(row)
            attention_mask[index, length - len(row) :] = 1
            if answer_length:
                labels[index, length - answer_length :] = input_ids[index, length - answer_length :]
        images = [frame for window in windows for frame in window]
        inputs = {
            "input_ids": input_ids.to(self.device),
            "attention_mask": attention_mask.to(self.device),
            "mm_token_type_ids": (input_ids == self.image_token_id).long().to(self.device),
            "image_grid_thw": torch.tensor([frame.grid_thw for frame in images], device=self.device),
            "mm_encoder_outputs": {
                "image": BaseModelOutputWithDeepstackFeatures(
                    pooler_output=[frame.embedding for frame in images],
                    deepstack_features=[list(layers) for layers in zip(*(f.deepstack for f in images), strict=True)],
                )
            },
        }
        if completions is not None:
            inputs["labels"] = labels.to(self.device)
        return inputs

    def sample_length(self, prompt: str, completion: str, image_tokens: Sequence[int]) -> int:
        """Return the tokens of one training sample: prompt, answer and, per image of its window, its visual tokens."""
        text = len(self._tokenize_prompt(prompt, len(image_tokens))) - len(image_tokens)
        return text + sum(image_tokens) + len(self._tokenize_completion(completion))

    def _tokenize_prompt(self, prompt: str, num_images: int) -> list[int]:
        """Render one user turn (images, then text) and open the assistant's; one image token per image."""
        key = (prompt, num_images)
        if key not in self._prompt_ids:
            for token in self.tokenizer.all_special_tokens:
                if token in prompt:
                    raise ModelError(f'the task text holds "{token}", a control token of the model; reword the task')
            content = [*({"type": "image"} for _ in range(num_images)), {"type": "text", "text": prompt}]
            text = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            if ids.count(self.image_token_id) != num_images:
                raise ModelError(f"the chat template of {self.base_name} does not place images; use a Qwen3-VL model")
            self._prompt_ids[key] = ids
        return self._prompt_ids[key]

    def _expand_images(self, prompt_ids: list[int], window: Sequence[FrameFeatures]) -> list[int]:
        """Repeat each image token once per visual token of its frame."""
        counts = iter([len(frame.embedding) for frame in window])
        return [
            token
            for prompt_token in prompt_ids
            for token in ([prompt_token] * next(counts) if prompt_token == self.image_token_id else [prompt_token])
        ]

    def _tokenize_completion(self, completion: str) -> list[int]:
        return [*self.tokenizer(completion, add_special_tokens=False)["input_ids"], self.end_token_id]


def resolve_model_name(name: str) -> str:
    """Return a loadable path or hub id: a relative folder is looked up here, then in this checkout."""
    in_checkout = Path(__file__).parents[1] / name
    if not Path(name).exists() and in_checkout.is_dir():
        return str(in_checkout)
    return name


def split_revision(name: str) -> tuple[str, str | None]:
    """Split `hub/id@revision` into id and revision; a folder, or an id without one, has none."""
    if "@" not in name or Path(name).exists():
        return name, None
    model_id, _, revision = name.rpartition("@")
    return model_id, revision


def _four_bits(device: str, dtype: torch.dtype) -> dict[str, Any]:
    """Return what `from_pretrained` needs for a base in 4 bits (NF4, double quantization, as in QLoRA)."""
    from importlib.util import find_spec

    if not device.startswith("cuda"):
        raise ModelError(f"load_in_4bit is set, but the device is {device}; 4 bits need an NVIDIA GPU, leave it out")
    if find_spec("bitsandbytes") is None:
        raise ModelError("load_in_4bit needs the package bitsandbytes; `pip install bitsandbytes`, or leave it out")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=["visual", "lm_head"],
    )
    return {"quantization_config": config, "device_map": {"": device}}


def _resolve_dtype(torch_dtype: str, device: str) -> torch.dtype:
    if torch_dtype == "auto":
        return torch.bfloat16 if device.startswith("cuda") and torch.cuda.is_bf16_supported() else torch.float32
    if torch_dtype not in _DTYPES:
        raise ModelError(f'torch_dtype "{torch_dtype}" is unknown; use auto, {", ".join(_DTYPES)}')
    return _DTYPES[torch_dtype]


def _base_of_adapter(adapter: str) -> str:
    path = Path(adapter) / ADAPTER_WEIGHTS
    if not path.exists():
        hint = (
            "it is a base model; leave --use_lora out"
            if (Path(adapter) / "config.json").exists()
            else "name the folder that `python -m train` wrote"
        )
        raise ModelError(f"{adapter} holds no LoRA adapter ({ADAPTER_WEIGHTS} is missing); {hint}")
    config = json.loads(path.read_text(encoding="utf-8"))
    base_name, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not base_name:
        raise ModelError(f"{path} names no base model; give one with --base_model")
    return f"{base_name}@{revision}" if revision else base_name


def _load_base(base_name: str, dtype: torch.dtype, min_pixels: int | None, max_pixels: int | None, **quantization: Any):
    name, revision = split_revision(base_name)
    revision = revision or "main"
    resolved = resolve_model_name(name)
    try:
        model = Qwen3VLForConditionalGeneration.from_pretrained(
            resolved, dtype=dtype, revision=revision, **quantization
        )
        tokenizer = AutoTokenizer.from_pretrained(resolved, revision=revision)
        image_processor = Qwen2VLImageProcessorPil.from_pretrained(resolved, revision=revision)
    except (OSError, ValueError) as error:
        detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f'base model "{base_name}" cannot be loaded ({detail}); give a folder with its weights, or a hub id '
            "while the network is up (adapters: --base_model overrides the base they name)"
        ) from error
    size = dict(image_processor.size)
    image_processor.size = {
        "shortest_edge": min_pixels or size["shortest_edge"],
        "longest_edge": max_pixels or size["longest_edge"],
    }
    tokenizer.padding_side = "left"
    return model, tokenizer, image_processor
