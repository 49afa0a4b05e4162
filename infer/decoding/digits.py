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

MIN_MASS = 1e-3  # branches less likely than this are left out, and the rest is normalised
MOST_BRANCHES = 64  # per place and answer
_CLASSES = "0123456789.%"  # what may come next; "%" stands for every way to end the number
_END = 11


@dataclass(frozen=True)
class PercentEstimate:
    """A percentage from probabilities.

    Args:
        mean: Probability-weighted mean, percent.
        std: Standard deviation, points; 0 when only the best branch was followed.
    """

    mean: float
    std: float


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


@dataclass
class _Branch:
    """The beginning of a number: its text, its probability, and the tree nodes (columns) that lead to it."""

    text: str
    mass: float
    path: tuple[int, ...] = ()


@dataclass
class _Tree:
    """The branches of one answer: those that still grow and the finished numbers with their masses."""

    growing: list[_Branch] = field(default_factory=lambda: [_Branch("", 1.0)])
    values: list[float] = field(default_factory=list)
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
                    self._finish(branch.text, mass)
                elif mass >= MIN_MASS:
                    children.append(_Branch(branch.text + _CLASSES[index], mass, branch.path))
        for child in [child for child in children if allowed_after(child.text) == [_END]]:
            self._finish(child.text, child.mass)
            children.remove(child)
        self.growing = sorted(children, key=lambda child: -child.mass)[:MOST_BRANCHES]

    def _finish(self, text: str, mass: float) -> None:
        self.values.append(float(text))
        self.masses.append(mass)

    def estimate(self) -> PercentEstimate:
        weights = np.array(self.masses) / sum(self.masses)
        values = np.array(self.values)
        mean = float(weights @ values)
        return PercentEstimate(mean, math.sqrt(max(0.0, float(weights @ (values - mean) ** 2))))


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
