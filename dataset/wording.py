"""Wording: which texts are the same to a person.

Knows texts only. Models do see the difference: a question is asked with the text as it is written.
"""

from __future__ import annotations

import unicodedata


def plain_text(text: str) -> str:
    """Return a text as texts are compared: without case, extra white space, final full stop and ways to encode letters.

    "Put the cup down." and "put  the cup down" are the same text, and "e" with an accent is the same letter whether it
    is one character (NFC) or two (NFD).
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return " ".join(folded.split()).rstrip(". ")


def same_text(first: str, second: str) -> bool:
    """Return whether two texts are the same to a person."""
    return plain_text(first) == plain_text(second)


def differing_texts(first: str, second: str) -> str:
    """Return the beginning of a message about two texts that are the same to a person and not to the model."""
    letters = unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)
    how = "how its letters are encoded" if letters else "case, white space or full stop"
    return f'the task "{first}" differs in {how} only from "{second}",'
