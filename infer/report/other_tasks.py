"""Tasks for the shortcut test that asks about another task: texts that are far from all that the adapter learned.

Knows texts only. An adapter whose recipe trains wrong tasks has learned to answer these with 0 %; the test must ask
what it was never asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from dataset.wording import plain_text

COUNT = 3  # texts per report
POOL = (
    "Water the plants on the windowsill",
    "Zip up the jacket",
    "Stir the soup with a ladle",
    "Peel the banana",
    "Iron the shirt",
    "Plug the charger into the socket",
    "Sweep the crumbs off the floor",
    "Screw the bulb into the lamp",
    "Staple the sheets of paper",
    "Hang the picture on the nail",
    "Type a password on the keyboard",
    "Comb the doll's hair",
    "Tie the shoelaces",
    "Crack an egg into the pan",
    "Light the candle",
    "Wipe the window clean",
    "Cut the rope in two",
    "Slice the bread",
    "Insert the batteries into the remote control",
    "Wind the clock",
    "Unroll the carpet",
    "Seal the envelope",
    "Sharpen the pencil",
    "Whisk the cream",
)
_FILLER = frozenset(["a", "an", "and", "at", "from", "in", "into", "of", "off", "on", "onto", "out", "the", "to", "up"])


def draw_other_tasks(learned: Iterable[str], seed: int, count: int = COUNT) -> tuple[str, ...]:
    """Return texts of `POOL` that share as few words as possible with what was learned: none, wherever that leaves any.

    Args:
        learned: The tasks of the training demonstrations and of the held-out set, and the wrong tasks of the recipe.
        seed: Seed of the draw: that of the adapter's data.
        count: How many.
    """
    words = {word for text in learned for word in content_words(text)}
    drawn = np.random.default_rng(seed).permutation(len(POOL))
    nearest_last = sorted(drawn.tolist(), key=lambda place: len(content_words(POOL[place]) & words))
    return tuple(POOL[place] for place in nearest_last[:count])


def content_words(text: str) -> set[str]:
    """Return the words of a text without articles and prepositions."""
    return set(re.findall(r"\w+", plain_text(text))) - _FILLER
