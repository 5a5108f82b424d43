"""The operations of the diffusion transformer's layers, on any part of a sequence.

Each is a plain function of tensors, and the attention between them is apart: what is compiled, if anything, are these.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

BLOCK_TOKENS: Final = 256
"""Queries that attend together where a window hides the rest."""
COLUMNS: Final = 8
"""Tokens that a processor's matrix product takes at once."""


class LayerOperations:
    """One of diffusers' `AceStepTransformerBlock`, in the pieces that `acestep.dit.denoiser.Denoiser` puts together.

    Hidden states are ``[b, n, H]``, queries, keys and values ``[b, n, heads, head dim]``. What is called ``add_`` adds
    to its first argument, in place.

    Attributes:
        window: how far a token attends to either side; None is everywhere.
        key_heads: of keys and values.
    """

    def __init__(self, block: Any) -> None:
        self._block = block
        self.window: int | None = block.self_attn.sliding_window
        self.key_heads: int = block.self_attn.kv_heads

    def modulate(self, modulation: Tensor) -> list[Tensor]:
        """Shift, scale and gate before attention and before the products, each ``[1, 1, H]``."""
        return list((self._block.scale_shift_table + modulation).chunk(6, dim=1))

    def keys_values(
        self, hidden: Tensor, shift: Tensor, scale: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Keys and values of *hidden*."""
        attention = self._block.self_attn
        normed = modulated(hidden, self._block.self_attn_norm, shift, scale)
        keys = headwise(attention.to_k(normed), attention.norm_k)
        return rotated(keys, cos, sin), attention.to_v(normed).view_as(keys)

    def queries(self, hidden: Tensor, shift: Tensor, scale: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Queries of *hidden*."""
        attention = self._block.self_attn
        normed = modulated(hidden, self._block.self_attn_norm, shift, scale)
        return rotated(headwise(attention.to_q(normed), attention.norm_q), cos, sin)

    def add_attended(self, hidden: Tensor, attended: Tensor, gate: Tensor) -> None:
        """Add what self-attention brought, ``[b, n, heads · head dim]``."""
        hidden.addcmul_(multiplied(self._block.self_attn.to_out[0], attended), gate)

    def condition_queries(self, hidden: Tensor) -> Tensor:
        """Queries of *hidden* to the condition."""
        attention = self._block.cross_attn
        normed = normalised(hidden, self._block.cross_attn_norm)
        return headwise(attention.to_q(normed), attention.norm_q)

    def add_condition(self, hidden: Tensor, attended: Tensor) -> None:
        """Add what attention to the condition brought, ``[b, n, heads · head dim]``."""
        hidden.add_(multiplied(self._block.cross_attn.to_out[0], attended))

    def add_products(self, hidden: Tensor, shift: Tensor, scale: Tensor, gate: Tensor) -> None:
        """Add what the gated linear unit makes of *hidden*."""
        products = self._block.mlp
        normed = modulated(hidden, self._block.mlp_norm, shift, scale)
        gated = silu(multiplied(products.gate_proj, normed), inplace=True).mul_(multiplied(products.up_proj, normed))
        hidden.addcmul_(multiplied(products.down_proj, gated), gate)

    def condition(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of an embedded condition ``[b, E, H]``."""
        attention = self._block.cross_attn
        keys = headwise(attention.to_k(embedded), attention.norm_k)
        return keys, attention.to_v(embedded).view_as(keys)

    def without_condition(self, embedded: Tensor) -> Tensor:
        """What attention brings to every token if the whole condition is one token ``[1, 1, H]``: always its value."""
        attention = self._block.cross_attn
        _, values = self.condition(embedded)
        out: Tensor = attention.to_out[0](values.repeat_interleave(attention.heads // attention.kv_heads, 2).flatten(2))
        return out


class Attention:
    """Attends, with the backend that was asked for: a kernel that cannot do it is an error."""

    def __init__(self, backend: str = "sdpa") -> None:
        """``sdpa`` leaves the choice to torch; ``flash`` and ``eager`` (plain products) allow one kernel."""
        self._backend = backend
        self._masks: dict[tuple[int, int, int, int], Tensor] = {}

    def windowed(self, queries: Tensor, keys: Tensor, values: Tensor, first: int, window: int | None) -> Tensor:
        """What *queries*, from the token *first* of the sequence on, see of it within *window* to either side."""
        tokens = keys.shape[1]
        if window is None or tokens <= window + 1:
            return self(queries, keys, values)
        parts = []
        for start in range(first, first + queries.shape[1], BLOCK_TOKENS):
            end = min(start + BLOCK_TOKENS, first + queries.shape[1])
            low, high = max(0, start - window), min(tokens, end + window)
            place = (start - low, end - low, high - low, window)
            mask = self._masks.get(place)
            if mask is None:
                mask = self._masks[place] = near(*place, queries.device)
            parts.append(self(queries[:, start - first : end - first], keys[:, low:high], values[:, low:high], mask))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from ``[b, n, heads, D]`` to ``[b or 1, m, key heads, D]``: ``[b, n, heads · D]``."""
        batch, groups = len(queries), queries.shape[2] // keys.shape[2]
        query, key, value = (x.transpose(1, 2).expand(batch, -1, -1, -1) for x in (queries, keys, values))
        if mask is not None and query.device.type != "cpu" and groups > 1:
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        with self._kernels(mask is not None and query.device.type == "cuda"):
            out = scaled_dot_product_attention(query, key, value, mask, enable_gqa=key.shape[1] != query.shape[1])
        return out.transpose(1, 2).flatten(2)

    def _kernels(self, windowed: bool) -> AbstractContextManager[None]:
        """The kernels that may be used; CUDA's of flash attention takes no window, its memory-efficient kin does."""
        if self._backend == "sdpa":
            return nullcontext()
        if self._backend == "eager":
            return sdpa_kernel(SDPBackend.MATH)
        return sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION if windowed else SDPBackend.FLASH_ATTENTION)


def near(first: int, end: int, tokens: int, window: int, device: torch.device) -> Tensor:
    """Which of *tokens* the queries at places *first* to *end* see within *window*, bool ``[end - first, tokens]``."""
    everything = torch.ones(end - first, tokens, dtype=torch.bool, device=device)
    return everything.triu_(first - window).tril_(first + window)


def rotary_tables(tokens: int, head_dim: int, theta: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines ``[tokens, 1, head dim]`` and sines ``[tokens, 1, head dim / 2]``, where and as *like* is."""
    from diffusers.models.embeddings import get_1d_rotary_pos_embed

    places = torch.arange(tokens, device=like.device, dtype=torch.float32)
    cos, sin = get_1d_rotary_pos_embed(head_dim, places, theta=theta, use_real=True, repeat_interleave_real=False)
    return cos.unsqueeze(1).to(like.dtype), sin[:, : head_dim // 2].unsqueeze(1).to(like.dtype)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """*x* ``[b, n, heads, D]`` turned: its halves are the two coordinates."""
    out = x * cos
    first, second = x.chunk(2, -1)
    into_first, into_second = out.chunk(2, -1)
    into_first.addcmul_(second, sin, value=-1)
    into_second.addcmul_(first, sin)
    return out


def multiplied(layer: Any, x: Tensor) -> Tensor:
    """The linear *layer* of *x* ``[b, n, in]``: ``[b, n, out]``.

    In float32 on a processor the weight is the left factor, and what comes back a view of its columns: 5 to 10 % faster
    for about 1,000 tokens that are a multiple of `COLUMNS`, slower for others.
    """
    plain = type(layer) is nn.Linear and type(layer.weight) is nn.Parameter and layer.bias is None
    if not (plain and plain_floats(x) and len(x) * x.shape[1] % COLUMNS == 0):
        out: Tensor = layer(x)
        return out
    return torch.mm(layer.weight, x.flatten(0, 1).t()).t().view(*x.shape[:2], -1)


def plain_floats(x: Tensor) -> bool:
    """Whether *x* is float32 on a processor."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def headwise(projected: Tensor, norm: Any) -> Tensor:
    """*projected* ``[b, n, heads · D]`` as heads, each normalised: ``[b, n, heads, D]``."""
    return normalised(projected.view(*projected.shape[:-1], -1, norm.weight.shape[0]), norm)


def normalised(x: Tensor, norm: Any) -> Tensor:
    """*x* under a root-mean-square norm of diffusers."""
    return rms_norm(x, norm.weight.shape, norm.weight, norm.eps)


def modulated(x: Tensor, norm: Any, shift: Tensor, scale: Tensor) -> Tensor:
    """*x* under a norm and a scale (0 changes nothing), and shifted; on a processor faster than torch's norm."""
    weight = norm.weight * (1 + scale.flatten())
    if not plain_floats(x):
        return rms_norm(x, norm.weight.shape, weight, norm.eps).add_(shift)
    mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1])
    return torch.addcmul(shift, x * mean_square.add_(norm.eps).rsqrt_(), weight)
