"""A base with the files of Qwen3-VL-2B-Instruct in every detail but the sizes, and the forms of it that people have.

The weights are random, so its answers are gibberish. The tokenizer has Qwen's pre-tokeniser and its merges across the
end of the percentage (`%</` is one token), as the real one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
ADDED = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",
    "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip
TEMPLATE = """\
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set image_count = namespace(value=0) %}
{%- for message in messages if message.role != 'system' %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.content is string %}
        {{- message.content }}
    {%- else %}
        {%- for content in message.content %}
            {%- if content.type == 'image' or 'image' in content or 'image_url' in content %}
                {%- set image_count.value = image_count.value + 1 %}
                {%- if add_vision_id %}Picture {{ image_count.value }}: {% endif -%}
                <|vision_start|><|image_pad|><|vision_end|>
            {%- elif 'text' in content %}
                {{- content.text }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
TEXTS = [
    'Given the recent observation and the task "Pick up the red puck", first infer the remaining atomic actions '
    "required to complete the task. Then estimate the current completion percentage and output it as a float wrapped "
    "by <progress> tags.\nThe following actions are required: \n1. Lift the red puck off the table\n"
    "2. Close the gripper\n"
    f"Therefore, the estimated progress is <progress>{number:.2f}%</progress>."
    for number in range(100)
]


def make_real_base(
    folder: Path,
    form: str = "hub",
    generation: Mapping[str, Any] | None = None,
    tokenizer_files: Path | None = None,
    seed: int = 0,
) -> str:
    """Write the base and return its path.

    Args:
        folder: Where to; it is made.
        form: "hub", "one file", "pytorch_model.bin" (with lm_head), "older keys", "saved by 4.57",
            "vocab and merges" (no tokenizer.json) or "template in its file" (in chat_template.json only).
        generation: Changes to generation_config.json.
        tokenizer_files: A folder with the real tokenizer.json and tokenizer_config.json, in place of the small one.
        seed: Seed of the weights.
    """
    folder.mkdir(parents=True)
    if tokenizer_files is None:
        tokenizer = json.loads(small_tokenizer())
        settings = tokenizer_config([*SPECIAL, *ADDED], len(tokenizer["model"]["vocab"]))
    else:
        tokenizer = json.loads((tokenizer_files / "tokenizer.json").read_text())
        settings = json.loads((tokenizer_files / "tokenizer_config.json").read_text()) | {"chat_template": TEMPLATE}
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    write = {
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": settings,
        "vocab.json": tokenizer["model"]["vocab"],
        "chat_template.json": {"chat_template": TEMPLATE},
        "config.json": model_config(ids),
        "preprocessor_config.json": {**IMAGES, "image_processor_type": "Qwen2VLImageProcessorFast"},
        "video_preprocessor_config.json": {**IMAGES, "video_processor_type": "Qwen3VLVideoProcessor"},
        "generation_config.json": {
            "bos_token_id": ids["<|endoftext|>"], "pad_token_id": ids["<|endoftext|>"], "do_sample": True,
            "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]], "top_p": 0.8, "top_k": 20, "temperature": 0.7,
            "repetition_penalty": 1.0, "transformers_version": "4.56.0", **(generation or {}),
        },
    }  # fmt: skip
    merges = "".join(f"{' '.join(pair)}\n" for pair in tokenizer["model"]["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + merges, encoding="utf-8")
    if form == "vocab and merges":
        del write["tokenizer.json"]
    if form in ("template in its file", "saved by 4.57"):
        del settings["chat_template"]
    if form == "saved by 4.57":
        del write["chat_template.json"]
        (folder / "chat_template.jinja").write_text(TEMPLATE)
        write["added_tokens.json"] = ids
        write["special_tokens_map.json"] = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
        write["config.json"] |= {"dtype": "bfloat16", "transformers_version": "4.57.6"}
        write["preprocessor_config.json"] |= SAVED_IMAGES
    for name, document in write.items():
        (folder / name).write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
    write_weights(folder, form, seed)
    return str(folder)


IMAGES = {
    "size": {"longest_edge": 16777216, "shortest_edge": 65536}, "patch_size": 16, "temporal_patch_size": 2,
    "merge_size": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "processor_class": "Qwen3VLProcessor",
}  # fmt: skip
SAVED_IMAGES = {  # what `save_pretrained` of 4.57 adds
    "crop_size": None, "data_format": "channels_first", "default_to_square": True, "device": None,
    "disable_grouping": None, "do_center_crop": None, "do_convert_rgb": True, "do_normalize": True, "do_pad": None,
    "do_rescale": True, "do_resize": True, "input_data_format": None, "max_pixels": None, "min_pixels": None,
    "pad_size": None, "resample": 3, "rescale_factor": 0.00392156862745098, "return_tensors": None,
}  # fmt: skip


def model_config(ids: Mapping[str, int]) -> dict[str, Any]:
    """Return config.json as the hub has it: names of transformers 4.57, a vocabulary larger than the tokenizer's."""
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "image_token_id": ids["<|image_pad|>"],
        "model_type": "qwen3_vl",
        "text_config": {
            "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": ids["<|endoftext|>"],
            "dtype": "bfloat16", "eos_token_id": ids["<|im_end|>"], "head_dim": 16, "hidden_act": "silu",
            "hidden_size": 32, "initializer_range": 0.02, "intermediate_size": 64, "max_position_embeddings": 262144,
            "model_type": "qwen3_vl_text", "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06, "rope_scaling": {
                "mrope_interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default",
            },
            "rope_theta": 5000000, "tie_word_embeddings": True, "use_cache": True, "vocab_size": max(ids.values()) + 27,
        },
        "tie_word_embeddings": True,
        "transformers_version": "4.57.0.dev0",
        "video_token_id": ids["<|video_pad|>"],
        "vision_config": {
            "deepstack_visual_indexes": [0, 1, 2], "depth": 4, "hidden_act": "gelu_pytorch_tanh", "hidden_size": 32,
            "in_channels": 3, "initializer_range": 0.02, "intermediate_size": 64, "model_type": "qwen3_vl",
            "num_heads": 2, "num_position_embeddings": 64, "out_hidden_size": 32, "patch_size": 16,
            "spatial_merge_size": 2, "temporal_patch_size": 2,
        },
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
    }  # fmt: skip


def tokenizer_config(added: list[str], first: int) -> dict[str, Any]:
    """Return tokenizer_config.json as the hub has it."""
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {
        "add_bos_token": False, "add_prefix_space": False,
        "added_tokens_decoder": {
            str(first + n): {"content": text, **flags, "special": text in SPECIAL} for n, text in enumerate(added)
        },
        "additional_special_tokens": list(SPECIAL[1:]), "bos_token": None, "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>", "errors": "replace",
        "model_max_length": 262144, "pad_token": "<|endoftext|>", "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
    }  # fmt: skip


@cache
def small_tokenizer() -> str:
    """Return the content of tokenizer.json of a byte-level BPE trained on prompts and answers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    from tokenizers import AddedToken

    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIAL])
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in ADDED])
    return tokenizer.to_str()


def write_weights(folder: Path, form: str, seed: int) -> None:
    """Write random bfloat16 weights: tied, so without lm_head, in two files; or in the form that is asked for."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    config = Qwen3VLConfig.from_pretrained(folder)
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(config).bfloat16()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(std=1.5 / weight.shape[-1] ** 0.5)
    tensors = {name: weight.contiguous() for name, weight in model.state_dict().items() if name != "lm_head.weight"}
    if form == "older keys":
        tensors = {older_key(name): weight for name, weight in tensors.items()}
    if form == "pytorch_model.bin":
        torch.save(
            {**tensors, "lm_head.weight": tensors["model.language_model.embed_tokens.weight"]},
            folder / "pytorch_model.bin",
        )
    elif form == "one file":
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    else:
        names, weight_map = sorted(tensors), {}
        for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), 1):
            file = f"model-0000{number}-of-00002.safetensors"
            save_file({name: tensors[name] for name in part}, folder / file, {"format": "pt"})
            weight_map |= dict.fromkeys(part, file)
        size = sum(weight.numel() * 2 for weight in tensors.values())
        index = {"metadata": {"total_size": size}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


def older_key(name: str) -> str:
    """Return the name that a weight has in older files."""
    return name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")


def rewrite_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Replace the weights of a base in one file by changed ones."""
    path = Path(folder) / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})
