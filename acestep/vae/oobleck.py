"""The networks of the Oobleck autoencoder as stacks of operations that `acestep.vae.tiling` runs tile by tile.

The weights stay in diffusers' modules, and the arithmetic is that of
``diffusers.models.autoencoders.autoencoder_oobleck``. A transposed convolution is computed as two matrix products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import conv1d

from acestep.vae.tiling import ConvStack, Operation, Span, zero_padded

MAX_CHANNELS_FOR_PRODUCTS: Final = 8
"""Largest number of input or output channels for which products of rows are faster than a convolution on a CPU."""

SnakeFunction = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`snake`, or a compiled version of it."""


def snake(x: Tensor, alpha: Tensor, inverse_beta: Tensor) -> Tensor:
    """Return ``x + sin²(alpha · x) · inverse_beta`` of *x* ``(batch, channels, length)``.

    *alpha* and *inverse_beta* are ``(1, channels, 1)``.
    """
    wave = (x * alpha).sin_()
    return torch.addcmul(x, wave * inverse_beta, wave)


def decoder_stacks(decoder: Any, activate: SnakeFunction = snake) -> list[ConvStack]:
    """Return the stacks of an `OobleckDecoder`: latents ``(batch, 64, T)`` to waveforms ``(batch, 2, 1920 · T)``.

    The decoder's weight norms must have been folded into the weights.
    """
    first, last = decoder.conv1, decoder.conv2
    stacks = [ConvStack([Convolution(first)], first.in_channels, first.out_channels, first.out_channels)]
    for block in decoder.block:
        in_channels, out_channels = block.conv_t1.in_channels, block.conv_t1.out_channels
        operations: list[Operation] = [
            Snake(block.snake1, activate),
            Upsampling(block.conv_t1),
            *_residual_units(block, activate),
        ]
        if block is decoder.block[-1]:
            operations += [Snake(decoder.snake1, activate), Convolution(last)]
            stacks.append(ConvStack(operations, in_channels, out_channels, last.out_channels))
        else:
            stacks.append(ConvStack(operations, in_channels, out_channels, out_channels))
    return stacks


def encoder_stacks(encoder: Any, activate: SnakeFunction = snake) -> list[ConvStack]:
    """Return the stacks of an `OobleckEncoder`: waveforms ``(batch, 2, samples)`` to means and scales ``(…, 128, T)``.

    The encoder's weight norms must have been folded into the weights.
    """
    first, last = encoder.conv1, encoder.conv2
    stacks = []
    for block in encoder.block:
        channels, out_channels = block.conv1.in_channels, block.conv1.out_channels
        operations: list[Operation] = [
            *_residual_units(block, activate),
            Snake(block.snake1, activate),
            Convolution(block.conv1),
        ]
        if block is encoder.block[0]:
            stacks.append(ConvStack([Convolution(first), *operations], first.in_channels, channels, out_channels))
        else:
            stacks.append(ConvStack(operations, channels, channels, out_channels))
    final: list[Operation] = [Snake(encoder.snake1, activate), Convolution(last)]
    return [*stacks, ConvStack(final, last.in_channels, last.in_channels, last.out_channels)]


def _residual_units(block: Any, activate: SnakeFunction) -> list[Operation]:
    return [ResidualUnit(unit, activate) for unit in (block.res_unit1, block.res_unit2, block.res_unit3)]


class Snake:
    """The snake activation with the trained logarithms of alpha and beta for each channel."""

    def __init__(self, module: Any, activate: SnakeFunction) -> None:
        self._activate = activate
        self._alpha = module.alpha.exp()
        self._inverse_beta = (module.beta.exp() + 1e-9).reciprocal()

    def output_length(self, input_length: int) -> int:
        """Return the length of the output, which is that of the input."""
        return input_length

    def input_range(self, output: Span) -> Span:
        """Return the input range of *output*, which is *output* itself."""
        return output

    def __call__(self, x: Tensor, _output: Span = (0, 0), _padding: tuple[int, int] = (0, 0), /) -> Tensor:
        """Return the activation of *x* ``(batch, channels, length)``."""
        return self._activate(x, self._alpha, self._inverse_beta)


