"""The forward pass of the diffusion transformer, for all steps of a generation under one condition.

The weights stay in diffusers' `AceStepTransformer1DModel`, and the arithmetic is that model's; its linear layers are
called as they are, quantized or not. What is the same at every step is computed once: rotary tables, attention masks,
the context's part of the input projection, and the keys and values of cross-attention. On a CPU a layer is run on one
tile of tokens at a time, so that its activations stay in the cache. Sliding-window attention is computed in blocks,
which compare no tokens outside the window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from acestep.dit import block_ops
from acestep.dit.block_ops import Attention, LayerOperations

TILE_TOKENS: Final = 1024
"""Largest number of tokens in a tile on a CPU; on other devices one tile holds all tokens."""


@dataclass(frozen=True)
class TokenTile:
    """Tokens that go through a layer together: all tokens of some items, or some tokens of one item."""

    items: slice
    tokens: slice


class Denoiser:
    """Predicts velocities under one condition and one context.

    Args:
        model: the transformer.
        condition: condition sequence ``(batch, tokens, hidden)``. If it is one item that was expanded over the batch,
            its keys and values are computed once for all items.
        context: context latents ``(batch, frames, 128)``.
        null: the null condition ``(1, 1, hidden)``, which guidance needs.
        attention: the attention backend.
        layer: class of the layers' operations, compiled or not.
    """

    def __init__(
        self,
        model: Any,
        condition: Tensor,
        context: Tensor,
        null: Tensor | None = None,
        attention: Attention | None = None,
        layer: type[LayerOperations] = LayerOperations,
    ) -> None:
        self._model, self._layers = model, [layer(block) for block in model.layers]
        self._attention = attention or Attention()
        self._patch: int = model.patch_size
        self._batch, self._frames = len(context), context.shape[1]
        self._tokens = -(-self._frames // self._patch)
        self._context, self._proj_in_latents = self._split_input_projection(context)
        self._proj_out = model.proj_out_conv.weight.transpose(1, 2).flatten(1)
        self._proj_out_bias = model.proj_out_conv.bias.repeat(self._patch)
        self._cos, self._sin = block_ops.rotary_tables(self._tokens, model.head_dim, model.rope_theta, self._context)
        embedded = model.condition_embedder(without_expansion(condition))
        self._cross_keys_values = [layer.cross_keys_values(embedded) for layer in self._layers]
        self._null_cross_attention: list[Tensor] = []
        if null is not None:
            self._null_cross_attention = [
                layer.null_cross_attention(model.condition_embedder(null)) for layer in self._layers
            ]
        self._keys = self._values = self._context.new_empty(0)
        self._time_r = model.time_embed_r(self._context.new_zeros(1))

    def __call__(self, latents: Tensor, times: Tensor) -> Tensor:
        """Return velocities in the shape of *latents*.

        Args:
            latents: noisy latents ``(batch, frames, 64)``; for guidance ``(2 · batch, frames, 64)``, whose
                second half is computed with the null condition.
            times: timesteps ``(rows,)``, which are all the same.
        """
        rows = len(latents)
        state, modulation = (a + b for a, b in zip(self._model.time_embed(times[:1]), self._time_r, strict=True))
        hidden = self._project_in(latents)
        tiles = list(self._tiles(rows))
        shape = (rows, self._tokens, self._layers[0].key_heads, self._model.head_dim)
        if self._keys.shape != shape:
            self._keys, self._values = hidden.new_empty(shape), hidden.new_empty(shape)
        for index in range(len(self._layers)):
            self._run_layer(index, hidden, modulation, tiles)
        shift, scale = (self._model.scale_shift_table + state.unsqueeze(1)).chunk(2, dim=1)
        out = latents.new_empty(rows, self._tokens, self._proj_out.shape[1])
        for tile in tiles:
            normed = block_ops.modulated_norm(hidden[tile.items, tile.tokens], self._model.norm_out, shift, scale)
            out[tile.items, tile.tokens] = torch.matmul(normed, self._proj_out) + self._proj_out_bias
        return out.view(rows, self._tokens * self._patch, -1)[:, : self._frames]

    def _run_layer(self, index: int, hidden: Tensor, embedded_time: Tensor, tiles: list[TokenTile]) -> None:
        """Run a layer on *hidden* ``(rows, tokens, H)``, in place.

        Keys and values of all tiles are computed first, because the queries of a tile attend to other tiles.
        """
        layer = self._layers[index]
        shift, scale, gate, shift_forward, scale_forward, gate_forward = layer.modulation(embedded_time)
        for tile in tiles:
            cos, sin = self._cos[tile.tokens], self._sin[tile.tokens]
            keys, values = layer.keys_values(hidden[tile.items, tile.tokens], shift, scale, cos, sin)
            self._keys[tile.items, tile.tokens], self._values[tile.items, tile.tokens] = keys, values
        for tile in tiles:
            part = hidden[tile.items, tile.tokens]
            cos, sin = self._cos[tile.tokens], self._sin[tile.tokens]
            queries = layer.queries(part, shift, scale, cos, sin)
            keys, values = self._keys[tile.items], self._values[tile.items]
            attended = self._attention.sliding_window(queries, keys, values, tile.tokens.start, layer.window)
            layer.add_self_attention(part, attended, gate)
            self._add_cross_attention(index, part, tile.items)
            layer.add_feed_forward(part, shift_forward, scale_forward, gate_forward)

    def _add_cross_attention(self, index: int, part: Tensor, items: slice) -> None:
        """Add the cross-attention of a layer to *part*, the hidden states of *items*.

        Items from the batch size on are the second half of a doubled batch, which has the null condition.
        """
        layer = self._layers[index]
        conditioned = len(range(items.start, min(items.stop, self._batch)))
        if conditioned:
            keys, values = self._cross_keys_values[index]
            if len(keys) > 1:  # the condition is not shared by the items
                own = slice(items.start, items.start + conditioned)
                keys, values = keys[own], values[own]
            part_with_condition = part[:conditioned]
            attended = self._attention(layer.cross_queries(part_with_condition), keys, values)
            layer.add_cross_attention(part_with_condition, attended)
        if conditioned < len(part):
            part[conditioned:] += self._null_cross_attention[index]

    def _tiles(self, rows: int) -> Iterator[TokenTile]:
        """Yield tiles of about equal size that cover all tokens of all *rows*."""
        tokens = self._tokens
        largest = TILE_TOKENS if self._context.device.type == "cpu" else rows * tokens
        items = max(1, largest // tokens)
        tile_tokens = -(-tokens // -(-tokens // largest))
        tile_tokens += -tile_tokens % block_ops.TOKEN_MULTIPLE
        for item in range(0, rows, items):
            for token in range(0, tokens, tile_tokens):
                yield TokenTile(slice(item, min(item + items, rows)), slice(token, min(token + tile_tokens, tokens)))

    def _split_input_projection(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return the input projection of *context*, ``(batch, tokens, H)``, and the projection's weight for latents."""
        conv = self._model.proj_in_conv
        weight = conv.weight.transpose(1, 2)
        channels = context.shape[-1]
        for_context, for_latents = weight[..., :channels].flatten(1).t(), weight[..., channels:].flatten(1).t()
        return torch.matmul(self._patches(context), for_context) + conv.bias, for_latents.contiguous()

    def _project_in(self, latents: Tensor) -> Tensor:
        """Return the input projection of context and *latents*, ``(rows, tokens, H)``."""
        context = self._context if len(latents) == len(self._context) else torch.cat([self._context] * 2)
        return torch.baddbmm(context, self._patches(latents), self._proj_in_latents.expand(len(latents), -1, -1))

    def _patches(self, frames: Tensor) -> Tensor:
        """Return *frames* ``(rows, frames, C)`` as tokens ``(rows, tokens, patch · C)``, padded with zeros."""
        missing = self._tokens * self._patch - self._frames
        return (pad(frames, (0, 0, 0, missing)) if missing else frames).reshape(len(frames), self._tokens, -1)


def without_expansion(condition: Tensor) -> Tensor:
    """Return the first item, ``(1, …)``, of a tensor that `Tensor.expand` repeats over the batch; others unchanged.

    An expanded tensor has a stride of 0 over the batch: all its items are the same memory.
    """
    return condition[:1] if condition.stride(0) == 0 else condition


def denoiser_peak_bytes(model: Any, rows: int, frames: int, condition_tokens: int, device: str, itemsize: int) -> int:
    """Estimate the bytes that a `Denoiser` of *model* and one of its steps need beside the weights."""
    config, block = model.config, model.layers[0].self_attn
    heads, keys = block.heads * block.head_dim, block.kv_heads * block.head_dim
    tokens = rows * -(-frames // model.patch_size)
    tile = min(tokens, TILE_TOKENS) if device.startswith("cpu") else tokens
    of_all_tokens = tokens * (2 * config.hidden_size + 2 * keys)
    of_a_tile = tile * (2 * config.hidden_size + heads + 2 * config.intermediate_size)
    of_the_condition = 2 * keys * condition_tokens * len(model.layers)
    return int(itemsize * (of_all_tokens + of_a_tile + of_the_condition))
