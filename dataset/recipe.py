"""The `data` section of a recipe: which demonstrations, which windows, which samples.

Knows OmegaConf and the types of this package; does not know models or training. `train.recipe` contains it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from dataset.inputs import find_annotations
from dataset.labels import Labels
from dataset.samples import SamplingSpec
from dataset.video import Backend
from dataset.window import WindowSpec

Section = TypeVar("Section")
DEFAULT_WINDOW = {"size": 8, "rate_hz": 6.25}  # of `python -m dataset` without a recipe
CHECKOUT = Path(__file__).resolve().parents[1]  # where recipes/ is, unless the package was installed without it
REMOVED = {  # keys of version 0.1
    "data.samples": "samples are made from data.annotations",
    "data.sampling.window_jitter": "no recipe used it",
    "data.sampling.balance_stages": "no recipe used it",
    "data.sampling.cameras": "samples are made from the main camera",
}


@dataclass(frozen=True)
class DataSection:
    """Where samples come from.

    Args:
        annotations: Annotation files, folders and globs; the recipe in an adapter folder names the files.
        window: Which frames accompany the current one; every recipe sets it.
        sampling: Which samples a demonstration gives.
        labels: How progress is interpolated inside a stage: "linear" (time) or "visual" (change in the picture).
        video_backend: Library that decodes videos: "pyav" (exact), "decord" (refuses files that it reads wrongly) or
            "auto" (the faster one: PyAV).
    """

    annotations: tuple[str, ...] = ()
    window: WindowSpec = MISSING
    sampling: SamplingSpec = field(default_factory=SamplingSpec)
    labels: Labels = "linear"
    video_backend: Backend = "pyav"


def read_data_section(path: str | Path | None, overrides: Sequence[str] = ()) -> DataSection:
    """Read the `data` section of a recipe with `data.key=value` overrides; defaults where there is no recipe."""
    document = load_document(path, overrides)
    name_annotations(document, "data")
    values = document.get("data") or OmegaConf.create()
    if path is None:
        values = OmegaConf.merge({"window": DEFAULT_WINDOW}, values)
    return build(DataSection, values, "data.")


def load_document(path: str | Path | None, overrides: Sequence[str] = ()) -> DictConfig:
    """Read a YAML file and apply `key.sub=value` overrides.

    Raises:
        ValueError: The file is missing or no YAML mapping, or an override is malformed.
    """
    try:
        document = OmegaConf.load(find_recipe(path)) if path is not None else OmegaConf.create()
        if not isinstance(document, DictConfig):
            raise ValueError("a list")
    except FileNotFoundError:
        raise ValueError(f"recipe {path}: no such file; recipes are in recipes/*.yaml") from None
    except yaml.YAMLError as error:
        raise ValueError(f"recipe {path}: no valid YAML ({error})") from None
    except (OmegaConfBaseException, OSError, TypeError, ValueError) as error:
        raise ValueError(f"recipe {path}: cannot be read ({error}); it must be a YAML file of keys") from None
    for override in overrides:
        document = _with_override(document, override)
    return document


def find_recipe(path: str | Path) -> Path:
    """Return the path of a recipe: as it is named, else in the checkout, where `oneshot` is recipes/oneshot.yaml."""
    given = Path(path)
    candidates = [given, CHECKOUT / given, CHECKOUT / "recipes" / f"{given.name}.yaml"]
    return next((candidate for candidate in candidates if candidate.is_file()), given)


def _with_override(document: DictConfig, override: str) -> DictConfig:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ValueError(f'"{override}" is no override; write key=value, for example lora.r=32')
    try:
        change = OmegaConf.from_dotlist([override])
        items = OmegaConf.select(change, key)
        if isinstance(items, ListConfig) and any(isinstance(item, DictConfig) for item in items):
            raise ValueError("a text with a colon is read as a mapping")
        return cast(DictConfig, OmegaConf.merge(document, change))
    except (yaml.YAMLError, OmegaConfBaseException, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f'override "{override}": the value cannot be read ({reason}); put text with a colon or a bracket, '
            f"or with a * at its start, in quotes, for example '{key}=\"{value}\"'"
        ) from None


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the words of a command line into what is named and `key=value` overrides; an existing file is no override.

    Returns:
        The names (files, folders, globs), and the overrides.
    """
    overrides = [word for word in words if re.match(r"[A-Za-z_][\w.]*=", word) and not Path(word).exists()]
    names = [word for word in words if word not in overrides]
    return names, overrides


def name_annotations(document: DictConfig, *sections: str) -> None:
    """Replace the `annotations` of sections by the files that they stand for: folders and globs by what is in them.

    Raises:
        ValueError: A folder holds no annotation, or a glob matches nothing.
    """
    for name in sections:
        named = OmegaConf.select(document, f"{name}.annotations", throw_on_missing=False)
        if isinstance(named, str) or (isinstance(named, ListConfig) and all(isinstance(item, str) for item in named)):
            document[name].annotations = [str(path) for path in find_annotations(named)]


def build(section: type[Section], values: Any, prefix: str = "") -> Section:
    """Build a dataclass from YAML values; a wrong key or type is refused by its full name, with a suggestion."""
    fields_of_section = OmegaConf.structured(section)
    for key in values:
        inner = key in fields_of_section and OmegaConf.get_type(fields_of_section, key)
        if is_dataclass(inner) and not isinstance(values[key], DictConfig):
            raise ValueError(f"recipe: `{prefix}{key}` cannot have this value: {values[key]!r} is no section with keys")
    try:
        return cast(Section, OmegaConf.to_object(OmegaConf.merge(fields_of_section, values)))
    except ConfigKeyError as error:
        raise ValueError(unknown_key(f"{prefix}{error.full_key}", error.key, _keys_beside(section, error))) from None
    except MissingMandatoryValue as error:
        raise ValueError(f"recipe: the key `{prefix}{error.full_key}` is missing; give it a value") from None
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"recipe: `{prefix}{error.full_key}` cannot have this value: {reason}") from None


def unknown_key(full_key: str, key: Any, known: Iterable[str]) -> str:
    """Return the error message for a key that a recipe cannot hold, with the nearest key that it can."""
    if full_key in REMOVED:
        return f"recipe: the key `{full_key}` was removed ({REMOVED[full_key]}); leave it out"
    known = sorted(known)
    near = difflib.get_close_matches(str(key), known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known keys here: {', '.join(known)}"
    return f"recipe: unknown key `{full_key}`; {hint}"


def _keys_beside(section: type, error: ConfigKeyError) -> list[str]:
    parent = error.object_type if is_dataclass(error.object_type) else section
    return [item.name for item in fields(parent)]
