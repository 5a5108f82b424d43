"""Sampling: from noise to latents along the flow that a network predicts.

FlowMatchingSolver time ``t`` runs from 1 (noise) to 0 (data); the network predicts the velocity ``noise - data``.
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
    """Another network from *step* (0 is the first) on."""

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
    """Integrate from *noise* ``[B, T, 64]`` to clean latents along *schedule*, see `acestep.sampling.schedules`.

    Times are rounded to the latents' dtype, as the network sees them. Each step is a visit of the clock's stage
    ``dit_step``. Where the last step ends at the predicted clean state the correction is an identity and left out.

    Args:
        velocity: the network.
        noise: where the flow begins.
        schedule: flow times of the steps.
        correction: wavelet correction, or None.
        clock: takes the visits.
        on_step: called with the step done and the number of steps.
        sampler: how to integrate.
        turbo: the rules of distilled models: the last step is a plain one and keeps no source, and fresh noise is
            added up to the next time of the schedule; the rules of the others add it up to an even, unshifted one.
        start: begin with this state instead of *noise*, at the first time of *schedule*.
        switch: the network of the later steps.
        repaint: frames of a source to keep.
        draw: fresh noise like a state, for the method ``sde``.
    """
    flow = FlowMatchingSolver(sampler, turbo, schedule, noise, draw)
    state = noise if start is None else start
    steps = len(schedule)
    for index in range(steps):
        with clock.span("dit_step"):
            network = switch.velocity if switch and index >= switch.step else velocity
            advanced, clean, level = flow.step(network, state, index)
            if correction is not None and advanced is not clean:
                advanced = correction(advanced, clean, flow.values[index])
            if repaint is not None and index < repaint.injections(steps) and not (turbo and index == steps - 1):
                advanced = repaint.inject(advanced, noise, level)
            state = advanced
        if on_step is not None:
            on_step(index + 1, steps)
    return state if repaint is None else repaint.blend(state)
