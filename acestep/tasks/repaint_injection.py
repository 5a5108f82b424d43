"""Repainting: frames of a source that a generation keeps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.sampling.noise import noised


@dataclass(frozen=True)
class Repaint:
    """Which frames are made anew, and what the others are.

    Attributes:
        mask: true where a frame is made anew, bool ``[B, T]``.
        clean: latents of the source, ``[B, T, 64]``.
        crossfade_frames: length of the ramps outside the mask over which the result becomes the source; with 0 the
            network's own output stays there.
        injection_ratio: share of the steps after which the source is put back, noised, outside the mask.
    """

    mask: Tensor
    clean: Tensor
    crossfade_frames: int = 10
    injection_ratio: float = 0.5

    def injections(self, steps: int) -> int:
        """After how many of *steps* the source is put back, from the first on."""
        return round(self.injection_ratio * steps)

    def inject(self, state: Tensor, noise: Tensor, time: float) -> Tensor:
        """*state* with the source, noised to flow *time*, outside the mask."""
        return torch.where(self.mask.unsqueeze(-1), state, noised(self.clean, noise, time))

    def blend(self, latents: Tensor) -> Tensor:
        """Final *latents* with the source outside the mask and its ramps."""
        if self.crossfade_frames <= 0:
            return latents
        weights = torch.stack([ramped(item, self.crossfade_frames) for item in self.mask]).unsqueeze(-1)
        return (weights * latents + (1 - weights) * self.clean).to(latents.dtype)


def ramped(mask: Tensor, frames: int) -> Tensor:
    """Weights ``[T]`` of the new latents: 1 inside *mask* (bool ``[T]``), ramps of at most *frames* beside it, 0 else.

    The ramps stand outside the first and the last frame of the mask; holes between these have none.
    """
    weights = mask.float()
    if not mask.any() or mask.all():
        return weights
    inside = mask.nonzero()
    first, end = int(inside[0]), int(inside[-1]) + 1
    before, after = min(frames, first), min(frames, len(mask) - end)
    weights[first - before : first] = _rise(before, weights)
    weights[end : end + after] = _rise(after, weights).flip(0)
    return weights


def _rise(frames: int, like: Tensor) -> Tensor:
    return torch.arange(1, frames + 1, device=like.device, dtype=like.dtype) / (frames + 1)
