"""The files of a base: its configuration, and a digest of its weights.

Knows the files that transformers reads; loads no model. Imports no torch unless the weights are in a `.bin` file.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from infer.model.errors import ModelError

FAMILY = "qwen3_vl"
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "added_tokens.json",
    "special_tokens_map.json", "chat_template.json", "chat_template.jinja",
)  # fmt: skip
IMAGE_FILES = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
SAMPLED_BLOCKS, BLOCK_LENGTH = 8, 512  # of each tensor that the digest reads
DIGEST_KIND = "sampled-1"  # in front of a digest: digests of two kinds cannot be compared


def resolve_model_name(name: str) -> str:
    """Return a loadable path or hub id: a relative folder is looked up here, then in this checkout."""
    in_checkout = Path(__file__).parents[2] / name
    if not Path(name).exists() and in_checkout.is_dir():
        return str(in_checkout)
    return name


def split_revision(name: str) -> tuple[str, str | None]:
    """Split `hub/id@revision` into id and revision; a folder, or an id without one, has none."""
    if "@" not in name or Path(name).exists():
        return name, None
    model_id, _, revision = name.rpartition("@")
    return model_id, revision


def base_folder(base_name: str) -> Path | None:
    """Return the folder with a base's files on this machine, the hub's cache included; None where there is none."""
    name, revision = split_revision(base_name)
    folder = Path(resolve_model_name(name))
    if folder.is_dir():
        return folder
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:  # a path of a folder that is not there
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def copy_base_files(base_name: str, output: Path, names: Sequence[str]) -> list[str]:
    """Copy files of a base, byte for byte, into a folder; return the names of those that it has.

    Of a base of the hub, those that are not in the cache are downloaded where the network is up.
    """
    folder = base_folder(base_name)
    name, revision = split_revision(base_name)
    if folder is not None and not Path(resolve_model_name(name)).is_dir():
        from huggingface_hub import snapshot_download

        with suppress(OSError, ValueError):  # no network: what the cache has
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(names)))
    if folder is None:
        return []
    found = [name for name in names if (folder / name).is_file()]
    for name in found:
        shutil.copyfile(folder / name, output / name)
    return found


def read_base_config(base_name: str) -> dict[str, Any] | None:
    """Return the content of a base's config.json; None where the base is not on this machine or has no such file.

    Raises:
        ModelError: The file is damaged.
    """
    folder = base_folder(base_name)
    path = folder / "config.json" if folder else None
    if path is None or not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error}); copy or download the base again") from None
    return document


def refuse_other_family(base_name: str) -> None:
    """Refuse a base that is no Qwen3-VL, before anything of it is built; one that is not on this machine passes."""
    config = read_base_config(base_name)
    family = config.get("model_type") if config is not None else FAMILY
    if family != FAMILY:
        raise ModelError(
            f'base model "{base_name}" is of the family {family or "(config.json names none)"}; only {FAMILY} can be '
            "used, for example Qwen/Qwen3-VL-2B-Instruct or ce-amtic/ProcVLM-2B"
        )


def refuse_other_weights(adapter: str | Path, trained_on: str | None, base_name: str) -> None:
    """Refuse a base whose weights are not those that an adapter was trained on; one that is not here yet passes.

    Args:
        adapter: The adapter folder.
        trained_on: Digest of the base's weights at training time; None where the adapter has none (version 0.1).
        base_name: The base that is to be used.
    """
    if trained_on is None or base_folder(base_name) is None:
        return
    here = base_digest(base_name)
    if here != trained_on:
        raise ModelError(
            f'adapter {adapter} was trained on other weights than those of "{base_name}" (digest {trained_on}, here '
            f"{here}); give the base that it was trained on with --base_model, or train it again on this one"
        )


def base_digest(base_name: str) -> str:
    """Return a digest of a base's weights: equal for the same weights, whatever the names and the form of the files.

    It covers the shape of every tensor and, of each, eight blocks of 512 values from its first to its last (all values
    of a small one). So any training of the weights changes it; an edit of a few single values between the blocks does
    not. Names, number of files, format and a number type that holds the same values (bfloat16 saved as float32) make
    no difference, nor does an output layer stored beside the embedding that it repeats. Tokenizer and configuration
    are not part of it. It reads about 10 MB of a base of 2 billion weights.

    Args:
        base_name: Folder, or hub id (with its `@revision`) that was downloaded already.

    Raises:
        ModelError: The weights are not on this machine or cannot be read.
    """
    folder = base_folder(base_name)
    index = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None) if folder else None
    if index is None:
        raise ModelError(
            f'base model "{base_name}" has no weights on this machine ({", ".join(WEIGHTS)}); give a folder with them, '
            "or download it: hf download NAME"
        )
    try:
        files = [index]
        if index.suffix == ".json":
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            files = [index.with_name(name) for name in sorted(set(shards))]
        tensors = {digest for path in files for digest in _tensor_digests(path)}
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise ModelError(
            f"the weights of {index.parent} cannot be read ({error}); copy or download them again"
        ) from None
    return f"{DIGEST_KIND}:{hashlib.sha256(b''.join(sorted(tensors))).hexdigest()[:32]}"


def _tensor_digests(path: Path) -> Iterator[bytes]:
    """Yield one digest per tensor of a weight file."""
    tensors = _bin_tensors(path) if path.suffix == ".bin" else _safetensors_tensors(path)
    for shape, values in tensors:
        digest = hashlib.sha256(json.dumps(shape).encode())
        starts = np.linspace(0, max(0, len(values) - BLOCK_LENGTH), SAMPLED_BLOCKS).astype(int)
        whole = len(values) <= SAMPLED_BLOCKS * BLOCK_LENGTH
        for block in [values] if whole else [values[start : start + BLOCK_LENGTH] for start in starts]:
            digest.update(_as_float32(block).tobytes())
        yield digest.digest()


def _safetensors_tensors(path: Path) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield shape and flat values of each tensor; bfloat16 comes as uint16. Nothing is read before it is used."""
    types = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > path.stat().st_size:
            raise ValueError("the file is cut off or is no safetensors file")
        header = json.loads(file.read(length))
    content = np.memmap(path, np.uint8, mode="r")
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        first, last = (8 + length + offset for offset in tensor["data_offsets"])
        if last > len(content):
            raise ValueError(f"{path.name} is cut off")
        yield tensor["shape"], content[first:last].view(types.get(tensor["dtype"], np.uint8))


def _bin_tensors(path: Path) -> Iterator[tuple[list[int], np.ndarray]]:
    import pickle

    import torch

    try:
        tensors = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    for tensor in tensors.values():
        flat = tensor.reshape(-1)
        yield list(tensor.shape), (flat.view(torch.uint16) if flat.dtype == torch.bfloat16 else flat).numpy()


def _as_float32(values: np.ndarray) -> np.ndarray:
    """Return values as float32, with bfloat16 (uint16) exactly; numbers of other kinds stay as they are."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32) if values.dtype.kind == "f" else values
