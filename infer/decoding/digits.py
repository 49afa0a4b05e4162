"""The number inside the tag, from the model's probabilities instead of its greedy text.

A percentage is spelt digit by digit: 0 to 99 or 100, then up to two decimals, then the end of the tag. At each place
the model's distribution is restricted to what this grammar allows and normalised again. Following all branches gives
the distribution of the value (mean and standard deviation); following the best one gives a number where the model wrote
none. Knows digits and probabilities; does not know windows or records.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from infer.decoding.cached_batch import CachedBatch
from infer.decoding.greedy import logits_at_once, not_a_number
from infer.model.errors import ModelError

TOLERANCE = 1e-3  # points: a branch that could move the mean by less is closed in the middle of its interval
_CLASSES = "0123456789.%"  # what may come next; "%" stands for every way to end the number
_END = 11


@dataclass(frozen=True)
class PercentEstimate:
    """A percentage from probabilities.

    Args:
        mean: Probability-weighted mean, percent; within 0.3 points of the mean over all numbers (see `interval`).
        std: Standard deviation, points; 0 when only the best branch was followed.
        mass: Share of the probability whose numbers were followed to their end, 0 to 1; the rest was closed earlier.
    """

    mean: float
    std: float
    mass: float


class DigitTokens:
    """Which tokens of a vocabulary are digits, the decimal point or the end of a percentage."""

    def __init__(self, tokenizer) -> None:
        ids = list(range(len(tokenizer)))
        texts = tokenizer.batch_decode([[number] for number in ids])
        single = {text: number for number, text in zip(ids, texts, strict=True) if text in _CLASSES}
        missing = [character for character in _CLASSES[:_END] if character not in single]
        if missing:
            raise ModelError(
                f"the tokenizer has no token for {missing}, so numbers cannot be read digit by digit; use a Qwen3-VL "
                "tokenizer, or --readout text with a larger --max_new_tokens"
            )
        self.spelling = torch.tensor([single[character] for character in _CLASSES[:_END]])
        self.ending = torch.tensor([n for n, text in zip(ids, texts, strict=True) if text.lstrip()[:1] in ("%", "<")])

    def class_scores(self, logits: torch.Tensor) -> np.ndarray:
        """Return the log-probability of each of `_CLASSES`, float64, shape (nodes, 12), from (nodes, vocabulary)."""
        logits = logits.float()
        total = logits.logsumexp(-1, keepdim=True)
        ending = logits[:, self.ending].logsumexp(-1, keepdim=True)
        return (torch.cat([logits[:, self.spelling], ending], dim=1) - total).cpu().double().numpy()


def allowed_after(text: str) -> list[int]:
    """Return the indices into `_CLASSES` that may follow the beginning of a percentage."""
    whole, point, decimals = text.partition(".")
    digits = [0] if whole == "100" else list(range(10))
    if not whole:
        return digits
    if point:
        return (digits if len(decimals) < 2 else []) + ([_END] if decimals else [])
    if whole in ("0", "100"):
        return [10, _END]
    if whole == "10":
        return [0, 10, _END]
    return [*digits, 10, _END] if len(whole) == 1 else [10, _END]


def interval(text: str) -> tuple[float, float]:
    """Return the least and the largest percentage that the beginning of one can become.

    The mean of a branch lies in it, so that closing the branch in the middle moves the mean of all numbers by at most
    half its width times its probability. Of one digit: 11 branches, of two digits or a digit and a point: 101, of three
    characters: 101 that are one point wide; each of these is closed below `TOLERANCE`. What is left is a tenth of a
    point wide.
    """
    whole, point, decimals = text.partition(".")
    low = float(text if decimals else whole)
    one_digit = not point and len(whole) == 1 and whole != "0"  # 4 to 50
    high = 10.0 * low + 10.0 if one_digit else low + 10.0 ** -len(decimals)
    return low, 100.0 if text == "10" else min(high, 100.0)


@dataclass
class _Branch:
    """The beginning of a number: its text, its probability, and the tree nodes (columns) that lead to it."""

    text: str
    mass: float
    path: tuple[int, ...] = ()


@dataclass
class _Tree:
    """The branches of one answer: those that still grow, and those that ended as numbers or intervals, with masses."""

    growing: list[_Branch] = field(default_factory=lambda: [_Branch("", 1.0)])
    ends: list[tuple[float, float]] = field(default_factory=list)  # least and largest value
    masses: list[float] = field(default_factory=list)

    def grow(self, scores: np.ndarray, best_only: bool) -> None:
        """Replace each growing branch by its children; scores are log-probabilities, shape (branches, 12)."""
        children = []
        for branch, row in zip(self.growing, scores, strict=True):
            allowed = allowed_after(branch.text)
            shares = np.exp(row[allowed] - row[allowed].max())
            shares /= shares.sum()
            options = list(zip(allowed, shares, strict=True))
            if best_only:
                options = [max(options, key=lambda option: option[1])]
            for index, share in options:
                mass = branch.mass * (1.0 if best_only else float(share))
                if index == _END:
                    self._finish(float(branch.text), float(branch.text), mass)
                    continue
                text = branch.text + _CLASSES[index]
                low, high = interval(text)
                if allowed_after(text) == [_END]:
                    self._finish(float(text), float(text), mass)
                elif not best_only and mass * (high - low) / 2 < TOLERANCE:
                    self._finish(low, high, mass)
                else:
                    children.append(_Branch(text, mass, branch.path))
        self.growing = children

    def _finish(self, low: float, high: float, mass: float) -> None:
        self.ends.append((low, high))
        self.masses.append(mass)

    def estimate(self) -> PercentEstimate:
        masses, (low, high) = np.array(self.masses), np.array(self.ends).T
        weights, middle = masses / masses.sum(), (low + high) / 2
        mean = float(weights @ middle)
        variance = float(weights @ ((middle - mean) ** 2 + (high - low) ** 2 / 12))
        return PercentEstimate(mean, math.sqrt(max(0.0, variance)), min(1.0, float(weights[low == high].sum())))


@torch.no_grad()
def read_digits(
    batch: CachedBatch, openings: Sequence[Sequence[int]], tokens: DigitTokens, best_only: bool
) -> list[PercentEstimate]:
    """Return the percentage that the model would write behind each opening.

    Args:
        batch: The questions, nothing appended yet.
        openings: Per row the tokens of the answer up to and including the tag.
        tokens: The vocabulary's digits.
        best_only: Follow the best branch only.
    """
    model = batch.model
    if any(model.inputs.image_token_id in opening for opening in openings):  # the model's own text, no frame
        batch.append([()] * len(openings))
        batch.keep([0] * len(openings), range(len(openings)))
    states = torch.stack([hidden[-1] for hidden in batch.append(openings)])  # (nodes, hidden)
    batch.keep([len(opening) for opening in openings], range(len(openings)))
    trees = [_Tree() for _ in openings]
    columns, depth = 0, 0  # tree nodes per row that are in the cache
    while True:
        parts = [tokens.class_scores(model.base.lm_head(part)) for part in states.split(logits_at_once(model))]
        if not all(np.isfinite(part).all() for part in parts):
            raise ModelError(not_a_number(model))
        scores = iter(np.concatenate(parts))
        for tree in trees:
            if tree.growing:
                tree.grow(np.stack([next(scores) for _ in tree.growing]), best_only)
        width = max(len(tree.growing) for tree in trees)
        if width == 0:
            return [tree.estimate() for tree in trees]
        ids = torch.zeros((len(trees), width), dtype=torch.long)
        visible = torch.zeros((len(trees), width, columns + width), dtype=torch.bool)
        for row, tree in enumerate(trees):
            for node, branch in enumerate(tree.growing):
                branch.path = (*branch.path, columns + node)
                ids[row, node] = tokens.spelling[_CLASSES.index(branch.text[-1])]
                visible[row, node, list(branch.path)] = True
        hidden = batch.append_tree(
            ids.to(model.device), torch.full_like(ids, depth).to(model.device), visible.to(model.device)
        )
        columns, depth = columns + width, depth + 1
        states = torch.cat([hidden[row, : len(tree.growing)] for row, tree in enumerate(trees)])
