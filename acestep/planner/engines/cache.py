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

    def _per_row(self, table: Tensor) -> Tensor:
        if not any(self.starts):
            return table[:, None, None]
        shifted = torch.stack([table.roll(start, 0) for start in self.starts], 1)
        return shifted.repeat_interleave(self.samples, 1)[:, :, None]
