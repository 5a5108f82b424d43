"""The key/value cache of the PyTorch engine."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CacheShape:
    """What a key/value cache must know of its model."""

    layers: int
    kv_heads: int
    head_dim: int
    device: torch.device
    dtype: torch.dtype


class Cache:
    """Keys and values of G prompts with N samples each: G·N rows, where all samples of a prompt are adjacent.

    Prompts of different length are aligned at their end, so that all rows write the same slot at every step.

    Attributes:
        keys, values: one tensor ``(G·N, kv heads, slots, head dim)`` for each layer.
        samples: N.
        starts: first slot of each prompt.
        used: number of slots before the next free one, for each prompt.
        cos, sin: rotary tables ``(slots, G·N or 1, 1, head dim)`` at each row's own positions.
        mask: ``(G·N, 1, 1, slots)``, True from a row's first slot on; None if all rows start at slot 0.
    """

    def __init__(
        self, shape: CacheShape, rotary_tables: tuple[Tensor, Tensor], lengths: list[int], samples: int
    ) -> None:
        """Allocate a cache for prompts of *lengths* tokens.

        Args:
            shape: the model's part of the shape.
            rotary_tables: cosines and sines ``(slots, head dim)``; prompts and new tokens share these slots.
            lengths: tokens of each prompt.
            samples: N.
        """
        slots, rows = len(rotary_tables[0]), len(lengths) * samples
        size = (shape.layers, rows, shape.kv_heads, slots, shape.head_dim)
        self.keys = torch.zeros(size, device=shape.device, dtype=shape.dtype).unbind()
        self.values = torch.zeros(size, device=shape.device, dtype=shape.dtype).unbind()
        self.samples = samples
        self.starts = [max(lengths) - length for length in lengths]
        self.used = list(self.starts)
        self.mask: Tensor | None = None
        self.cos, self.sin = (self._per_row(table) for table in rotary_tables)
        if any(self.starts):
            first_slots = torch.tensor(self.starts).repeat_interleave(samples)
            self.mask = (torch.arange(slots) >= first_slots[:, None])[:, None, None].to(shape.device)

    def copy_prefix(self, other: Cache, tokens: int) -> None:
        """Copy the first *tokens* of *other*'s first prompt to all samples of this cache's first prompt."""
        rows, first, others_first = slice(self.samples), self.starts[0], other.starts[0]
        for target, source in zip(self.keys + self.values, other.keys + other.values, strict=True):
            target[rows, :, first : first + tokens] = source[:1, :, others_first : others_first + tokens]
        self.used[0] = first + tokens

    def advance(self) -> None:
        """Count one more slot as written by all rows."""
        self.used = [self.used[0] + 1] * len(self.used)

    def _per_row(self, table: Tensor) -> Tensor:
        if not any(self.starts):
            return table[:, None, None]
        shifted = torch.stack([table.roll(start, 0) for start in self.starts], 1)
        return shifted.repeat_interleave(self.samples, 1)[:, :, None]


class Slot:
    """The next slot of a cache, which a decode step writes.

    Attributes:
        cos, sin: rotary tables ``(G·N or 1, 1, head dim)`` of the slot.
        mask: attention mask for the keys that `write` returns; None if every row attends to all of them.
    """

    def __init__(self, cache: Cache) -> None:
        self._index = cache.used[0]
        self.cos, self.sin = cache.cos[self._index], cache.sin[self._index]
        self.mask = None if cache.mask is None else cache.mask[..., : self._index + 1]

    def write(self, layer: Tensor, new: Tensor) -> Tensor:
        """Write *new* ``(G·N, kv heads, head dim)`` into *layer*, one layer's keys or values.

        Returns:
            The part of *layer* that is written so far.
        """
        layer[:, :, self._index] = new
        return layer[:, :, : self._index + 1]


class StaticSlot:
    """A `Slot` whose *index* ``(1,)`` is a tensor on the device, so that no shape and no address depends on it."""

    def __init__(self, cache: Cache, index: Tensor) -> None:
        self._index = index
        self.cos, self.sin = (table.index_select(0, index)[0] for table in (cache.cos, cache.sin))
        written = torch.arange(len(cache.cos), device=index.device) <= index
        self.mask = written[None, None, None] if cache.mask is None else cache.mask & written

    def write(self, layer: Tensor, new: Tensor) -> Tensor:
        """Write *new* as `Slot.write` does; returns the whole layer, whose masked slots are read and ignored."""
        layer.index_copy_(2, self._index, new.unsqueeze(2))
        return layer
