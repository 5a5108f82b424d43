"""The diffusion transformer under one condition, for all steps of a generation.

The weights stay in diffusers' `AceStepTransformer1DModel`, whose arithmetic this is, and its linear layers are called
as they are, quantized or not. What diffusers does at every step is done once here: rotary tables, masks, the context's
part of the first layer, the condition's keys and values. A layer runs piece by piece, so that on a processor its
activations stay in the caches, and a layer with a sliding window never compares what its window keeps apart.
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

PIECE_TOKENS: Final = 1024
"""Of a piece on a processor at the most; elsewhere all are one piece."""


@dataclass(frozen=True)
class TokenTile:
    """Tokens that go through a layer together: some items, and of these all tokens or some."""

    items: slice
    tokens: slice


class Denoiser:
    """Predicts velocities under one condition and context.

    Args:
        model: the transformer.
        condition: ``[B, E, H]``; one that is expanded over the batch is looked at once.
        context: context latents ``[B, T, 128]``.
        null: the condition of no condition ``[1, 1, H]``; with it a batch may be doubled.
        attention: how to attend.
        layer: makes a layer's operations of diffusers' block.
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
        self._frames, self._tokens = context.shape[1], -(-context.shape[1] // self._patch)
        self._conditioned = len(context)
        self._context, self._first = self._read_context(context)
        self._last = model.proj_out_conv.weight.transpose(1, 2).flatten(1)
        self._last_bias = model.proj_out_conv.bias.repeat(self._patch)
        self._cos, self._sin = block_ops.rotary_tables(self._tokens, model.head_dim, model.rope_theta, self._context)
        shared = condition[:1] if condition.stride(0) == 0 else condition
        embedded = model.condition_embedder(shared)
        self._condition = [layer.condition(embedded) for layer in self._layers]
        self._without: list[Tensor] = []
        if null is not None:
            self._without = [layer.without_condition(model.condition_embedder(null)) for layer in self._layers]
        self._keys = self._values = self._context.new_empty(0)
        self._still = model.time_embed_r(self._context.new_zeros(1))

    def __call__(self, latents: Tensor, times: Tensor) -> Tensor:
        """Velocities like *latents* ``[B, T, 64]`` at *times* ``[B]``, all of them the same.

        With ``2·B`` latents the second half has no condition.
        """
        rows = len(latents)
        state, modulation = (a + b for a, b in zip(self._model.time_embed(times[:1]), self._still, strict=True))
        hidden = self._read(latents)
        pieces = list(self._pieces(rows))
        shape = (rows, self._tokens, self._layers[0].key_heads, self._model.head_dim)
        if self._keys.shape != shape:
            self._keys, self._values = hidden.new_empty(shape), hidden.new_empty(shape)
        for index, layer in enumerate(self._layers):
            self._run(index, layer, hidden, layer.modulate(modulation), pieces)
        shift, scale = (self._model.scale_shift_table + state.unsqueeze(1)).chunk(2, dim=1)
        out = latents.new_empty(rows, self._tokens, self._last.shape[1])
        for piece in pieces:
            part = block_ops.modulated(hidden[piece.items, piece.tokens], self._model.norm_out, shift, scale)
            out[piece.items, piece.tokens] = torch.matmul(part, self._last) + self._last_bias
        return out.view(rows, self._tokens * self._patch, -1)[:, : self._frames]

    def _run(
        self, index: int, layer: LayerOperations, hidden: Tensor, modulation: list[Tensor], pieces: list[TokenTile]
    ) -> None:
        """Run one layer on *hidden* ``[rows, tokens, H]``, in place."""
        before, between = modulation[:3], modulation[3:]
        for piece in pieces:
            cos, sin = self._cos[piece.tokens], self._sin[piece.tokens]
            keys, values = layer.keys_values(hidden[piece.items, piece.tokens], before[0], before[1], cos, sin)
            self._keys[piece.items, piece.tokens], self._values[piece.items, piece.tokens] = keys, values
        for piece in pieces:
            part = hidden[piece.items, piece.tokens]
            cos, sin = self._cos[piece.tokens], self._sin[piece.tokens]
            queries = layer.queries(part, before[0], before[1], cos, sin)
            keys, values = self._keys[piece.items], self._values[piece.items]
            attended = self._attention.windowed(queries, keys, values, piece.tokens.start, layer.window)
            layer.add_attended(part, attended, before[2])
            self._add_condition(index, layer, part, piece.items)
            layer.add_products(part, between[0], between[1], between[2])

    def _add_condition(self, index: int, layer: LayerOperations, part: Tensor, items: slice) -> None:
        """Add what *part*, some *items* of the batch, learn of the condition, or of there being none."""
        conditioned = max(0, min(items.stop, self._conditioned) - items.start)
        if conditioned:
            keys, values = self._condition[index]
            if len(keys) > 1:
                of = slice(items.start, items.start + conditioned)
                keys, values = keys[of], values[of]
            with_condition = part[:conditioned]
            attended = self._attention(layer.condition_queries(with_condition), keys, values)
            layer.add_condition(with_condition, attended)
        if conditioned < len(part):
            part[conditioned:] += self._without[index]

    def _pieces(self, rows: int) -> Iterator[TokenTile]:
        """Everything, in pieces of about equal size."""
        tokens = self._tokens
        most = PIECE_TOKENS if self._context.device.type == "cpu" else rows * tokens
        items = max(1, most // tokens)
        step = -(-tokens // -(-tokens // most))
        step += -step % block_ops.COLUMNS
        for item in range(0, rows, items):
            for token in range(0, tokens, step):
                yield TokenTile(slice(item, min(item + items, rows)), slice(token, min(token + step, tokens)))

    def _read_context(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """What *context* adds to the first layer's output, ``[B, tokens, H]``; and that layer's weight for latents."""
        conv = self._model.proj_in_conv
        weight = conv.weight.transpose(1, 2)
        channels = context.shape[-1]
        known, latents = weight[..., :channels].flatten(1).t(), weight[..., channels:].flatten(1).t()
        return torch.matmul(self._patches(context), known) + conv.bias, latents.contiguous()

    def _read(self, latents: Tensor) -> Tensor:
        """The first layer's output for *latents*, ``[rows, tokens, H]``."""
        context = self._context if len(latents) == len(self._context) else torch.cat([self._context] * 2)
        return torch.baddbmm(context, self._patches(latents), self._first.expand(len(latents), -1, -1))

    def _patches(self, frames: Tensor) -> Tensor:
        """*frames* ``[B, T, C]`` as ``[B, tokens, patch·C]``, zeros behind the end."""
        missing = self._tokens * self._patch - self._frames
        return (pad(frames, (0, 0, 0, missing)) if missing else frames).reshape(len(frames), self._tokens, -1)


def denoiser_peak_bytes(model: Any, rows: int, frames: int, condition_tokens: int, device: str, itemsize: int) -> int:
    """About what a `Denoiser` of *model* and one of its steps take up at the most, beside the weights."""
    config, block = model.config, model.layers[0].self_attn
    heads, keys = block.heads * block.head_dim, block.kv_heads * block.head_dim
    tokens = rows * -(-frames // model.patch_size)
    piece = min(tokens, PIECE_TOKENS) if device.startswith("cpu") else tokens
    everywhere = tokens * (2 * config.hidden_size + 2 * keys)
    here = piece * (2 * config.hidden_size + heads + 2 * config.intermediate_size)
    condition = 2 * keys * condition_tokens * len(model.layers)
    return int(itemsize * (everywhere + here + condition))
