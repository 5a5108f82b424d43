"""Attention heads that are too narrow for vLLM's kernels, and the wider ones that compute the same."""

from __future__ import annotations

from math import sqrt
from typing import Final

import torch
from torch import Tensor

NARROWEST: Final = 32
"""Channels of the narrowest head that vLLM runs; those of tiny checkpoints are narrower."""


def wider_head(head_dim: int) -> int:
    """The head dimension that vLLM runs for *head_dim*: it, doubled until it is wide enough."""
    while head_dim < NARROWEST:
        head_dim *= 2
    return head_dim


def widen(tensors: dict[str, Tensor], head_dim: int) -> dict[str, Tensor]:
    """Qwen3 weights that compute the same with wider heads (`wider_head`), whose new channels are 0.

    With heads r times as wide, channel i of either half goes to channel r·i, which rotary embedding turns at the same
    speed. Twice what is in the projections and the keys' norm keeps both norms and the attention's scale as they were:
    √r in the projections makes up for the mean over r times as many channels, 1/√r in the keys' norm for the product.
    """
    wide = wider_head(head_dim)
    ratio = wide // head_dim
    half = torch.arange(head_dim // 2) * ratio
    place = torch.cat((half, half + wide // 2))

    def spread(tensor: Tensor, factor: float) -> Tensor:
        """Heads along the first dimension, each spread over its wider place."""
        heads = tensor.view(-1, head_dim, *tensor.shape[1:])
        wider = heads.new_zeros(len(heads), wide, *tensor.shape[1:])
        wider[:, place] = heads * factor
        return wider.flatten(0, 1)

    factors = {"q_proj": sqrt(ratio), "k_proj": sqrt(ratio), "v_proj": 1.0, "q_norm": 1.0, "k_norm": 1 / sqrt(ratio)}
    widened = dict(tensors)
    for key, tensor in tensors.items():
        part = key.split(".")[-2]
        if part in factors:
            widened[key] = spread(tensor, factors[part])
        elif part == "o_proj":
            widened[key] = spread(tensor.t().contiguous(), 1.0).t()
    return widened
