"""Names of base models: a hub id, a hub id with its revision, or a folder. Imports no torch."""

from __future__ import annotations

from pathlib import Path


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
