"""Keys and values of what a decoder has read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from acestep.planner.engines.decoder import Decoder


class Cache:
    """Keys and values of G prompts, each continued by N samples: G·N rows, all samples of a prompt together.

    Prompts of different length are aligned at their end, so that all rows write the same slot at every step.

    Attributes:
        keys, values: one ``[G·N, kv heads, slots, head dim]`` a layer.
        starts, used: first slot of each prompt, and the next one to be written.
        cos, sin: rotary tables ``[slots, G·N or 1, 1, head dim]`` at each row's own positions.
        mask: ``[G·N, 1, 1, slots]``, True from a row's first slot on; None where all rows start at slot 0.
    """

    def __init__(self, decoder: Decoder, lengths: list[int], samples: int, new_tokens: int) -> None:
        """Room for prompts of *lengths* tokens and *new_tokens* more."""
        slots, rows = max(lengths) + new_tokens, len(lengths) * samples
        shape = (decoder.layers, rows, decoder.kv_heads, slots, decoder.head_dim)
        self.keys = torch.zeros(shape, device=decoder.device, dtype=decoder.dtype).unbind()
        self.values = torch.zeros(shape, device=decoder.device, dtype=decoder.dtype).unbind()
        self.samples = samples
        self.starts = [max(lengths) - length for length in lengths]
        self.used = list(self.starts)
        self.mask: Tensor | None = None
        self.cos, self.sin = (self._per_row(table) for table in decoder.rotary_tables(slots))
        if any(self.starts):
            begins = torch.tensor(self.starts).repeat_interleave(samples)
            self.mask = (torch.arange(slots) >= begins[:, None])[:, None, None].to(decoder.device)

    def adopt(self, other: Cache, tokens: int) -> None:
        """Take the first *tokens* of the first prompt of *other* for all samples of the own first prompt."""
        rows, first, theirs = slice(self.samples), self.starts[0], other.starts[0]
        for mine, given in zip(self.keys + self.values, other.keys + other.values, strict=True):
            mine[rows, :, first : first + tokens] = given[:1, :, theirs : theirs + tokens]
        self.used[0] = first + tokens

    def advance(self) -> None:
        """All rows have written one more slot."""
        self.used = [self.used[0] + 1] * len(self.used)

    def _per_row(self, table: Tensor) -> Tensor:
        if not any(self.starts):
            return table[:, None, None]
        shifted = torch.stack([table.roll(start, 0) for start in self.starts], 1)
        return shifted.repeat_interleave(self.samples, 1)[:, :, None]


class Slot:
    """The next slot of all rows of *cache*: where a step writes, and what it sees.

    Attributes:
        cos, sin: rotary tables ``[G·N or 1, 1, head dim]`` of the slot.
        mask: over what `put` returns; None where every row sees all of it.
    """

    def __init__(self, cache: Cache) -> None:
        self._number = cache.used[0]
        self.cos, self.sin = cache.cos[self._number], cache.sin[self._number]
        self.mask = None if cache.mask is None else cache.mask[..., : self._number + 1]

    def put(self, layer: Tensor, new: Tensor) -> Tensor:
        """Write *new* ``[G·N, kv heads, head dim]`` into *layer*, one of the cache's keys or values; what is read."""
        layer[:, :, self._number] = new
        return layer[:, :, : self._number + 1]


class FixedSlot:
    """A `Slot` whose *number* ``[1]`` is on the device, so that no shape and no address depends on it."""

    def __init__(self, cache: Cache, number: Tensor) -> None:
        self._number = number
        self.cos, self.sin = (table.index_select(0, number)[0] for table in (cache.cos, cache.sin))
        written = torch.arange(len(cache.cos), device=number.device) <= number
        self.mask = written[None, None, None] if cache.mask is None else cache.mask & written

    def put(self, layer: Tensor, new: Tensor) -> Tensor:
        """Like `Slot.put`; all slots are read, those that `mask` leaves out in vain."""
        layer.index_copy_(2, self._number, new.unsqueeze(2))
        return layer
