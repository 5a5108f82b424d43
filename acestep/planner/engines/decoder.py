"""Incremental decoding with the weights of a transformers Qwen3 model and a preallocated key/value cache.

The arithmetic is that of ``transformers.models.qwen3.modeling_qwen3``: pre-norm layers, a norm on the query and key of
every head, rotary positions, keys and values shared by groups of query heads, a gated MLP. Rotary tables, masks and
cache are made once, where transformers makes them anew for every token.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from acestep.planner.engines.cache import Cache, CacheShape, Slot, StaticSlot
from acestep.planner.engines.linear import add_linear, linear, linear_float32


class Decoder(nn.Module):
    """Runs the layers of a transformers model over new tokens only.

    The query, key and value weights of a layer are fused into one weight, and so are gate and up; the model's own
    parameters become views of them. All weights are parameters of this module and its blocks, so that
    `acestep.runtime.offload.OffloadManager` can move them. They are read from the dictionary of the parameters, because
    a module's attributes take microseconds each, which a step of a small model would notice.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Take the weights of *model*, without copying any but the fused ones."""
        super().__init__()
        config: Any = model.config
        base: Any = model.model
        self._dtype = model.dtype
        self._head_dim: int = config.head_dim
        self._kv_heads: int = base.layers[0].self_attn.k_proj.out_features // self._head_dim
        self._groups: int = config.num_attention_heads // self._kv_heads
        self._eps: float = config.rms_norm_eps
        self._weights: dict[str, Any] = self._parameters
        self.embedding, self.norm = base.embed_tokens.weight, base.norm.weight
        self._head = "embedding"
        if model.lm_head.weight is not base.embed_tokens.weight:
            self._head, self.head = "head", model.lm_head.weight
        self._rotary: Any = base.rotary_emb.forward  # no submodule: its small buffer need not be moved
        self._rotary_device = base.rotary_emb.inv_freq.device
        self._blocks = [_Block(layer, self._head_dim, self._eps) for layer in base.layers]
        self.blocks = nn.ModuleList(self._blocks)

    @property
    def cache_shape(self) -> CacheShape:
        """The shape of the key/value cache, on the device where the weights are now."""
        return CacheShape(len(self._blocks), self._kv_heads, self._head_dim, self._device, self._dtype)

    def new_cache(self, lengths: list[int], samples: int, new_tokens: int) -> Cache:
        """A cache for prompts of *lengths* tokens, each with *samples* samples of *new_tokens* more tokens."""
        return Cache(self.cache_shape, self._rotary_tables(max(lengths) + new_tokens), lengths, samples)

    def prefill(self, tokens: list[int], cache: Cache, prompt: int = 0) -> Tensor:
        """Run *tokens* of the prompt with index *prompt*, behind those in *cache*, once for all its samples.

        Returns:
            The last token's hidden state, ``(1, hidden)``.
        """
        start, first = cache.starts[prompt], cache.used[prompt]
        last = cache.used[prompt] = first + len(tokens)
        rows = slice(prompt * cache.samples, (prompt + 1) * cache.samples)
        row = 0 if cache.cos.shape[1] == 1 else rows.start
        cos, sin = cache.cos[first:last, row], cache.sin[first:last, row]
        hidden = functional.embedding(torch.tensor(tokens, device=self._device), self._weights["embedding"])
        mask = None if first == start else _causal_mask(len(tokens), last - start, self._device)
        for block, keys, values in zip(self._blocks, cache.keys, cache.values, strict=True):
            query, key, value = block.project(hidden, cos, sin)
            keys[rows, :, first:last] = key.transpose(0, 1)
            values[rows, :, first:last] = value.transpose(0, 1)
            attended = functional.scaled_dot_product_attention(
                query.transpose(0, 1)[None],
                keys[rows.start, None, :, start:last].repeat_interleave(self._groups, 1),
                values[rows.start, None, :, start:last].repeat_interleave(self._groups, 1),
                attn_mask=mask,
                is_causal=mask is None,
            )
            hidden = block.finish(hidden, attended[0].transpose(0, 1).flatten(1))
        return self._normalise(hidden[-1:])

    def step(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Run one new token of every row, ``(G·N,)``.

        Returns:
            Hidden states ``(G·N, hidden)``.
        """
        hidden = self.step_at(tokens, cache, Slot(cache))
        cache.advance()
        return hidden

    def step_at(self, tokens: Tensor, cache: Cache, slot: Slot | StaticSlot) -> Tensor:
        """Compute `step` for *slot* of *cache*, without counting the slot as written."""
        grouped = (len(tokens), self._kv_heads, self._groups, self._head_dim)
        hidden = functional.embedding(tokens, self._weights["embedding"])
        for block, keys, values in zip(self._blocks, cache.keys, cache.values, strict=True):
            query, key, value = block.project(hidden, slot.cos, slot.sin)
            attended = functional.scaled_dot_product_attention(
                query.reshape(grouped), slot.write(keys, key), slot.write(values, value), attn_mask=slot.mask
            )
            hidden = block.finish(hidden, attended.flatten(1))
        return self._normalise(hidden)

    def logits(self, hidden: Tensor, ids: slice) -> Tensor:
        """Float32 logits ``(n, tokens)`` of the tokens *ids*, from hidden states ``(n, hidden)``."""
        return linear_float32(hidden, self._weights[self._head][ids])

    @property
    def _device(self) -> torch.device:
        device: torch.device = self._weights["embedding"].device
        return device

    def _rotary_tables(self, positions: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines ``(positions, head dim)``, with the first half of the sines negated."""
        device = self._rotary_device
        empty = self._weights["norm"].new_empty(0, device=device)
        cos, sin = self._rotary(empty, torch.arange(positions, device=device)[None])
        half = self._head_dim // 2
        sin = torch.cat((-sin[0, :, :half], sin[0, :, half:]), -1)
        return cos[0].to(self._device), sin.to(self._device)

    def _normalise(self, hidden: Tensor) -> Tensor:
        return functional.rms_norm(hidden, hidden.shape[-1:], self._weights["norm"], self._eps)


class _Block(nn.Module):
    """One layer, split into the parts before and after attention."""

    def __init__(self, layer: Any, head_dim: int, eps: float) -> None:
        super().__init__()
        self._weights: dict[str, Any] = self._parameters
        attention, mlp = layer.self_attn, layer.mlp
        self.query_key_value = _fuse(attention.q_proj, attention.k_proj, attention.v_proj)
        self.gate_up = _fuse(mlp.gate_proj, mlp.up_proj)
        self.out, self.down = attention.o_proj.weight, mlp.down_proj.weight
        self.input_norm, self.mlp_norm = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        self._heads = attention.q_proj.out_features // head_dim
        self._kv_heads = attention.k_proj.out_features // head_dim
        self._split = [self._heads + self._kv_heads, self._kv_heads]
        self._shape = (-1, self._heads + 2 * self._kv_heads, head_dim)
        self._eps = eps
        self._normalises_heads = hasattr(attention, "q_norm")  # Qwen3 does, Llama does not
        if self._normalises_heads:
            scales = attention.q_norm.weight.expand(self._heads, -1), attention.k_norm.weight.expand(self._kv_heads, -1)
            self.head_norm = nn.Parameter(torch.cat(scales), requires_grad=False)

    def project(self, hidden: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries ``(n, heads, head dim)``, rotated keys and values of *hidden* ``(n, hidden)``."""
        weights = self._weights
        normed = functional.rms_norm(hidden, hidden.shape[-1:], weights["input_norm"], self._eps)
        projected = linear(normed, weights["query_key_value"]).view(self._shape)
        rotating, value = torch.split(projected, self._split, 1)
        if self._normalises_heads:
            rotating = functional.rms_norm(rotating, rotating.shape[-1:], None, self._eps) * weights["head_norm"]
        swapped = rotating.roll(rotating.shape[-1] // 2, -1)
        rotated = torch.addcmul(rotating * cos, swapped, sin)
        return rotated[:, : self._heads], rotated[:, self._heads :], value

    def finish(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """The layer's output, given its input *hidden* and the heads' outputs ``(n, heads · head dim)``."""
        weights = self._weights
        hidden = add_linear(hidden, attended, weights["out"])
        normed = functional.rms_norm(hidden, hidden.shape[-1:], weights["mlp_norm"], self._eps)
        gate, up = linear(normed, weights["gate_up"]).chunk(2, -1)
        return add_linear(hidden, functional.silu(gate) * up, weights["down"])


def _fuse(*layers: nn.Linear) -> nn.Parameter:
    """One weight with the rows of all *layers*, whose own weights become views of it."""
    fused = torch.cat([layer.weight.detach() for layer in layers])
    for layer, part in zip(layers, torch.split(fused, [layer.out_features for layer in layers]), strict=True):
        layer.weight = nn.Parameter(part, requires_grad=False)
    return nn.Parameter(fused, requires_grad=False)


def _causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """Mask ``(queries, keys)`` for the last *queries* of *keys* tokens."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)
