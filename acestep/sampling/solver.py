"""The steps of an integration along the flow: what a network's velocities make of a state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.sampling.guidance import Guidance, Guider
from acestep.sampling.noise import add_noise

VelocityModel = Callable[[Tensor, Tensor], Tensor]
"""Maps noisy latents ``[B, T, 64]`` and times ``[B]`` to velocities ``[B, T, 64]``.

Where guidance is on, the batch is doubled at guided steps: its second half is without the condition.
"""


@dataclass(frozen=True)
class SolverSettings:
    """How the flow is integrated.

    Attributes:
        method: ``ode``, or ``sde``, which predicts the clean latents at each step and adds fresh noise.
        heun: average the velocities at both ends of each step (method ``ode``): twice the evaluations.
        guidance: for models that were not distilled; None is none.
        norm_threshold: largest norm of an item's velocity in norms of its state; 0 is no limit.
        ema: share of the previous velocity in each one.

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


class FlowMatchingSolver:
    """One integration: makes steps, and remembers guidance's momentum and the last velocity between them.

    Attributes:
        values: flow times of the schedule's points and the end, as the network sees them.
        guide: guides the network, or None.
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

    def step(self, network: VelocityModel, state: Tensor, index: int) -> tuple[Tensor, Tensor, float]:
        """The next state, the predicted clean one (the same object if the step ends there), and the next time."""
        time, following = self.values[index : index + 2]
        steps = len(self.values) - 1
        velocity = self._mixed(self.velocity(network, state, index), self._previous)
        clean = state - velocity * time
        if self._sampler.method == "sde":
            self._previous = velocity
            level = following if self._turbo else (steps - index - 1) / steps
            return (clean if level == 0 else add_noise(clean, self._draw(state), level)), clean, level
        average = velocity
        if self._sampler.heun and not (self._turbo and index == steps - 1):
            average = self._average(network, state, velocity, index)
        self._previous = average
        if average is velocity and following == 0:
            return clean, clean, following
        return state - average * (time - following), clean, following

    def velocity(self, network: VelocityModel, state: Tensor, index: int) -> Tensor:
        """The guided and limited velocity of *state* at point *index* of the schedule."""
        return self._limited(self._evaluate(network, state, index, first=True), state)

    def smoothed(self, velocity: Tensor) -> Tensor:
        """*velocity* with its share of the last one, which it then is."""
        self._previous = self._mixed(velocity, self._previous)
        return self._previous

    def _average(self, network: VelocityModel, state: Tensor, velocity: Tensor, index: int) -> Tensor:
        """Heun's mean of *velocity* and the one where it leads to."""
        time, following = self.values[index : index + 2]
        trial = state - velocity * (time - following)
        second = self._limited(self._evaluate(network, trial, index + 1, first=False), trial)
        return (velocity + self._mixed(second, velocity)) / 2

    def _evaluate(self, network: VelocityModel, state: Tensor, point: int, *, first: bool) -> Tensor:
        """The network's velocity at *point* of the schedule, guided where that is asked for."""
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
    """*velocity* with a norm of at most *threshold* norms of *state*, item by item; no limit at 0."""
    if threshold <= 0:
        return velocity
    norms = [torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True) + 1e-10 for x in (state, velocity)]
    factor: Tensor = (threshold * norms[0] / norms[1]).clamp(max=1)
    return velocity * factor
