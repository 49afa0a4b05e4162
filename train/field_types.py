"""Values of a recipe against the field types of a library's own configuration class: one line per wrong value.

Knows dataclasses and their type hints, by pydantic; does not know what a field means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

LOOSE = ConfigDict(arbitrary_types_allowed=True)


def check_types(section: str, values: Mapping[str, Any], config: type) -> dict[str, Any]:
    """Return the values in the types of the fields of `config`: "1e-4" becomes 0.0001 where a number belongs.

    Args:
        section: The section of the recipe, for messages.
        values: Field names of `config` and their values.
        config: A dataclass with type hints.

    Raises:
        ValueError: A value does not have the type of its field; the message names key, value and type.
    """
    hints = get_type_hints(config)
    return {key: _in_type(f"{section}.{key}", value, hints[key]) for key, value in values.items()}


def _in_type(key: str, value: Any, hint: Any) -> Any:
    alternatives = get_args(hint) or (hint,)
    if value is False and str in alternatives and bool not in alternatives:
        return "no"  # YAML reads the word no as false
    adapter: TypeAdapter[Any] = TypeAdapter(hint, config=LOOSE) if _takes_config(hint) else TypeAdapter(hint)
    try:
        if isinstance(value, bool) and bool not in alternatives:
            return adapter.validate_python(value, strict=True)  # else true would pass as 1
        return adapter.validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise ValueError(f"recipe: `{key}` is {value!r}, but {_readable(hint)} is needed ({reason})") from None


def _takes_config(hint: Any) -> bool:
    return not hasattr(hint, "__dataclass_fields__")


def _readable(hint: Any) -> str:
    names = [getattr(item, "__name__", str(item)) for item in get_args(hint) or (hint,) if item is not type(None)]
    return " or ".join(dict.fromkeys(names))
