"""Synthesizers by variant of the diffusion model, and a step of each."""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

from benchmarks.harness.adapters import probe
from benchmarks.harness.device import tensor_bytes
from benchmarks.harness.record import Cell
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import CellFailed
from benchmarks.harness.workloads.models import checkpoints, dit_folder, load_dit, workload_digest
from benchmarks.harness.workloads.synthesizer import LATENT_RATE, denoising


class SynthesizerCache:
    """Holds one synthesizer at a time, at first the turbo variant; loading another variant drops it.

    Attributes:
        device: of the synthesizer.
        loaded_bytes: size of all tensors after the synthesizer was loaded.
        workload: digest of the turbo checkpoints.
    """

    def __init__(self, settings: Settings) -> None:
        """Load the turbo variant."""
        self.device = settings.device
        self.loaded_bytes = 0
        self._settings = settings
        self._family = ""
        self._synthesizer: Any = None
        self._load("turbo")
        self.workload = workload_digest(settings)

    def synthesizer(self, family: str) -> Any:
        """Return the synthesizer with the variant *family*; raises as `load_dit` and `checkpoints`."""
        if family != self._family:
            self._load(family)
            gc.freeze()  # the garbage collector need not visit it between samples
        return self._synthesizer

    def _load(self, family: str) -> None:
        self._family, self._synthesizer = "", None
        gc.unfreeze()
        gc.collect()
        root = checkpoints(self._settings, dits=(family,))
        self._synthesizer = load_dit(self._settings, root, dit_folder(family))
        self._family = family
        gc.collect()
        self.loaded_bytes = tensor_bytes()


def dit_step(dit: Any, cell: Cell) -> partial[Any]:
    """Return a function that evaluates the transformer once, as a step of a generation does.

    For variants that are guided, the batch is doubled, and its second half has no condition.
    """
    import torch

    if dit.is_turbo_model() == _guided(cell):
        raise CellFailed(f"the model in {dit_folder(str(cell['family']))} is not one of {cell['family']}")
    latents, times, condition, context = denoising(dit, cell)
    if _guided(cell):
        latents, times = torch.cat([latents, latents]), torch.cat([times, times])
    return partial(probe.denoiser(dit, condition, context, guided=_guided(cell)), latents, times)


def check_dit_step(_dit: Any, cell: Cell, velocities: Any) -> dict[str, float]:
    """Raise CellFailed if *velocities* have another number of rows or frames; return no further series."""
    wanted = int(cell["batch"]) * (2 if _guided(cell) else 1), LATENT_RATE * int(cell["duration"])
    if velocities.shape[:2] != wanted:
        rows, frames, _ = velocities.shape
        raise CellFailed(f"the step was of {rows} rows and {frames} frames instead of {wanted[0]} and {wanted[1]}")
    return {}


def _guided(cell: Cell) -> bool:
    return not str(cell["family"]).endswith("turbo")
