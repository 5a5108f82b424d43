"""Editing along the flow (FlowEdit, arXiv:2412.08629): from one description of a piece to another, keeping the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.sampling.guidance import momentum_buffer
from acestep.sampling.noise import add_noise
from acestep.sampling.solver import FlowMatchingSolver, SolverSettings, VelocityModel
from acestep.timing.clock import Clock


@dataclass(frozen=True)
class FlowEditSettings:
    """Where along the flow a source is edited.

    Attributes:
        start: share of the steps that are left out at the beginning.
        end: share of the steps after which the target's flow alone goes on.
        draws: noises that the velocities of an edited step are averaged over.

    Raises:
        ValueError: not ``0 <= start <= end <= 1``, or no draws.
    """

    start: float = 0.0
    end: float = 1.0
    draws: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(f"flow edit from {self.start} to {self.end}: expected 0 <= n_min <= n_max <= 1.")
        if self.draws < 1:
            raise ValueError(f"flow edit averages {self.draws} draws, expected at least 1.")


def edit_latents(
    networks: tuple[VelocityModel, VelocityModel],
    source: Tensor,
    schedule: Sequence[float],
    edit: FlowEditSettings,
    *,
    clock: Clock,
    sampler: SolverSettings,
    draw: Callable[[Tensor], Tensor],
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Latents of the target, made from those of *source* ``[B, T, 64]`` with Euler steps.

    Args:
        networks: velocities under the description of the source, and under that of the target.
        source: what is edited.
        schedule: flow times, see `acestep.sampling.schedules`.
        edit: which steps edit.
        clock: takes the visits of ``dit_step``.
        sampler: guidance, limit and smoothing of both velocities.
        draw: noise like a state.
        on_step: called with the step done and the number of steps.
    """
    steps = len(schedule)
    first, last = int(steps * edit.start), int(steps * edit.end)
    flows = [FlowMatchingSolver(sampler, False, schedule, source) for _ in networks]
    times = flows[0].values
    state = source
    for index in range(first, steps):
        time, following = times[index : index + 2]
        with clock.span("dit_step"):
            if index < last:
                noisy = [add_noise(source, draw(source), time) for _ in range(edit.draws)]
                shifted = [state + noise - source for noise in noisy]
                before, after = (
                    flow.smoothed(_mean_velocity(flow, network, states, index))
                    for flow, network, states in zip(flows, networks, (noisy, shifted), strict=True)
                )
                velocity = after - before
            else:
                if index == max(first, last):
                    state = state + add_noise(source, draw(source), time) - source
                velocity = flows[1].smoothed(flows[1].velocity(networks[1], state, index))
            state = state - (time - following) * velocity
        if on_step is not None:
            on_step(index + 1, steps)
    return state


def _mean_velocity(flow: FlowMatchingSolver, network: VelocityModel, states: Sequence[Tensor], index: int) -> Tensor:
    """The mean velocity of *states*, each guided from the momentum before the step; that advances once, by the mean."""
    guide = flow.guide
    before = guide.momentum.running_average if guide else 0.0
    velocities, momenta = [], []
    for state in states:
        if guide:
            guide.momentum = momentum_buffer(before)
        velocities.append(flow.velocity(network, state, index))
        momenta.append(guide.momentum.running_average if guide else 0.0)
    if guide:
        guide.momentum = momentum_buffer(sum(momenta) / len(momenta))
    return torch.stack(velocities).mean(0)
