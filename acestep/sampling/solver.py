"""The solver: integrates the flow with Euler, Heun or SDE steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from acestep.sampling.guidance import Guidance, Guider
from acestep.sampling.noise import add_noise

VelocityModel = Callable[[Tensor, Tensor], Tensor]
"""Maps noisy latents ``(rows, frames, 64)`` and times ``(rows,)`` to velocities ``(rows, frames, 64)``.

At guided steps the batch is doubled; the second half is computed with the null condition.
"""


@dataclass(frozen=True)
class SolverSettings:
    """Settings of the solver.

    Attributes:
        method: ``ode``, or ``sde``, which predicts the clean latents at each step and adds fresh noise.
        heun: average the velocities at both ends of each step (method ``ode``), with twice the evaluations.
        guidance: settings of the guidance of models that were not distilled; None is no guidance.
        norm_threshold: largest norm of an item's velocity, as a multiple of the norm of its state; 0 is no limit.
        ema: weight of the previous velocity in each velocity.

    Raises:
        ValueError: *method* is unknown, or has no Heun steps.
    """

    METHODS = ("ode", "sde")

    method: str = "ode"
    heun: bool = False
    guidance: Guidance | None = None
    norm_threshold: float = 0.0
    ema: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in self.METHODS:
            raise ValueError(f"infer_method is {self.method!r}, expected one of {', '.join(self.METHODS)}.")
        if self.heun and self.method == "sde":
            raise ValueError("Heun steps integrate the ode; choose the sampler mode 'euler' for the sde.")


EULER = SolverSettings()
"""Euler steps without guidance."""


class SolverStep(NamedTuple):
    """The result of one step.

    Attributes:
        state: state after the step.
        clean: estimate of the clean latents.
        time: flow time of *state*.
        is_clean: whether *state* is *clean*, because the step ends there.
    """

    state: Tensor
    clean: Tensor
    time: float
    is_clean: bool


class FlowMatchingSolver:
    """Makes the steps of one integration; keeps the momentum of the guidance and the previous velocity between them.

    Attributes:
        values: flow times of the schedule and 0, rounded to the dtype of the latents.
        guide: the guidance, or None.
    """

    def __init__(
        self,
        sampler: SolverSettings,
        turbo: bool,
        schedule: Sequence[float],
        noise: Tensor,
        draw: Callable[[Tensor], Tensor] = torch.randn_like,
    ) -> None:
        self._sampler, self._turbo, self._draw = sampler, turbo, draw
        self._exact = [*schedule, 0.0]
        rounded = torch.tensor(self._exact, dtype=noise.dtype)
        self.values = [float(t) for t in rounded.tolist()]
        self._times = rounded.to(noise.device)
        self.guide = Guider(sampler.guidance) if sampler.guidance else None
        self._previous: Tensor | None = None

    def step(self, network: VelocityModel, state: Tensor, index: int) -> SolverStep:
        """Make the step *index* from *state*."""
        time, following = self.values[index : index + 2]
        steps = len(self.values) - 1
        velocity = self._mixed(self.velocity(network, state, index), self._previous)
        clean = state - velocity * time
        if self._sampler.method == "sde":
            self._previous = velocity
            level = following if self._turbo else (steps - index - 1) / steps
            if level == 0:
                return SolverStep(clean, clean, level, is_clean=True)
            return SolverStep(add_noise(clean, self._draw(state), level), clean, level, is_clean=False)
        average = velocity
        if self._sampler.heun and not (self._turbo and index == steps - 1):
            average = self._average(network, state, velocity, index)
        self._previous = average
        if average is velocity and following == 0:
            return SolverStep(clean, clean, following, is_clean=True)
        return SolverStep(state - average * (time - following), clean, following, is_clean=False)

    def velocity(self, network: VelocityModel, state: Tensor, index: int) -> Tensor:
        """Return the velocity of *state* at time *index* of the schedule, with guidance and norm limit."""
        return self._limited(self._evaluate(network, state, index, first=True), state)

    def smoothed(self, velocity: Tensor) -> Tensor:
        """Return *velocity* averaged with the previous one, and keep it as the previous one."""
        self._previous = self._mixed(velocity, self._previous)
        return self._previous

    def _average(self, network: VelocityModel, state: Tensor, velocity: Tensor, index: int) -> Tensor:
        """Return the mean of *velocity* and the velocity at the end of the Euler step (Heun's method)."""
        time, following = self.values[index : index + 2]
        trial = state - velocity * (time - following)
        second = self._limited(self._evaluate(network, trial, index + 1, first=False), trial)
        return (velocity + self._mixed(second, velocity)) / 2

    def _evaluate(self, network: VelocityModel, state: Tensor, point: int, *, first: bool) -> Tensor:
        """Return the network's velocity at time *point* of the schedule, with guidance where it applies."""
        times = self._times[point]
        if self.guide is None or not self.guide.guidance.covers(self._exact[point]):
            return network(state, times.expand(len(state)))
        pair = network(torch.cat([state, state]), times.expand(2 * len(state)))
        guide = self.guide.predict if first else self.guide.correct
        conditional, unconditional = pair.chunk(2)
        return guide(state, self.values[point], conditional, unconditional)

    def _limited(self, velocity: Tensor, state: Tensor) -> Tensor:
        return limit_norm(velocity, state, self._sampler.norm_threshold)

    def _mixed(self, velocity: Tensor, previous: Tensor | None) -> Tensor:
        share = self._sampler.ema
        return velocity if previous is None or share == 0 else (1 - share) * velocity + share * previous


def limit_norm(velocity: Tensor, state: Tensor, threshold: float) -> Tensor:
    """Limit the norm of each item of *velocity* to *threshold* times the norm of its *state*; 0 is no limit."""
    if threshold <= 0:
        return velocity
    norms = [torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True) + 1e-10 for x in (state, velocity)]
    factor: Tensor = (threshold * norms[0] / norms[1]).clamp(max=1)
    return velocity * factor
