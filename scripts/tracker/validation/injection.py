"""A commit that repeats a part of the diffusion transformer's work, and how much longer a step takes with it."""

from __future__ import annotations

from math import exp, log
from random import Random
from typing import Any

import numpy as np

from benchmarks.harness.record import Cell
from scripts.tracker.comparison.series_names import workload_of
from scripts.tracker.statistics.pairs import walsh_averages
from scripts.tracker.validation.local_sides import local_side

TOUCHED: Cell = {"stage": "DiTForward", "duration": 30, "batch": 1}
REPEATING = """

_velocities = Denoiser.__call__


def _repeating(self, latents, times):
    velocities = _velocities(self, latents, times)
    for _ in range({repeats}):
        torch.matmul(self._context[0, :1], self._last)
    return velocities


Denoiser.__call__ = _repeating
"""
"""What the commit appends to ``acestep/dit/denoiser.py``: the last product, of one token, *repeats* times a step."""
CALIBRATING = (30, 300)
"""Repeats that are measured, and between which each takes as long as any."""
TURNS = 4000


def each_repeat() -> float:
    """Return which share of a step each repeat takes.

    Plain and repeating steps take turns in this process: between two processes a step differs by half a percent though
    nothing is repeated. What repeating takes at all, however often, is small (0.1 to 0.3 %) and comes on top.
    """
    import torch

    from acestep.dit import denoiser

    torch.set_num_threads(1)
    workload = workload_of("stages")()
    take = workload.prepare(workload.load(local_side("plain").settings), TOUCHED)
    model: Any = denoiser.Denoiser
    variants = {0: model.__call__}
    for repeats in CALIBRATING:
        exec(REPEATING.format(repeats=repeats), vars(denoiser))
        variants[repeats], model.__call__ = model.__call__, variants[0]
    order, random = list(variants), Random(1)
    slowdowns: dict[int, list[float]] = {repeats: [] for repeats in CALIBRATING}
    for _ in range(TURNS):
        random.shuffle(order)
        times_s = {}
        for repeats in order:
            model.__call__ = variants[repeats]
            times_s[repeats] = take().series["time"]
        for repeats in CALIBRATING:
            slowdowns[repeats].append(log(times_s[repeats] / times_s[0]))
    model.__call__ = variants[0]
    few, many = (exp(np.median(walsh_averages(np.array(slowdowns[repeats])))) - 1 for repeats in CALIBRATING)
    return float(many - few) / (CALIBRATING[1] - CALIBRATING[0])
