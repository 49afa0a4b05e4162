"""Write docs/recipe.md from the recipe's dataclasses and their docstrings: python tests/recipe_reference.py

A test compares the file with what this program makes, so that no key is missing and no default is stale.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import fields
from typing import Any

from material import ROOT
from omegaconf import MISSING, OmegaConf

from dataset.recipe import DataSection
from dataset.samples import SamplingSpec
from dataset.window import WindowSpec
from train.configs import FORCED, TAKEN
from train.recipe import EvaluationSection, FeaturesSection, ImageSection, Recipe

PAGE = ROOT / "docs" / "recipe.md"
NESTED = {"data": DataSection, "image": ImageSection, "features": FeaturesSection, "evaluation": EvaluationSection}
SECTIONS = [
    ("", Recipe),
    ("data", DataSection),
    ("data.window", WindowSpec),
    ("data.sampling", SamplingSpec),
    *((name, section) for name, section in NESTED.items() if name != "data"),
]

HEAD = """\
# Recipe reference

A recipe is a YAML file; any key of it can be overridden on the command line:

    python -m train --config recipes/oneshot.yaml my.json data.window.size=4 lora.r=32

A key that does not exist or a value of the wrong type is refused by name, with the nearest key that does exist. The
recipe as it was used is saved beside the adapter (`recipe.yaml`). This page is made from the code:
`python tests/recipe_reference.py` writes it, and a test compares.
"""

TAIL = """\
## `lora`

The fields of [`peft.LoraConfig`](https://huggingface.co/docs/peft/package_reference/lora), untouched. Without
`target_modules` the attention of the language model learns (`q_proj, k_proj, v_proj, o_proj`). The bundled recipes set
{lora}.

## `sft`

The fields of [`trl.SFTConfig`](https://huggingface.co/docs/trl/sft_trainer#trl.SFTConfig), untouched; `output_dir` is
the adapter folder and must be set. A sample longer than `max_length` is an error before the first step; nothing is cut.
The bundled recipes set {sft}.

Not to be chosen, since Onetake prepares the frames itself: {forced}. {taken} follow from the section `evaluation`.
"""


def render() -> str:
    """Return the page."""
    parts = [HEAD]
    for name, section in SECTIONS:
        parts.append(f"## {f'`{name}`' if name else 'Top level'}\n\n{_summary(section)}\n")
        parts.append(_table(name, section))
    keys = {part: _keys_of_recipes(part) for part in ("lora", "sft")}
    parts.append(TAIL.format(**keys, forced=_listed(FORCED), taken=_listed(TAKEN)))
    return "\n".join(parts)


def described(section: type) -> dict[str, str]:
    """Return the text about every field, from the docstring's `Args:`; fields that share a line share the text."""
    text = inspect.cleandoc(section.__doc__ or "").split("Args:\n")[1]
    entries: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \w)", "\n" + text.split("\n\n")[0]):
        names, _, about = entry.strip().partition(":")
        entries |= dict.fromkeys(re.split(r",\s*", names.strip()), " ".join(about.split()))
    return entries


def _summary(section: type) -> str:
    return inspect.cleandoc(section.__doc__ or "").split("\n\nArgs:")[0]


def _table(name: str, section: type) -> str:
    rows = ["| key | default | what |", "|---|---|---|"]
    texts = described(section)
    for field in fields(section):
        key = f"{name}.{field.name}" if name else field.name
        rows.append(f"| `{key}` | {_default(field)} | {texts[field.name].replace('|', '/')} |")
    return "\n".join(rows) + "\n"


def _default(field: Any) -> str:
    value = field.default if field.default is not NO_DEFAULT else field.default_factory()
    if value == MISSING:
        return "required"
    if hasattr(value, "__dataclass_fields__"):
        return "see below"
    if value is None:
        return "none"
    return (
        f"`{OmegaConf.to_yaml(OmegaConf.create({'x': value})).removeprefix('x: ').strip()}`"
        if value != {}
        else "see below"
    )


def _keys_of_recipes(part: str) -> str:
    found: dict[str, None] = {}
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        found |= dict.fromkeys(OmegaConf.load(path)[part])
    return _listed(sorted(found))


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
