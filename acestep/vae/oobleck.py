"""The Oobleck autoencoder's networks, run stretch by stretch.

The weights stay in diffusers' modules; the arithmetic is that of ``diffusers.models.autoencoders.autoencoder_oobleck``.
What differs is the order: see `acestep.vae.tiling`. A transposed convolution is two products with a matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import conv1d

from acestep.vae.tiling import ConvStack, Operation, Span, zero_padded

FEW_CHANNELS: Final = 8
"""With so many or fewer, in or out, a convolution on a processor is faster as a sum of products by rows."""


SnakeFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


def snake(x: Tensor, alpha: Tensor, share: Tensor) -> Tensor:
    """``x + share · sin(alpha · x)²`` of *x* ``[B, C, n]``; *alpha* and *share* are ``[1, C, 1]``."""
    wave = (x * alpha).sin_()
    return torch.addcmul(x, wave * share, wave)


class Snake:
    """An activation with parameters a and b for every channel: `snake` with e^a, and 1 / (e^b + 1e-9)."""

    def __init__(self, module: Any, activate: SnakeFunction) -> None:
        self._activate = activate
        self._alpha = module.alpha.exp()
        self._share = (module.beta.exp() + 1e-9).reciprocal()

    def length(self, places: int) -> int:
        """The same."""
        return places

    def needs(self, output: Span) -> Span:
        """The same."""
        return output

    def __call__(self, x: Tensor, _output: Span = (0, 0), _zeros: tuple[int, int] = (0, 0), /) -> Tensor:
        """SnakeFunction *x* ``[B, C, n]``."""
        return self._activate(x, self._alpha, self._share)


class Convolution:
    """A convolution; its output begins where its kernel's middle is on the first place, or *stride* places on."""

    def __init__(self, module: Any) -> None:
        self._module = module
        (self._stride,), (self._padding,), (self._dilation,) = module.stride, module.padding, module.dilation
        self._reach = self._dilation * (module.kernel_size[0] - 1)
        self._thin = self._stride == 1 and min(module.in_channels, module.out_channels) <= FEW_CHANNELS

    def length(self, places: int) -> int:
        """One output every stride."""
        return int((places + 2 * self._padding - self._reach - 1) // self._stride) + 1

    def needs(self, output: Span) -> Span:
        """A kernel's width for each."""
        first = output[0] * self._stride - self._padding
        return first, (output[1] - 1) * self._stride - self._padding + self._reach + 1

    def __call__(self, x: Tensor, _output: Span, zeros: tuple[int, int], /) -> Tensor:
        """Convolve *x* ``[B, C, n]``."""
        module, x = self._module, zero_padded(x, zeros)
        if self._thin and x.device.type == "cpu":
            return self._as_products(x)
        return conv1d(x, module.weight, module.bias, self._stride, 0, self._dilation)

    def _as_products(self, x: Tensor) -> Tensor:
        """One product for every place of the kernel."""
        places = x.shape[-1] - self._reach
        bias = self._module.bias
        out = x.new_zeros(1) if bias is None else bias.unsqueeze(-1)
        for place, weight in enumerate(self._module.weight.unbind(-1)):
            first = place * self._dilation
            weights = weight.expand(len(x), -1, -1)
            seen = x[..., first : first + places]
            out = torch.baddbmm(out, weights, seen) if place == 0 else out.baddbmm_(weights, seen)
        return out


class Residual:
    """A residual unit: two activations and two convolutions, the second of them a product, added to the input."""

    def __init__(self, module: Any, activate: SnakeFunction) -> None:
        self._first, self._second = Snake(module.snake1, activate), Snake(module.snake2, activate)
        self._wide, self._narrow = Convolution(module.conv1), module.conv2

    def length(self, places: int) -> int:
        """The same."""
        return places

    def needs(self, output: Span) -> Span:
        """Those of the wide convolution."""
        return self._wide.needs(output)

    def __call__(self, x: Tensor, output: Span, zeros: tuple[int, int], /) -> Tensor:
        """Run the unit on *x* ``[B, C, n]``."""
        hidden = self._second(self._wide(self._first(x), output, zeros))
        weight = self._narrow.weight.squeeze(-1).expand(len(x), -1, -1)
        before = output[0] - self.needs(output)[0] - zeros[0]
        out = torch.baddbmm(self._narrow.bias.unsqueeze(-1), weight, hidden)
        return out.add_(x[..., before : before + output[1] - output[0]])


class Upsampling:
    """A transposed convolution with a kernel of two strides: each output is a sum of two products."""

    def __init__(self, module: Any) -> None:
        self._stride, self._padding = int(module.stride[0]), int(module.padding[0])
        inputs, outputs, width = module.weight.shape
        self._outputs = int(outputs)
        self._thin = min(inputs, self._outputs) <= FEW_CHANNELS
        if width != 2 * self._stride or 2 * self._padding != self._stride or any(module.output_padding):
            raise ValueError(f"transposed convolution of {width} places every {self._stride}, expected twice as many.")
        self._halves = module.weight.transpose(1, 2).reshape(inputs, -1).chunk(2, 1)
        self._bias: Tensor = module.bias

    def length(self, places: int) -> int:
        """A stride for each place."""
        return int(places * self._stride)

    def needs(self, output: Span) -> Span:
        """The places whose two strides are there."""
        return self._stretch(output[0]) - 1, self._stretch(output[1] - 1) + 1

    def __call__(self, x: Tensor, output: Span, zeros: tuple[int, int], /) -> Tensor:
        """Convolve *x* ``[B, C, n]``."""
        x = zero_padded(x, zeros)
        first = output[0] + self._padding - self._stretch(output[0]) * self._stride
        inside = slice(first, first + output[1] - output[0])
        if self._thin and x.device.type == "cpu":
            return self._strides_of_rows(x)[..., inside] + self._bias.unsqueeze(-1)
        return (self._strides_of_columns(x)[:, inside] + self._bias).transpose(1, 2).contiguous()

    def _strides_of_columns(self, x: Tensor) -> Tensor:
        """All strides of *x*, ``[B, places, C]``."""
        columns = x.transpose(1, 2)
        strides = torch.matmul(columns[:, 1:], self._halves[0])
        strides += torch.matmul(columns[:, :-1], self._halves[1])
        return strides.view(len(x), -1, self._outputs)

    def _strides_of_rows(self, x: Tensor) -> Tensor:
        """All strides of *x*, ``[B, C, places]``: faster where there are few channels."""
        new, old = (half.t().expand(len(x), -1, -1) for half in self._halves)
        strides = torch.bmm(new, x[..., 1:]).baddbmm_(old, x[..., :-1])
        by_stride = strides.view(len(x), self._stride, self._outputs, -1)
        return by_stride.permute(0, 2, 3, 1).reshape(len(x), self._outputs, -1)

    def _stretch(self, place: int) -> int:
        """Which stride *place* of the output lies in."""
        return int((place + self._padding) // self._stride)


def decoder_stacks(decoder: Any, activate: SnakeFunction = snake) -> list[ConvStack]:
    """What makes waveforms ``[B, 2, 1920·T]`` of latents ``[B, 64, T]``: an `OobleckDecoder` without weight norm."""
    first, last = decoder.conv1, decoder.conv2
    chains = [ConvStack([Convolution(first)], first.in_channels, first.out_channels, first.out_channels)]
    for block in decoder.block:
        inputs, outputs = block.conv_t1.in_channels, block.conv_t1.out_channels
        operations: list[Operation] = [
            Snake(block.snake1, activate),
            Upsampling(block.conv_t1),
            *_residuals(block, activate),
        ]
        if block is decoder.block[-1]:
            operations += [Snake(decoder.snake1, activate), Convolution(last)]
            chains.append(ConvStack(operations, inputs, outputs, last.out_channels))
        else:
            chains.append(ConvStack(operations, inputs, outputs, outputs))
    return chains


def encoder_stacks(encoder: Any, activate: SnakeFunction = snake) -> list[ConvStack]:
    """What makes means and scales ``[B, 128, T]`` of waveforms: an `OobleckEncoder` without weight norm."""
    first, last = encoder.conv1, encoder.conv2
    chains = []
    for block in encoder.block:
        channels, outputs = block.conv1.in_channels, block.conv1.out_channels
        operations: list[Operation] = [
            *_residuals(block, activate),
            Snake(block.snake1, activate),
            Convolution(block.conv1),
        ]
        if block is encoder.block[0]:
            chains.append(ConvStack([Convolution(first), *operations], first.in_channels, channels, outputs))
        else:
            chains.append(ConvStack(operations, channels, channels, outputs))
    final: list[Operation] = [Snake(encoder.snake1, activate), Convolution(last)]
    return [*chains, ConvStack(final, last.in_channels, last.in_channels, last.out_channels)]


def store_for_upsampling(module: Any) -> None:
    """Store the weight of a transposed convolution so that `Upsampling` needs no copy of it."""
    module.weight.data = module.weight.detach().transpose(1, 2).contiguous().transpose(1, 2)


def _residuals(block: Any, activate: SnakeFunction) -> list[Operation]:
    return [Residual(unit, activate) for unit in (block.res_unit1, block.res_unit2, block.res_unit3)]
