"""Incremental decoding with a Qwen3 model of transformers and a preallocated key/value cache.

The weights stay in transformers' modules; this calls them with tables and slices that are made once, where
transformers makes masks, positions and a longer cache for every token. The arithmetic is that of
``transformers.models.qwen3.modeling_qwen3``: pre-norm layers, a norm on every head's query and key, rotary
positions, keys and values shared by groups of query heads, a gated MLP.
"""

from __future__ import annotations

from copy import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from acestep.planner.engines.cache import Cache, FixedSlot, Slot
from acestep.planner.engines.linear import add_product, float32_product, product

Holder = TypeVar("Holder")


class Decoder:
    """Runs the layers of *model* over new tokens only.

    Query, key and value weights of a layer are laid side by side in memory, and gate and up; the model's own
    parameters become views of them.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        config: Any = model.config
        base: Any = model.model
        self.device, self.dtype = model.device, model.dtype
        self.layers: int = config.num_hidden_layers
        self.head_dim: int = config.head_dim
        self.kv_heads: int = base.layers[0].self_attn.k_proj.out_features // self.head_dim
        self._groups: int = config.num_attention_heads // self.kv_heads
        self._eps: float = config.rms_norm_eps
        self._embedding: Tensor = base.embed_tokens.weight
        self._norm: Tensor = base.norm.weight
        self._head: Tensor = model.lm_head.weight
        self._rotary = base.rotary_emb
        self._blocks = [_Block(layer, self.head_dim, self._eps) for layer in base.layers]

    def copied_to(self, device: str) -> tuple[Decoder, list[Tensor]]:
        """A decoder that computes the same on *device*, and its weights, all of them copies."""
        copies: dict[int, Tensor] = {}
        decoder = _with_copies(self, device, copies)
        decoder._blocks = [_with_copies(block, device, copies) for block in self._blocks]
        decoder.device = torch.device(device)
        return decoder, list(copies.values())

    def rotary_tables(self, positions: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines ``[positions, head dim]``, the first half of the sines negated."""
        where = self._rotary.inv_freq.device
        cos, sin = self._rotary(self._norm.new_empty(0, device=where), torch.arange(positions, device=where)[None])
        half = self.head_dim // 2
        sin = torch.cat((-sin[0, :, :half], sin[0, :, half:]), -1)
        return cos[0].to(self.device), sin.to(self.device)

    def read(self, tokens: list[int], cache: Cache, prompt: int = 0) -> Tensor:
        """Run *tokens* behind what *cache* holds of *prompt*, once for all its samples.

        Returns:
            The last token's hidden state, ``[1, hidden]``.
        """
        start, first = cache.starts[prompt], cache.used[prompt]
        last = cache.used[prompt] = first + len(tokens)
        rows = slice(prompt * cache.samples, (prompt + 1) * cache.samples)
        row = 0 if cache.cos.shape[1] == 1 else rows.start
        cos, sin = cache.cos[first:last, row], cache.sin[first:last, row]
        hidden = functional.embedding(torch.tensor(tokens, device=self.device), self._embedding)
        mask = None if first == start else _causal(len(tokens), last - start, self.device)
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
        """Run one new token of every row, ``[G·N]``.

        Returns:
            Hidden states ``[G·N, hidden]``.
        """
        hidden = self.step_at(tokens, cache, Slot(cache))
        cache.advance()
        return hidden

    def step_at(self, tokens: Tensor, cache: Cache, slot: Slot | FixedSlot) -> Tensor:
        """The work of `step`, at *slot* of *cache*."""
        grouped = (len(tokens), self.kv_heads, self._groups, self.head_dim)
        hidden = functional.embedding(tokens, self._embedding)
        for block, keys, values in zip(self._blocks, cache.keys, cache.values, strict=True):
            query, key, value = block.project(hidden, slot.cos, slot.sin)
            attended = functional.scaled_dot_product_attention(
                query.reshape(grouped), slot.put(keys, key), slot.put(values, value), attn_mask=slot.mask
            )
            hidden = block.finish(hidden, attended.flatten(1))
        return self._normalise(hidden)

    def logits(self, hidden: Tensor, rows: slice) -> Tensor:
        """Float32 logits ``[n, tokens]`` of the tokens with ids *rows*, from hidden states ``[n, hidden]``."""
        return float32_product(hidden, self._head[rows])

    def _normalise(self, hidden: Tensor) -> Tensor:
        return functional.rms_norm(hidden, hidden.shape[-1:], self._norm, self._eps)


class _Block:
    """One layer, split where attention happens."""

    def __init__(self, layer: Any, head_dim: int, eps: float) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._query_key_value = _side_by_side(attention.q_proj, attention.k_proj, attention.v_proj)
        self._gate_up = _side_by_side(mlp.gate_proj, mlp.up_proj)
        self._out, self._down = attention.o_proj.weight, mlp.down_proj.weight
        self._before, self._between = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        self._heads = attention.q_proj.out_features // head_dim
        self._kv_heads = attention.k_proj.out_features // head_dim
        self._split = [self._heads + self._kv_heads, self._kv_heads]
        self._shape = (-1, self._heads + 2 * self._kv_heads, head_dim)
        self._norms: Tensor | None = None  # Llama has none
        if hasattr(attention, "q_norm"):
            scales = attention.q_norm.weight.expand(self._heads, -1), attention.k_norm.weight.expand(self._kv_heads, -1)
            self._norms = torch.cat(scales)
        self._eps = eps

    def project(self, hidden: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries ``[n, heads, head dim]`` and keys, and values, of *hidden* ``[n, hidden]``."""
        normed = functional.rms_norm(hidden, hidden.shape[-1:], self._before, self._eps)
        projected = product(normed, self._query_key_value).view(self._shape)
        rotating, value = torch.split(projected, self._split, 1)
        if self._norms is not None:
            rotating = functional.rms_norm(rotating, rotating.shape[-1:], None, self._eps) * self._norms
        swapped = rotating.roll(rotating.shape[-1] // 2, -1)
        rotated = torch.addcmul(rotating * cos, swapped, sin)
        return rotated[:, : self._heads], rotated[:, self._heads :], value

    def finish(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """*hidden* behind the layer, given the heads' outputs ``[n, heads · head dim]``."""
        hidden = add_product(hidden, attended, self._out)
        normed = functional.rms_norm(hidden, hidden.shape[-1:], self._between, self._eps)
        gate, up = product(normed, self._gate_up).chunk(2, -1)
        return add_product(hidden, functional.silu(gate) * up, self._down)


def _with_copies(holder: Holder, device: str, copies: dict[int, Tensor]) -> Holder:
    """*holder* with all tensors that it holds copied to *device*, each once; *copies* has them by the original's id."""
    twin = copy(holder)
    for name, value in vars(holder).items():
        if isinstance(value, Tensor):
            if id(value) not in copies:
                copies[id(value)] = value.detach().to(device, copy=True)
            setattr(twin, name, copies[id(value)])
    return twin


def _side_by_side(*layers: nn.Linear) -> Tensor:
    """One weight made of those of *layers*, which become views of it."""
    joined = torch.cat([layer.weight.detach() for layer in layers])
    for layer, part in zip(layers, torch.split(joined, [layer.out_features for layer in layers]), strict=True):
        layer.weight = nn.Parameter(part, requires_grad=False)
    return joined


def _causal(queries: int, keys: int, device: torch.device) -> Tensor:
    """Mask ``[queries, keys]`` for the last *queries* of *keys* tokens."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)
