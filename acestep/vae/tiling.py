"""Convolutional networks over time, run stretch by stretch: what a stretch needs, and nothing of it twice in memory.

An activation of a long piece is far larger than a processor's caches, and a fresh one is paid for page by page. Here a
chain of operations is run over stretches of its output; only what joins two chains is ever whole. Zeros stand beyond
both ends of every operation's input, as in the networks themselves, and nowhere else: the stretches join exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from torch import Tensor
from torch.nn.functional import pad

Span = tuple[int, int]
"""First place, and the one after the last; of the whole input or output of an operation, where 0 is its beginning."""


STRETCH_ELEMENTS: Final = {"cpu": 1 << 19, "cuda": 1 << 23, "meta": 1 << 23}
"""Of the widest activation of a stretch: what a processor's caches hold, and what keeps a GPU busy.

``meta`` stands for a GPU.
"""
LEAST_PLACES: Final = 4096
"""Of a stretch, however wide: what it needs beside it costs work."""
STRETCH_ACTIVATIONS: Final = 4
"""That there are at once within a stretch."""


class Operation(Protocol):
    """Maps activations ``[B, C, n]`` of one rate to those of another."""

    def length(self, places: int) -> int:
        """Of the output, for an input of *places*."""

    def needs(self, output: Span) -> Span:
        """The part of the input that *output* is made of; it may reach beyond the ends."""

    def __call__(self, x: Tensor, output: Span, zeros: tuple[int, int], /) -> Tensor:
        """The part *output* of all outputs, from what it needs: *x*, and so many *zeros* before and behind it."""


class ConvStack:
    """Operations one after another.

    Attributes:
        in_channels, channels, out_channels: of the input, of the widest activation, and of the output.
    """

    def __init__(self, operations: Sequence[Operation], in_channels: int, channels: int, out_channels: int) -> None:
        self._operations = operations
        self.in_channels, self.channels, self.out_channels = in_channels, channels, out_channels

    def length(self, places: int) -> int:
        """Of the output, for an input of *places*."""
        for operation in self._operations:
            places = operation.length(places)
        return places

    def needs(self, output: Span, places: int) -> Span:
        """The part of an input of *places* that *output* is made of."""
        return self._spans(output, places)[0]

    def run(self, x: Tensor, given: Span, output: Span, places: int) -> Tensor:
        """The part *output* of all outputs, from *x*: the part *given* of an input of *places*."""
        spans = self._spans(output, places)
        x = x[..., spans[0][0] - given[0] : spans[0][1] - given[0]]
        for operation, have, made in zip(self._operations, spans, spans[1:], strict=False):
            first, end = operation.needs(made)
            x = operation(x, made, (have[0] - first, end - have[1]))
        return x

    def _spans(self, output: Span, places: int) -> list[Span]:
        """Of every operation's input, and the *output*."""
        lengths = [places]
        for operation in self._operations[:-1]:
            lengths.append(operation.length(lengths[-1]))
        spans = [output]
        for operation, length in zip(reversed(self._operations), reversed(lengths), strict=True):
            first, end = operation.needs(spans[0])
            spans.insert(0, (max(0, first), min(length, end)))
        return spans


def run_tiled(chains: Sequence[ConvStack], x: Tensor, output: Span, places: int) -> Tensor:
    """The part *output* of what *chains* make of an input of *places*.

    Args:
        chains: each is run over stretches of its output, and its output joined.
        x: what `input_range` says, ``[B, C, n]``.
        output: places of the last chain's output.
        places: of the whole input.
    """
    spans, lengths = _needs(chains, output, places)
    for chain, given, made, length in zip(chains, spans, spans[1:], lengths, strict=False):
        step = _step(chain, len(x), x.device.type)
        if made[1] - made[0] <= step:
            x = chain.run(x, given, made, length)
            continue
        joined = x.new_empty(len(x), chain.out_channels, made[1] - made[0])
        for first in range(made[0], made[1], step):
            end = min(first + step, made[1])
            joined[..., first - made[0] : end - made[0]] = chain.run(x, given, (first, end), length)
        x = joined
    return x


def input_range(chains: Sequence[ConvStack], output: Span, places: int) -> Span:
    """The part of an input of *places* that *output* of the last chain is made of."""
    return _needs(chains, output, places)[0][0]


def peak_activation_elements(chains: Sequence[ConvStack], batch: int, output: Span, places: int, device: str) -> int:
    """About how many numbers there are at once, at the most, when `run_tiled` makes *output* for *batch* items."""
    spans, _ = _needs(chains, output, places)
    most = 0
    for chain, given, made in zip(chains, spans, spans[1:], strict=False):
        inputs, outputs = chain.in_channels * (given[1] - given[0]), chain.out_channels * (made[1] - made[0])
        stretch = chain.channels * min(made[1] - made[0], _step(chain, batch, device.partition(":")[0]))
        most = max(most, inputs + outputs + STRETCH_ACTIVATIONS * stretch)
    return batch * most


def _step(chain: ConvStack, batch: int, kind: str) -> int:
    """Places of a stretch of *chain*'s output."""
    return max(LEAST_PLACES, STRETCH_ELEMENTS.get(kind, STRETCH_ELEMENTS["cpu"]) // (chain.channels * batch))


def _needs(chains: Sequence[ConvStack], output: Span, places: int) -> tuple[list[Span], list[int]]:
    lengths = [places]
    for chain in chains[:-1]:
        lengths.append(chain.length(lengths[-1]))
    spans = [output]
    for chain, length in zip(reversed(chains), reversed(lengths), strict=True):
        spans.insert(0, chain.needs(spans[0], length))
    return spans, lengths


def zero_padded(x: Tensor, zeros: tuple[int, int]) -> Tensor:
    """*x* with so many *zeros* before and behind it."""
    return pad(x, zeros) if any(zeros) else x