class Convolution:
    """A convolution with stride, padding and dilation."""

    def __init__(self, module: Any) -> None:
        self._module = module
        (self._stride,), (self._padding,), (self._dilation,) = module.stride, module.padding, module.dilation
        self._extent = self._dilation * (module.kernel_size[0] - 1)
        few = min(module.in_channels, module.out_channels) <= MAX_CHANNELS_FOR_PRODUCTS
        self._products_are_faster = self._stride == 1 and few

    def output_length(self, input_length: int) -> int:
        """Return the length of the output: one position for each stride of the padded input."""
        return int((input_length + 2 * self._padding - self._extent - 1) // self._stride) + 1

    def input_range(self, output: Span) -> Span:
        """Return the input range of *output*, from the first kernel's first position to the last kernel's last."""
        first = output[0] * self._stride - self._padding
        return first, (output[1] - 1) * self._stride - self._padding + self._extent + 1

    def __call__(self, x: Tensor, _output: Span, padding: tuple[int, int], /) -> Tensor:
        """Return the convolution of *x* ``(batch, channels, length)``."""
        module, x = self._module, zero_padded(x, padding)
        if self._products_are_faster and x.device.type == "cpu":
            return self._sum_of_products(x)
        return conv1d(x, module.weight, module.bias, self._stride, 0, self._dilation)

    def _sum_of_products(self, x: Tensor) -> Tensor:
        """Return the convolution as the sum of one matrix product for each position of the kernel."""
        length = x.shape[-1] - self._extent
        bias = self._module.bias
        out = x.new_zeros(1) if bias is None else bias.unsqueeze(-1)
        for position, weight in enumerate(self._module.weight.unbind(-1)):
            first = position * self._dilation
            weights = weight.expand(len(x), -1, -1)
            inputs = x[..., first : first + length]
            out = torch.baddbmm(out, weights, inputs) if position == 0 else out.baddbmm_(weights, inputs)
        return out


class ResidualUnit:
    """Snake, wide convolution, snake and 1×1 convolution, added to the input."""

    def __init__(self, module: Any, activate: SnakeFunction) -> None:
        self._snake1, self._snake2 = Snake(module.snake1, activate), Snake(module.snake2, activate)
        self._conv1, self._conv2 = Convolution(module.conv1), module.conv2

    def output_length(self, input_length: int) -> int:
        """Return the length of the output, which is that of the input."""
        return input_length

    def input_range(self, output: Span) -> Span:
        """Return the input range of *output*, which is that of the wide convolution."""
        return self._conv1.input_range(output)

    def __call__(self, x: Tensor, output: Span, padding: tuple[int, int], /) -> Tensor:
        """Return the range *output* of the unit's output; *x* is ``(batch, channels, length)``."""
        hidden = self._snake2(self._conv1(self._snake1(x), output, padding))
        weight = self._conv2.weight.squeeze(-1).expand(len(x), -1, -1)
        start = output[0] - self.input_range(output)[0] - padding[0]  # of the range *output* within x
        out = torch.baddbmm(self._conv2.bias.unsqueeze(-1), weight, hidden)
        return out.add_(x[..., start : start + output[1] - output[0]])


class Upsampling:
    """A transposed convolution whose kernel is two strides wide.

    Each stride of the output is the sum of two matrix products: that of the input position at its end with the first
    half of the kernel, and that of the position before with the second half.
    """

    def __init__(self, module: Any) -> None:
        self._stride, self._padding = int(module.stride[0]), int(module.padding[0])
        in_channels, out_channels, width = module.weight.shape
        self._out_channels = int(out_channels)
        self._few_channels = min(in_channels, self._out_channels) <= MAX_CHANNELS_FOR_PRODUCTS
        if width != 2 * self._stride or 2 * self._padding != self._stride or any(module.output_padding):
            raise ValueError(
                f"transposed convolution with a kernel of {width} positions and a stride of {self._stride}; the kernel "
                "must be two strides wide, the padding half a stride, and the output padding 0."
            )
        self._halves = module.weight.transpose(1, 2).reshape(in_channels, -1).chunk(2, 1)
        self._bias: Tensor = module.bias

    def output_length(self, input_length: int) -> int:
        """Return the length of the output: one stride for each position of the input."""
        return int(input_length * self._stride)

    def input_range(self, output: Span) -> Span:
        """Return the input range of *output*: all positions whose kernels reach into it."""
        return self._stride_index(output[0]) - 1, self._stride_index(output[1] - 1) + 1

    def __call__(self, x: Tensor, output: Span, padding: tuple[int, int], /) -> Tensor:
        """Return the range *output* of the transposed convolution; *x* is ``(batch, channels, length)``."""
        x = zero_padded(x, padding)
        first = output[0] + self._padding - self._stride_index(output[0]) * self._stride
        inside = slice(first, first + output[1] - output[0])
        if self._few_channels and x.device.type == "cpu":
            return self._channels_first(x)[..., inside] + self._bias.unsqueeze(-1)
        return (self._channels_last(x)[:, inside] + self._bias).transpose(1, 2).contiguous()

    def _channels_last(self, x: Tensor) -> Tensor:
        """Return all strides of *x* without the bias, ``(batch, length, channels)``."""
        columns = x.transpose(1, 2)
        strides = torch.matmul(columns[:, 1:], self._halves[0])
        strides += torch.matmul(columns[:, :-1], self._halves[1])
        return strides.view(len(x), -1, self._out_channels)

    def _channels_first(self, x: Tensor) -> Tensor:
        """Return all strides of *x* without the bias, ``(batch, channels, length)``; faster with few channels."""
        first_half, second_half = (half.t().expand(len(x), -1, -1) for half in self._halves)
        strides = torch.bmm(first_half, x[..., 1:]).baddbmm_(second_half, x[..., :-1])
        by_stride = strides.view(len(x), self._stride, self._out_channels, -1)
        return by_stride.permute(0, 2, 3, 1).reshape(len(x), self._out_channels, -1)

    def _stride_index(self, position: int) -> int:
        """Return the number of the stride that *position* of the output lies in."""
        return int((position + self._padding) // self._stride)


def store_for_upsampling(module: Any) -> None:
    """Store the weight of a transposed convolution in the order in which `Upsampling` reads it without a copy."""
    module.weight.data = module.weight.detach().transpose(1, 2).contiguous().transpose(1, 2)
