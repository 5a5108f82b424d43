"""Random numbers of a generation: every item draws from its own seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class NoiseStreams:
    """One stream of normal numbers an item, so that no item depends on another one's seed.

    Args:
        seeds: one an item.
        device: where the numbers are drawn; another device draws others, and ``meta`` none.
        dtype: the same holds for the number format.
    """

    def __init__(self, seeds: Sequence[int], *, device: str, dtype: torch.dtype) -> None:
        self._generators = [None if device == "meta" else torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._device, self._dtype = device, dtype

    def draw(self, frames: int, channels: int) -> Tensor:
        """The next noise ``[B, frames, channels]``."""
        shape = (1, frames, channels)
        return torch.cat(
            [
                torch.randn(shape, generator=generator, device=self._device, dtype=self._dtype)
                for generator in self._generators
            ]
        )

    def like(self, state: Tensor) -> Tensor:
        """The next noise of the shape of *state* ``[B, T, C]``."""
        return self.draw(*state.shape[1:])


def seeded_noise(seeds: Sequence[int], frames: int, channels: int, *, device: str, dtype: torch.dtype) -> Tensor:
    """Normal noise ``[B, frames, channels]``; each item depends on its own seed alone (and on device and dtype)."""
    return NoiseStreams(seeds, device=device, dtype=dtype).draw(frames, channels)


def mix_noise(noise: Tensor, other: Tensor, variance: float) -> Tensor:
    """*noise* turned towards *other*: at *variance* 0 it is *noise*, at 1 *other*, and always of the same size."""
    angle = variance * math.pi / 2
    return math.cos(angle) * noise + math.sin(angle) * other


def add_noise(clean: Tensor, noise: Tensor, time: float) -> Tensor:
    """*clean* latents on the way to *noise*, at flow *time* (1 is noise)."""
    return time * noise + (1 - time) * clean
