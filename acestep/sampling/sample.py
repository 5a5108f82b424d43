"""The sampling loop: integrates the flow that a network predicts, from noise to latents.

Flow time ``t`` runs from 1 (noise) to 0 (data); the network predicts the velocity ``noise - data``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.sampling.dcw import DCW
from acestep.sampling.solver import EULER, FlowMatchingSolver, SolverSettings, VelocityModel
from acestep.tasks.repaint import RepaintInjection
from acestep.timing.clock import Clock


@dataclass(frozen=True)
class NetworkSwitch:
    """A network that replaces the first one from *step* on; the first step is 0."""

    step: int
    velocity: VelocityModel


def sample(
    velocity: VelocityModel,
    noise: Tensor,
    schedule: Sequence[float],
    *,
    correction: DCW | None,
    clock: Clock,
    on_step: Callable[[int, int], None] | None = None,
    sampler: SolverSettings = EULER,
    turbo: bool = True,
    start: Tensor | None = None,
    switch: NetworkSwitch | None = None,
    repaint: RepaintInjection | None = None,
    draw: Callable[[Tensor], Tensor] = torch.randn_like,
) -> Tensor:
    """Integrate from *noise* ``(batch, frames, 64)`` to clean latents.

    Times are rounded to the dtype of the latents, as the network sees them. The clock measures each step as
    ``dit_step``. A step that ends at the clean estimate needs no wavelet correction, which would change nothing.

    Args:
        velocity: the network.
        noise: the state at time 1.
        schedule: flow times of the steps, see `acestep.sampling.schedules`.
        correction: the wavelet correction (DCW) after each step, or None.
        clock: measures the steps.
        on_step: is called after each step with the number of steps done and the number of all steps.
        sampler: settings of the solver.
        turbo: use the rules of distilled models. Their last step is an Euler step without repainting; with the method
            ``sde``, noise is added up to the next time of the schedule. Other models add it up to evenly spaced times.
        start: state at the first time of *schedule*, instead of *noise*.
        switch: another network for the later steps.
        repaint: injects the source outside the repaint region.
        draw: draws noise in the shape of a state, for the method ``sde``.
    """
    solver = FlowMatchingSolver(sampler, turbo, schedule, noise, draw)
    state = noise if start is None else start
    steps = len(schedule)
    for index in range(steps):
        with clock.span("dit_step"):
            network = switch.velocity if switch and index >= switch.step else velocity
            advanced, clean, time, is_clean = solver.step(network, state, index)
            if correction is not None and not is_clean:
                advanced = correction(advanced, clean, solver.values[index])
            if repaint is not None and index < repaint.injections(steps) and not (turbo and index == steps - 1):
                advanced = repaint.inject(advanced, noise, time)
            state = advanced
        if on_step is not None:
            on_step(index + 1, steps)
    return state if repaint is None else repaint.blend(state)
