"""The workload of the matrix `footprint`: memory and work of each stage at the released shapes, run on ``meta``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.harness.adapters import probe
from benchmarks.harness.meta_footprint import FootprintRequest, footprint, open_models
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Sample, TakeSample

SERIES_PREFIXES = {
    "text_encode": "text",
    "condition_encode": "condition",
    "diffusion": "diffusion",
    "vae_decode": "vae",
}
"""First word of the names of the series of each stage."""


class Footprints:
    """Runs each cell once. Cells that load the same models alike share them."""

    limit_s = 600.0
    memory = False

    def load(self, settings: Settings) -> dict[str, Any]:
        """Return an empty cache of models. Neither scale nor device of *settings* matters."""
        del settings
        _ = probe.open_shapes  # raises Unsupported where stages cannot run on meta
        return {}

    def facts(self, state: dict[str, Any]) -> Mapping[str, Scalar]:  # noqa: ARG002 - of all cells
        """Return the dtype."""
        return {"dtype": "torch.bfloat16"}

    def weight(self, cell: Cell) -> float:
        """Return more for XL models, which have more layers."""
        return 1.5 if "xl" in str(cell["family"]) else 1.0

    def prepare(self, state: dict[str, Any], cell: Cell) -> TakeSample:
        """Return a function that runs every stage once."""
        request = request_for(cell)
        loaded = f"{cell['family']} {cell['loaded']}"
        if loaded not in state:
            state.clear()
            state[loaded] = open_models(request)
        return partial(_sample, request, state[loaded])


def request_for(cell: Cell) -> FootprintRequest:
    """Return the footprint request of *cell*."""
    offloaded = "offloaded" in str(cell["loaded"])
    return FootprintRequest(
        family=str(cell["family"]),
        duration=float(cell["duration"]),
        batch=int(cell["batch"]),
        quantization="int8_weight_only" if "int8" in str(cell["loaded"]) else None,
        offload=offloaded,
        offload_dit=offloaded,
    )


def _sample(request: FootprintRequest, models: Any) -> Sample:
    start = time.perf_counter()
    found = footprint(request, models=models)
    series: dict[str, float] = {"peak": float(found.peak_bytes)}
    for name, stage in found.stages.items():
        short = SERIES_PREFIXES[name]
        series |= {
            f"{short}_weights": float(stage.weight_bytes),
            f"{short}_peak": float(stage.peak_bytes),
            f"{short}_flops": float(stage.flops),
            f"{short}_operators": float(stage.operators),
        }
    work = {"peak_stage": SERIES_PREFIXES[found.peak_stage], "vae_path": found.vae_path}
    return Sample(series, work, time.perf_counter() - start, exact=True)
