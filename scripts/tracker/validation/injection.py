"""A commit that repeats a part of the diffusion transformer's work, and the calibration of its slowdown."""

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
"""The cell whose time the commit changes."""
REPEATING = """

_velocities = Denoiser.__call__


def _repeating(self, latents, times):
    velocities = _velocities(self, latents, times)
    for _ in range({repeats}):
        torch.matmul(self._context[0, :1], self._proj_out)
    return velocities


Denoiser.__call__ = _repeating
"""
"""The text that the commit appends to ``acestep/dit/denoiser.py``. It repeats the last matrix product, for one token,
*repeats* times a step."""
CALIBRATION_REPEATS = (30, 300)
"""Numbers of repeats that are measured; between them the time grows linearly."""
CALIBRATION_RUNS = 4000
"""Number of times that each variant is measured."""


def repeat_share() -> float:
    """Return the time of one repeat as a share of a step.

    Plain and repeating steps are interleaved in this process, because a step differs by half a percent between two
    processes even if nothing is repeated. The constant overhead of repeating (0.1 to 0.3 %) is not included.
    """
    import torch

    from acestep.dit import denoiser

    torch.set_num_threads(1)
    workload = workload_of("stages")()
    run_sample = workload.prepare(workload.load(local_side("plain").settings), TOUCHED)
    model: Any = denoiser.Denoiser
    variants = {0: model.__call__}
    for repeats in CALIBRATION_REPEATS:
        exec(REPEATING.format(repeats=repeats), vars(denoiser))
        variants[repeats], model.__call__ = model.__call__, variants[0]
    order, random = list(variants), Random(1)
    slowdowns: dict[int, list[float]] = {repeats: [] for repeats in CALIBRATION_REPEATS}
    for _ in range(CALIBRATION_RUNS):
        random.shuffle(order)
        times_s = {}
        for repeats in order:
            model.__call__ = variants[repeats]
            times_s[repeats] = run_sample().series["time"]
        for repeats in CALIBRATION_REPEATS:
            slowdowns[repeats].append(log(times_s[repeats] / times_s[0]))
    model.__call__ = variants[0]
    few, many = (exp(np.median(walsh_averages(np.array(slowdowns[repeats])))) - 1 for repeats in CALIBRATION_REPEATS)
    return float(many - few) / (CALIBRATION_REPEATS[1] - CALIBRATION_REPEATS[0])
