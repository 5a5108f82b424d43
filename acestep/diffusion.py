"""Sampling of the turbo models: schedule, noise, Euler steps and the wavelet correction.

Flow time ``t`` runs from 1 (noise) to 0 (data); the network predicts the velocity ``noise - data``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.clock import Clock

TURBO_MAX_STEPS = 8
"""More steps than this are asked for with explicit timesteps."""
MAX_TIMESTEPS = 20
TURBO_TIMESTEPS = tuple(
    a / b
    for a, b in (
        (1, 1), (21, 22), (14, 15), (9, 10), (7, 8), (6, 7), (5, 6), (10, 13), (3, 4), (2, 3),
        (9, 14), (5, 8), (6, 11), (1, 2), (2, 5), (3, 8), (3, 10), (1, 4), (2, 9), (1, 8),
    )
)  # fmt: skip
"""The times that turbo models were distilled at: the 8-step schedules of shift 1, 2 and 3."""

Velocity = Callable[[Tensor, Tensor], Tensor]
"""Maps noisy latents ``[B, T, 64]`` and times ``[B]`` to velocities ``[B, T, 64]``."""


@dataclass(frozen=True)
class Correction:
    """Wavelet-domain correction (DCW) of each new state towards or away from the predicted clean state.

    Attributes:
        mode: ``low``, ``high``, ``double`` (both bands of a one-level Haar transform along time) or ``pix``.
        scaler: strength in the low band, or in the only band.
        high_scaler: strength in the high band, in mode ``double``.
    """

    MODES = ("low", "high", "double", "pix")

    mode: str = "double"
    scaler: float = 0.05
    high_scaler: float = 0.02

    def __call__(self, state: Tensor, clean: Tensor, time: float) -> Tensor:
        """Correct *state* given the predicted *clean* latents, both ``[B, T, 64]``, at flow *time*."""
        low = self.scaler * (time if self.mode in ("low", "double") else 0.0)
        high = {"high": self.scaler, "double": self.high_scaler}.get(self.mode, 0.0) * (1 - time)
        difference = (state - clean).float()
        if self.mode == "pix":
            return (state.float() + self.scaler * difference).to(state.dtype)
        if low == high == 0:
            return state
        mean = _pair_means(difference)
        return (state.float() + low * mean + high * (difference - mean)).to(state.dtype)


def _pair_means(x: Tensor) -> Tensor:
    """The low Haar band of ``[B, T, C]``: each pair of frames replaced by its mean, an odd end paired with zero."""
    frames = x.shape[1]
    padded = torch.nn.functional.pad(x, (0, 0, 0, frames % 2))
    means = (padded[:, 0::2] + padded[:, 1::2]) / 2
    return means.repeat_interleave(2, dim=1)[:, :frames]


def turbo_schedule(steps: int, shift: float, timesteps: Sequence[float] | None = None) -> list[float]:
    """Descending flow times of the network evaluations; the last step goes from the last time straight to 0.

    Explicit *timesteps* lose their trailing zeros and are moved to the nearest of `TURBO_TIMESTEPS`; they win over
    *steps* (evenly spaced, at most `TURBO_MAX_STEPS`) and *shift* (``t' = s·t / (1 + (s-1)·t)``).
    """
    if timesteps is not None:
        return [min(TURBO_TIMESTEPS, key=lambda t: abs(t - wanted)) for wanted in strip_zeros(timesteps)]
    count = min(steps, TURBO_MAX_STEPS)
    even = [1 - i / count for i in range(count)]
    return [shift * t / (1 + (shift - 1) * t) for t in even]


def strip_zeros(timesteps: Sequence[float]) -> list[float]:
    """*timesteps* without the zeros at the end, which every schedule implies."""
    kept = list(timesteps)
    while kept and kept[-1] == 0:
        kept.pop()
    return kept


def seeded_noise(seeds: Sequence[int], frames: int, channels: int, *, device: str, dtype: torch.dtype) -> Tensor:
    """Normal noise ``[B, frames, channels]``; each item depends on its own seed alone (and on device and dtype)."""
    draws = [
        torch.randn(
            (1, frames, channels),
            generator=torch.Generator(device).manual_seed(seed),
            device=device,
            dtype=dtype,
        )
        for seed in seeds
    ]
    return torch.cat(draws)


def sample(
    velocity: Velocity,
    noise: Tensor,
    schedule: Sequence[float],
    *,
    correction: Correction | None,
    clock: Clock,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Integrate from *noise* ``[B, T, 64]`` to clean latents with one network evaluation per schedule entry.

    Times are rounded to the latents' dtype, as the network sees them. Each step is a visit of the clock's stage
    ``dit_step``. At the last step the correction is an identity and is left out.
    """
    state = noise
    times = torch.tensor(list(schedule), device=noise.device, dtype=noise.dtype)
    values = [float(t) for t in times.tolist()]
    for index, time in enumerate(values):
        with clock.span("dit_step"):
            speed = velocity(state, times[index].expand(len(noise)))
            last = index == len(values) - 1
            following = 0.0 if last else values[index + 1]
            advanced = state - speed * (time - following)
            if correction is not None and not last:
                advanced = correction(advanced, state - speed * time, time)
            state = advanced
        if on_step is not None:
            on_step(index + 1, len(values))
    return state
