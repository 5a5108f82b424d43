"""Runs stacks of 1-D convolutions tile by tile, so that activations stay in the cache.

Each tile of the output is computed from its receptive field in the input, so tiles join exactly. A network is a
sequence of stacks; only the output of a stack is held whole. As in the network itself, an operation pads its input with
zeros at both ends of the sequence, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from torch import Tensor
from torch.nn.functional import pad

Span = tuple[int, int]
"""First position and the position after the last, in the whole input or output of an operation."""

TILE_ELEMENTS: Final = {"cpu": 1 << 19, "cuda": 1 << 23, "meta": 1 << 23}
"""Target size of the widest activation of a tile, in elements, by type of device.

On a CPU, an activation of this size fits into the caches; on a GPU, it fills the card. ``meta`` stands for a GPU.
"""
MIN_TILE_LENGTH: Final = 4096
"""Shortest tile, in positions. Shorter tiles would recompute too much of their overlap."""
LIVE_ACTIVATIONS: Final = 4
"""Number of activations that are alive at the same time while a tile is computed; used to estimate memory."""


class Operation(Protocol):
    """Maps activations ``(batch, channels, length)`` to activations, possibly of another length."""

    def output_length(self, input_length: int) -> int:
        """Return the length of the output for an input of *input_length*."""

    def input_range(self, output: Span) -> Span:
        """Return the input range (receptive field) of the range *output*.

        It can extend past the ends of the input, where the operation pads with zeros.
        """

    def __call__(self, x: Tensor, output: Span, padding: tuple[int, int], /) -> Tensor:
        """Return the range *output* of the whole output.

        *x* is the part of its input range that lies within the input; *padding* is the number of zeros that are missing
        before and after it.
        """


class ConvStack:
    """Operations that are run one after the other on each tile.

    Attributes:
        in_channels: channels of the input.
        channels: channels of the widest activation.
        out_channels: channels of the output.
    """

    def __init__(self, operations: Sequence[Operation], in_channels: int, channels: int, out_channels: int) -> None:
        self._operations = operations
        self.in_channels, self.channels, self.out_channels = in_channels, channels, out_channels

    def output_length(self, input_length: int) -> int:
        """Return the length of the output for an input of *input_length*."""
        length = input_length
        for operation in self._operations:
            length = operation.output_length(length)
        return length

    def input_range(self, output: Span, input_length: int) -> Span:
        """Return the range of an input of *input_length* that the range *output* depends on."""
        return self._ranges(output, input_length)[0]

    def run(self, x: Tensor, given: Span, output: Span, input_length: int) -> Tensor:
        """Return the range *output* of the output; *x* is the range *given* of an input of *input_length*."""
        ranges = self._ranges(output, input_length)
        x = x[..., ranges[0][0] - given[0] : ranges[0][1] - given[0]]
        for operation, available, computed in zip(self._operations, ranges, ranges[1:], strict=False):
            first, end = operation.input_range(computed)
            x = operation(x, computed, (available[0] - first, end - available[1]))
        return x

    def _ranges(self, output: Span, input_length: int) -> list[Span]:
        """Return the range of each operation's input that *output* depends on, and *output* itself."""
        lengths = [input_length]
        for operation in self._operations[:-1]:
            lengths.append(operation.output_length(lengths[-1]))
        ranges = [output]
        for operation, length in zip(reversed(self._operations), reversed(lengths), strict=True):
            first, end = operation.input_range(ranges[0])
            ranges.insert(0, (max(0, first), min(length, end)))
        return ranges


def run_tiled(stacks: Sequence[ConvStack], x: Tensor, output: Span, input_length: int) -> Tensor:
    """Return the range *output* of the output of *stacks*, each of which is run tile by tile.

    Args:
        stacks: the network.
        x: the range of the input that `input_range` returns, ``(batch, channels, length)``.
        output: range of the last stack's output.
        input_length: length of the whole input.
    """
    ranges, lengths = _stack_ranges(stacks, output, input_length)
    for stack, given, computed, length in zip(stacks, ranges, ranges[1:], lengths, strict=False):
        tile_length = _tile_length(stack, len(x), x.device.type)
        if computed[1] - computed[0] <= tile_length:
            x = stack.run(x, given, computed, length)
            continue
        joined = x.new_empty(len(x), stack.out_channels, computed[1] - computed[0])
        for first in range(computed[0], computed[1], tile_length):
            end = min(first + tile_length, computed[1])
            joined[..., first - computed[0] : end - computed[0]] = stack.run(x, given, (first, end), length)
        x = joined
    return x


def input_range(stacks: Sequence[ConvStack], output: Span, input_length: int) -> Span:
    """Return the range of an input of *input_length* that the range *output* of the last stack depends on."""
    return _stack_ranges(stacks, output, input_length)[0][0]


def peak_activation_elements(
    stacks: Sequence[ConvStack], batch: int, output: Span, input_length: int, device: str
) -> int:
    """Estimate the peak number of elements of all activations while `run_tiled` computes *output* for *batch* items."""
    ranges, _ = _stack_ranges(stacks, output, input_length)
    peak = 0
    for stack, given, computed in zip(stacks, ranges, ranges[1:], strict=False):
        inputs, outputs = stack.in_channels * (given[1] - given[0]), stack.out_channels * (computed[1] - computed[0])
        tile_length = min(computed[1] - computed[0], _tile_length(stack, batch, device.partition(":")[0]))
        peak = max(peak, inputs + outputs + LIVE_ACTIVATIONS * stack.channels * tile_length)
    return batch * peak


def zero_padded(x: Tensor, padding: tuple[int, int]) -> Tensor:
    """Return *x* with as many zeros before and after it as *padding* says."""
    return pad(x, padding) if any(padding) else x


def _tile_length(stack: ConvStack, batch: int, device_type: str) -> int:
    """Return the length of a tile of the output of *stack*."""
    elements = TILE_ELEMENTS.get(device_type, TILE_ELEMENTS["cpu"])
    return max(MIN_TILE_LENGTH, elements // (stack.channels * batch))


def _stack_ranges(stacks: Sequence[ConvStack], output: Span, input_length: int) -> tuple[list[Span], list[int]]:
    """Return the range of each stack's input that *output* depends on, then *output*; and the whole inputs' lengths."""
    lengths = [input_length]
    for stack in stacks[:-1]:
        lengths.append(stack.output_length(lengths[-1]))
    ranges = [output]
    for stack, length in zip(reversed(stacks), reversed(lengths), strict=True):
        ranges.insert(0, stack.input_range(ranges[0], length))
    return ranges, lengths
