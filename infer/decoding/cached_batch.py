"""A batch of questions in the model's key/value cache, to which tokens are appended, row by row or as trees.

Rejected tokens stay in the cache and are masked out; positions are given explicitly, so rows may keep different numbers
of tokens. Knows tokens and features; does not know how tokens are chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import pad
from transformers import DynamicCache

from infer.model.model import ProgressModel
from infer.model.transformers_internals import ENCODED_IMAGES
from infer.model.window_inputs import FrameFeatures


class CachedBatch:
    """Questions, one per row, to which tokens are appended.

    Args:
        model: Base or adapted model.
        windows: Per row the features of its frames, oldest first.
        prompts: Per row the question.
    """

    def __init__(
        self, model: ProgressModel, windows: Sequence[Sequence[FrameFeatures]], prompts: Sequence[str]
    ) -> None:
        self.model = model
        inputs = model.inputs.build(windows, prompts)
        self._question = {key: inputs[key] for key in ("input_ids", ENCODED_IMAGES)}  # until it is in the cache
        self._mask = inputs["attention_mask"]  # (rows, cached tokens): 1 for tokens that belong to the row
        rows = [model.inputs.positions(window, prompt) for window, prompt in zip(windows, prompts, strict=True)]
        self._question_positions = self._mask.new_zeros((3, *self._mask.shape))
        for row, positions in enumerate(rows):
            self._question_positions[:, row, self._mask.shape[1] - positions.shape[1] :] = positions
        self._next_position = torch.stack([positions.max() + 1 for positions in rows])  # (rows,)
        self._cache = DynamicCache(config=model.base.config.text_config)
        self._appended = 0  # columns of the last `append`

    @classmethod
    def merge(cls, batches: Sequence[CachedBatch]) -> CachedBatch:
        """Return one batch with the rows of several; each has had its first `append` and, after it, its `keep`."""
        if len(batches) == 1:
            return batches[0]
        merged = cls.__new__(cls)
        merged.model, merged._question, merged._appended = batches[0].model, {}, 0
        length = max(batch._mask.shape[1] for batch in batches)
        missing = [length - batch._mask.shape[1] for batch in batches]
        merged._mask = torch.cat([pad(b._mask, (gap, 0)) for b, gap in zip(batches, missing, strict=True)])
        merged._next_position = torch.cat([batch._next_position for batch in batches])
        merged._cache = DynamicCache(config=merged.model.base.config.text_config)
        for index, layers in enumerate(zip(*(batch._cache.layers for batch in batches), strict=True)):
            keys, values = (
                torch.cat(
                    [pad(getattr(layer, name), (0, 0, gap, 0)) for layer, gap in zip(layers, missing, strict=True)]
                )
                for name in ("keys", "values")
            )
            merged._cache.update(keys, values, index)
        return merged

    def append(self, tokens: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """Run the model over tokens that may follow each row; `keep` decides afterwards which of them stay.

        Args:
            tokens: Per row any number of tokens; at least one row needs one, except in the first call.

        Returns:
            Per row the last hidden states at these tokens, shape (len(tokens), hidden). The first call puts one more
            state in front: that of the question's last token.
        """
        first = bool(self._question)
        width = max(map(len, tokens))
        ids = self._mask.new_full((len(tokens), width), self.model.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, given in enumerate(tokens):
            if given:
                ids[row, : len(given)] = ids.new_tensor(given)
                mask[row, : len(given)] = 1
        positions = (self._next_position[:, None] + torch.arange(width, device=ids.device)).expand(3, -1, -1)
        self._mask = torch.cat([self._mask, mask], dim=1)
        self._appended = width
        hidden = self._forward(ids, positions, self._mask)
        counts = [len(given) + first for given in tokens]
        return [hidden[row, hidden.shape[1] - width - first :][:count] for row, count in enumerate(counts)]

    def append_tree(self, tokens: torch.Tensor, depths: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """Run the model over a tree of alternatives per row; each token attends to its own ancestors only.

        Args:
            tokens: int64, shape (rows, nodes).
            depths: Distance of each node from the row's end, shape (rows, nodes); 0 follows it directly.
            visible: bool, shape (rows, nodes, nodes of all calls so far and of this one): itself and its ancestors.

        Returns:
            Last hidden states, shape (rows, nodes, hidden).
        """
        num_nodes = tokens.shape[1]
        before = self._mask[:, None, :].bool().expand(-1, num_nodes, -1)
        allowed = torch.cat([before, visible], dim=2)[:, None]  # (rows, 1, nodes, cached tokens + nodes)
        dtype = self.model.base.dtype
        mask = torch.zeros(allowed.shape, dtype=dtype, device=tokens.device)
        mask.masked_fill_(~allowed, torch.finfo(dtype).min)
        positions = (self._next_position[:, None] + depths).expand(3, -1, -1)
        return self._forward(tokens, positions, mask)

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        inputs = {}
        if self._question:
            ids = torch.cat([self._question["input_ids"], ids], dim=1)
            positions = torch.cat([self._question_positions, positions], dim=2)
            inputs[ENCODED_IMAGES] = self._question[ENCODED_IMAGES]
            self._question = {}
        return self.model.base.model(
            input_ids=ids, position_ids=positions, attention_mask=mask, past_key_values=self._cache, use_cache=True,
            **inputs,
        ).last_hidden_state  # fmt: skip

    def keep(self, counts: Sequence[int], rows: Sequence[int]) -> None:
        """Keep the first `counts[row]` tokens of the last `append` in each row, and only `rows`, in this order.

        Args:
            counts: Per row before this call; 0 keeps none.
            rows: Row numbers before this call.
        """
        if len(rows) < len(counts):
            chosen = torch.tensor(rows, device=self._mask.device)
            self._cache.batch_select_indices(chosen)
            self._mask, self._next_position = self._mask[chosen], self._next_position[chosen]
        kept = [counts[row] for row in rows]
        surplus = self._appended - max(kept)
        if surplus:
            self._cache.crop(-surplus)
            self._mask = self._mask[:, :-surplus]
        start = self._mask.shape[1] - max(kept)
        for row, count in enumerate(kept):
            self._mask[row, start + count :] = 0
        self._next_position = self._next_position + torch.tensor(kept, device=self._mask.device)
