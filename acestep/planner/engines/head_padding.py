"""Pads attention heads that are too narrow for vLLM's kernels, without changing what they compute.

Released planners have heads of 128 channels; tiny checkpoints, which tests and benchmarks use, have narrower ones.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

import torch
from torch import Tensor

MIN_HEAD_DIM: Final = 32
"""Smallest number of channels of a head that vLLM's kernels support."""


def padded_head_dim(head_dim: int) -> int:
    """The head dimension in vLLM: *head_dim*, doubled until it is at least `MIN_HEAD_DIM`."""
    while head_dim < MIN_HEAD_DIM:
        head_dim *= 2
    return head_dim


def pad_heads(tensors: dict[str, Tensor], head_dim: int) -> dict[str, Tensor]:
    """Qwen3 weights with heads of `padded_head_dim` channels that compute the same; the new channels are 0.

    If heads become r times as wide, channel i of either half becomes channel r·i, which has the same rotary frequency.
    Two factors keep the query and key norms and the attention's scale: √r in the query and key projections makes up for
    the norm's mean over r times as many channels, and 1/√r in the key norm makes up for the larger product.
    """
    padded = padded_head_dim(head_dim)
    ratio = padded // head_dim
    half = torch.arange(head_dim // 2) * ratio
    channels = torch.cat((half, half + padded // 2))

    def spread(tensor: Tensor, factor: float) -> Tensor:
        """Spread heads along the first dimension over their new channels."""
        heads = tensor.view(-1, head_dim, *tensor.shape[1:])
        wider = heads.new_zeros(len(heads), padded, *tensor.shape[1:])
        wider[:, channels] = heads * factor
        return wider.flatten(0, 1)

    factors = {"q_proj": sqrt(ratio), "k_proj": sqrt(ratio), "v_proj": 1.0, "q_norm": 1.0, "k_norm": 1 / sqrt(ratio)}
    result = dict(tensors)
    for key, tensor in tensors.items():
        module = key.split(".")[-2]
        if module in factors:
            result[key] = spread(tensor, factors[module])
        elif module == "o_proj":
            result[key] = spread(tensor.t().contiguous(), 1.0).t()
    return result
