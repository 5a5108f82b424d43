"""Guidance of the models that were not distilled: combines the velocities with and without the condition.

There are two rules: adaptive projected guidance (APG, arXiv:2410.02416) with the norms over time, and angle-based
dynamic guidance (ADG), which turns the predicted clean frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

APG_MOMENTUM = -0.75
"""Weight of the previous differences in APG's running difference."""
APG_THRESHOLD = 2.5
"""Largest norm over time of the difference in one channel, for APG."""
ADG_ANGLE = 3.14 / 6
"""Largest angle that ADG turns a frame by, in radians."""

TIME_TOLERANCE = 1e-6
"""Tolerance of the comparison of times, which are rounded to float32."""


@dataclass(frozen=True)
class Guidance:
    """Settings of the guidance.

    Attributes:
        scale: strength; 1 is no guidance.
        adg: angle-based (ADG) instead of projected (APG) guidance.
        start: guidance is applied only at flow times from *start* to *end*, where 1 is noise and 0 is data.
        end: see *start*.
    """

    scale: float = 7.0
    adg: bool = False
    start: float = 0.0
    end: float = 1.0

    def __str__(self) -> str:
        kind = " by angles" if self.adg else ""
        return f"guidance {self.scale:g}{kind} between the times {self.start:g} and {self.end:g}"

    def covers(self, time: float) -> bool:
        """Whether the step at flow *time* is guided."""
        return self.scale > 1 and self.start - TIME_TOLERANCE <= time <= self.end + TIME_TOLERANCE


class Guider:
    """The guidance of one generation; keeps APG's running difference from step to step."""

    def __init__(self, guidance: Guidance) -> None:
        self.guidance = guidance
        self.momentum = momentum_buffer()

    def predict(self, state: Tensor, time: float, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """The velocity of a step from *state* ``[B, T, C]`` at flow *time*."""
        if self.guidance.adg:
            return adg(state, time, conditional, unconditional, self.guidance.scale)
        return apg(conditional, unconditional, self.guidance.scale, self.momentum)

    def correct(self, state: Tensor, time: float, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """The velocity at the end of a Heun step: plain guidance for APG, so that its memory advances once a step."""
        if self.guidance.adg and time > 0:
            return adg(state, time, conditional, unconditional, self.guidance.scale)
        return unconditional + self.guidance.scale * (conditional - unconditional)


def momentum_buffer(average: Tensor | float = 0.0) -> Any:
    """APG's memory, diffusers' `MomentumBuffer`, at a running *average*."""
    from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer

    momentum = MomentumBuffer(APG_MOMENTUM)
    momentum.running_average = average
    return momentum


def apg(conditional: Tensor, unconditional: Tensor, scale: float, momentum: Any) -> Tensor:
    """Adaptive projected guidance of velocities ``[B, T, C]``; *momentum* advances by one difference."""
    from diffusers.guiders.adaptive_projected_guidance import normalized_guidance

    guided: Tensor = normalized_guidance(
        conditional,
        unconditional,
        scale - 1,
        momentum,
        eta=0.0,
        norm_threshold=APG_THRESHOLD,
        use_original_formulation=True,
        norm_dim=1,
    )
    return guided


def adg(state: Tensor, time: float, conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Angle-based guidance of velocities ``[B, T, C]`` at *state* and flow *time* (above 0)."""
    strength = max(scale - 1, 0) + 1e-3
    guided = state.float() - time * conditional.float()
    plain = state.float() - time * unconditional.float()
    angle = _angle(guided, plain)
    turn = (strength * angle).clamp(-ADG_ANGLE, ADG_ANGLE)
    difference = guided - plain
    along = (difference * plain).sum(-1, keepdim=True) / (plain.square().sum(-1, keepdim=True) + 1e-8)
    across = difference - along * plain
    sine = angle.sin()
    stretch = torch.where(sine > 1e-3, turn.sin() / sine, strength)
    return ((state.float() - turn.cos() * guided - stretch * across) / time).to(state.dtype)


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """Angles between the frames of *a* and *b*, ``[B, T, 1]``; in fp64, which Apple's GPUs lack."""
    place = "cpu" if a.device.type == "mps" else a.device
    wide_a, wide_b = a.to(place).double(), b.to(place).double()
    cosine = torch.nn.functional.cosine_similarity(wide_a, wide_b, dim=-1)
    return cosine.clamp(-1 + 1e-6, 1 - 1e-6).arccos().unsqueeze(-1).to(a.device, torch.float32)
