"""The operations of the diffusion transformer's layers, on any part of a sequence.

The operations of a layer are methods of `LayerOperations`, which can be compiled; `Attention` lies between them.
Shapes: ``B`` items, ``n`` tokens, ``H`` hidden size, ``D`` size of a head.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

BLOCK_TOKENS: Final = 256
"""Number of queries in one block of sliding-window attention."""
TOKEN_MULTIPLE: Final = 8
"""Matrix products on a CPU are fastest for a number of tokens that is a multiple of this."""


class LayerOperations:
    """The operations of one of diffusers' `AceStepTransformerBlock`, for `acestep.dit.denoiser.Denoiser`.

    Hidden states are ``(B, n, H)``; queries, keys and values are ``(B, n, heads, D)``. A method whose name begins with
    ``add_`` adds its result to its first argument in place.

    Attributes:
        window: number of tokens that self-attention sees on either side of a token; None is all tokens.
        key_heads: number of heads of keys and values.
    """

    def __init__(self, block: Any) -> None:
        self._block = block
        self.window: int | None = block.self_attn.sliding_window
        self.key_heads: int = block.self_attn.kv_heads

    def modulation(self, embedded_time: Tensor) -> list[Tensor]:
        """Return shift, scale and gate of self-attention, and then of the feed-forward network, each ``(1, 1, H)``."""
        return list((self._block.scale_shift_table + embedded_time).chunk(6, dim=1))

    def keys_values(
        self, hidden: Tensor, shift: Tensor, scale: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the keys and values of self-attention."""
        attention = self._block.self_attn
        normed = modulated_norm(hidden, self._block.self_attn_norm, shift, scale)
        keys = heads_norm(attention.to_k(normed), attention.norm_k)
        return apply_rotary(keys, cos, sin), attention.to_v(normed).view_as(keys)

    def queries(self, hidden: Tensor, shift: Tensor, scale: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Return the queries of self-attention."""
        attention = self._block.self_attn
        normed = modulated_norm(hidden, self._block.self_attn_norm, shift, scale)
        return apply_rotary(heads_norm(attention.to_q(normed), attention.norm_q), cos, sin)

    def add_self_attention(self, hidden: Tensor, attended: Tensor, gate: Tensor) -> None:
        """Add the output projection of self-attention; *attended* is ``(B, n, heads · D)``."""
        hidden.addcmul_(linear(self._block.self_attn.to_out[0], attended), gate)

    def cross_queries(self, hidden: Tensor) -> Tensor:
        """Return the queries of cross-attention."""
        attention = self._block.cross_attn
        normed = weighted_norm(hidden, self._block.cross_attn_norm)
        return heads_norm(attention.to_q(normed), attention.norm_q)

    def add_cross_attention(self, hidden: Tensor, attended: Tensor) -> None:
        """Add the output projection of cross-attention; *attended* is ``(B, n, heads · D)``."""
        hidden.add_(linear(self._block.cross_attn.to_out[0], attended))

    def add_feed_forward(self, hidden: Tensor, shift: Tensor, scale: Tensor, gate: Tensor) -> None:
        """Add the gated feed-forward network."""
        network = self._block.mlp
        normed = modulated_norm(hidden, self._block.mlp_norm, shift, scale)
        gated = silu(linear(network.gate_proj, normed), inplace=True).mul_(linear(network.up_proj, normed))
        hidden.addcmul_(linear(network.down_proj, gated), gate)

    def cross_keys_values(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values of cross-attention for an embedded condition ``(B, tokens, H)``."""
        attention = self._block.cross_attn
        keys = heads_norm(attention.to_k(condition), attention.norm_k)
        return keys, attention.to_v(condition).view_as(keys)

    def null_cross_attention(self, null: Tensor) -> Tensor:
        """Return what cross-attention adds to every token if the embedded condition is one token ``(1, 1, H)``.

        Attention over one token always returns its value.
        """
        attention = self._block.cross_attn
        _, values = self.cross_keys_values(null)
        out: Tensor = attention.to_out[0](values.repeat_interleave(attention.heads // attention.kv_heads, 2).flatten(2))
        return out


class Attention:
    """Scaled dot-product attention with a given backend; a kernel that cannot do it is an error."""

    def __init__(self, backend: str = "sdpa") -> None:
        """Choose the kernel: ``sdpa`` leaves it to torch; ``flash`` and ``eager`` (plain products) allow one."""
        self._backend = backend
        self._masks: dict[tuple[int, int, int, int], Tensor] = {}

    def sliding_window(self, queries: Tensor, keys: Tensor, values: Tensor, first: int, window: int | None) -> Tensor:
        """Attend within *window* tokens to either side, block by block; None is all tokens.

        Args:
            queries: queries of consecutive tokens.
            keys: keys of the whole sequence.
            values: values of the whole sequence.
            first: position of the first query in the sequence.
            window: number of tokens to either side.
        """
        tokens = keys.shape[1]
        if window is None or tokens <= window + 1:
            return self(queries, keys, values)
        blocks = []
        for start in range(first, first + queries.shape[1], BLOCK_TOKENS):
            end = min(start + BLOCK_TOKENS, first + queries.shape[1])
            low, high = max(0, start - window), min(tokens, end + window)
            relative = (start - low, end - low, high - low, window)
            mask = self._masks.get(relative)
            if mask is None:
                mask = self._masks[relative] = sliding_window_mask(*relative, queries.device)
            blocks.append(self(queries[:, start - first : end - first], keys[:, low:high], values[:, low:high], mask))
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1)

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from ``(B, n, heads, D)`` to ``(B or 1, m, key heads, D)``; return ``(B, n, heads · D)``."""
        batch, groups = len(queries), queries.shape[2] // keys.shape[2]
        query, key, value = (x.transpose(1, 2).expand(batch, -1, -1, -1) for x in (queries, keys, values))
        if mask is not None and query.device.type != "cpu" and groups > 1:
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        with self._allowed_kernels(mask is not None and query.device.type == "cuda"):
            out = scaled_dot_product_attention(query, key, value, mask, enable_gqa=key.shape[1] != query.shape[1])
        return out.transpose(1, 2).flatten(2)

    def _allowed_kernels(self, has_mask: bool) -> AbstractContextManager[None]:
        """Return a context that allows the backend's kernel.

        On CUDA, torch's flash attention takes no mask, so the memory-efficient kernel takes its place.
        """
        if self._backend == "sdpa":
            return nullcontext()
        if self._backend == "eager":
            return sdpa_kernel(SDPBackend.MATH)
        return sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION if has_mask else SDPBackend.FLASH_ATTENTION)


def sliding_window_mask(first: int, end: int, tokens: int, window: int, device: torch.device) -> Tensor:
    """Return which of *tokens* the queries *first* to *end* see within *window*, bool ``(end - first, tokens)``."""
    mask = torch.ones(end - first, tokens, dtype=torch.bool, device=device)
    return mask.triu_(first - window).tril_(first + window)


def rotary_tables(tokens: int, head_dim: int, theta: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosines ``(tokens, 1, D)`` and sines ``(tokens, 1, D / 2)`` in the device and dtype of *like*."""
    from diffusers.models.embeddings import get_1d_rotary_pos_embed

    positions = torch.arange(tokens, device=like.device, dtype=torch.float32)
    cos, sin = get_1d_rotary_pos_embed(head_dim, positions, theta=theta, use_real=True, repeat_interleave_real=False)
    return cos.unsqueeze(1).to(like.dtype), sin[:, : head_dim // 2].unsqueeze(1).to(like.dtype)


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate *x* ``(B, n, heads, D)``, whose two halves are the coordinates that are rotated together."""
    out = x * cos
    first, second = x.chunk(2, -1)
    out_first, out_second = out.chunk(2, -1)
    out_first.addcmul_(second, sin, value=-1)
    out_second.addcmul_(first, sin)
    return out


def linear(layer: Any, x: Tensor) -> Tensor:
    """Apply the linear *layer* to *x* ``(B, n, in)``; return ``(B, n, out)``.

    In float32 on a CPU the weight is the left factor, and the result is a transposed view. That is 5 to 10 % faster for
    about 1,000 tokens if their number is a multiple of `TOKEN_MULTIPLE`, and slower otherwise.
    """
    plain = type(layer) is nn.Linear and type(layer.weight) is nn.Parameter and layer.bias is None
    if not (plain and is_cpu_float32(x) and len(x) * x.shape[1] % TOKEN_MULTIPLE == 0):
        out: Tensor = layer(x)
        return out
    return torch.mm(layer.weight, x.flatten(0, 1).t()).t().view(*x.shape[:2], -1)


def is_cpu_float32(x: Tensor) -> bool:
    """Return whether *x* is float32 on a CPU."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def heads_norm(projected: Tensor, norm: Any) -> Tensor:
    """Split *projected* ``(B, n, heads · D)`` into heads and normalize each: ``(B, n, heads, D)``."""
    return weighted_norm(projected.view(*projected.shape[:-1], -1, norm.weight.shape[0]), norm)


def weighted_norm(x: Tensor, norm: Any) -> Tensor:
    """Apply the root-mean-square norm *norm* of diffusers."""
    return rms_norm(x, norm.weight.shape, norm.weight, norm.eps)


def modulated_norm(x: Tensor, norm: Any, shift: Tensor, scale: Tensor) -> Tensor:
    """Apply the root-mean-square norm *norm*, multiply by ``1 + scale`` and add *shift*.

    On a CPU in float32 this is faster than torch's own norm.
    """
    weight = norm.weight * (1 + scale.flatten())
    if not is_cpu_float32(x):
        return rms_norm(x, norm.weight.shape, weight, norm.eps).add_(shift)
    mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1])
    return torch.addcmul(shift, x * mean_square.add_(norm.eps).rsqrt_(), weight)
