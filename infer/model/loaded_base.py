"""A base, loaded: model, tokenizer and image processor, from folder or hub. What does not fit is refused by name.

Knows transformers' loaders. Does not know adapters, videos or answers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import Any

from safetensors import SafetensorError
from transformers import AutoTokenizer, GenerationConfig, Qwen2VLImageProcessorPil, Qwen3VLForConditionalGeneration

from infer.model.base_files import (
    base_folder,
    refuse_other_family,
    resolve_model_name,
    split_revision,
)
from infer.model.errors import ModelError

CHAT_TEMPLATE = "chat_template.json"  # older folders have the template there, and nowhere else
OLDER_KEYS = {  # of weights that other programs wrote, and ours
    r"^(base_model\.(model\.)?|module\.|_orig_mod\.)+": "",
    r"^visual\.": "model.visual.",
    r"^model\.(?!language_model\.|visual\.)": "model.language_model.",
}
NAMED_KEYS = 3  # of those that are missing or too many, in the message


def load_base(base_name: str, options: Mapping[str, Any]) -> tuple[Qwen3VLForConditionalGeneration, Any]:
    """Return model and tokenizer of a base.

    The model's generation settings are its end and padding tokens only: answers are decoded by the settings of the
    caller, on every path alike, whatever the base's own sampling and penalties are.

    Args:
        base_name: Folder, or hub id with its `@revision`.
        options: More arguments of transformers' `from_pretrained`.

    Raises:
        ModelError: The base is not there, is of another family, or its weights are not those of its configuration.
    """
    where = _place(base_name)
    try:
        if base_folder(base_name) is None:  # the configuration first: it is small, and says what the weights are
            Qwen3VLForConditionalGeneration.config_class.get_config_dict(**where)
        refuse_other_family(base_name)
        with _no_report():
            model, report = Qwen3VLForConditionalGeneration.from_pretrained(
                **where, **options, key_mapping=OLDER_KEYS, ignore_mismatched_sizes=True, output_loading_info=True
            )
        refuse_other_keys(base_name, report)
        tokenizer = AutoTokenizer.from_pretrained(**where)
    except ModelError:
        raise
    except (OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise _cannot_load(base_name, error) from error
    if tokenizer.chat_template is None:
        tokenizer.chat_template = _template_of_its_own_file(base_name)
    tokenizer.padding_side = "left"
    model.generation_config = plain_generation(model, tokenizer)
    return model, tokenizer


def plain_generation(model: Qwen3VLForConditionalGeneration, tokenizer: Any) -> GenerationConfig:
    """Return generation settings with the base's end tokens and no sampling or penalty of its own."""
    ends = model.generation_config.eos_token_id
    ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    turn_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    return GenerationConfig(
        eos_token_id=list(dict.fromkeys([turn_end, *ends])), pad_token_id=tokenizer.pad_token_id, do_sample=False
    )


def refuse_other_keys(base_name: str, report: Mapping[str, Any]) -> None:
    """Refuse weights that are missing, too many or of another shape; transformers would make them up or drop them."""
    missing, extra = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    shapes = [f"{key} is {tuple(found)} and not {tuple(wanted)}" for key, found, wanted in report["mismatched_keys"]]
    problems = [
        f"{len(keys)} weights {what} ({', '.join(keys[:NAMED_KEYS])}{', ...' if len(keys) > NAMED_KEYS else ''})"
        for keys, what in (
            (missing, "are missing"), (sorted(shapes), "have another shape"), (extra, "belong to another model"),
        )
        if keys
    ]  # fmt: skip
    if problems:
        raise ModelError(
            f'base model "{base_name}" does not fit its config.json: {"; ".join(problems)}. Download or copy the whole '
            "folder again, or give the base in the form of the hub"
        )


def load_image_processor(
    base_name: str, min_pixels: int | None = None, max_pixels: int | None = None
) -> Qwen2VLImageProcessorPil:
    """Return the image processor of a base model, set to a pixel budget; None leaves the base's own."""
    try:
        processor = Qwen2VLImageProcessorPil.from_pretrained(**_place(base_name))
    except (OSError, ValueError) as error:
        raise _cannot_load(base_name, error) from error
    size = dict(processor.size)
    processor.size = {
        "shortest_edge": min_pixels or size["shortest_edge"],
        "longest_edge": max_pixels or size["longest_edge"],
    }
    return processor


def _place(base_name: str) -> dict[str, str]:
    name, revision = split_revision(base_name)
    return {"pretrained_model_name_or_path": resolve_model_name(name), "revision": revision or "main"}


def _template_of_its_own_file(base_name: str) -> str:
    """Return the chat template of chat_template.json; `AutoTokenizer` does not read it."""
    folder = base_folder(base_name)
    path = folder / CHAT_TEMPLATE if folder else None
    if path is None or not path.is_file():
        raise ModelError(
            f'base model "{base_name}" has no chat template (tokenizer_config.json, chat_template.jinja or '
            f"{CHAT_TEMPLATE}); take an -Instruct model, or copy its chat template"
        )
    return json.loads(path.read_text(encoding="utf-8"))["chat_template"]


@contextmanager
def _no_report() -> Iterator[None]:
    """Keep transformers' table of keys off the screen; what it says becomes one line of ours."""
    names = ("transformers.modeling_utils", "transformers.distributed.tensor_parallel")
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)


def _cannot_load(base_name: str, error: Exception) -> ModelError:
    detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelError(
        f'base model "{base_name}" cannot be loaded ({detail}); give a folder with its weights, or a hub id '
        "while the network is up (adapters: --base_model overrides the base they name)"
    )
