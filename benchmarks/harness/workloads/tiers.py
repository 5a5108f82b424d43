"""The workload of the matrix `tiers`: limits of GPU tiers, predicted memory, and a generation run on ``meta``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.harness.adapters import package, probe
from benchmarks.harness.meta_footprint import FootprintRequest, footprint
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Sample, TakeSample

GIB = 2**30


class Tiers:
    """Calls the functions of GPU tiers and those that predict memory."""

    limit_s = 600.0
    memory = False

    def load(self, settings: Settings) -> None:
        """Raise Unsupported if the commit has no tiers. Neither scale nor device of *settings* matters."""
        del settings
        package.public("get_gpu_config")

    def facts(self, state: None) -> Mapping[str, Scalar]:  # noqa: ARG002 - the interface's
        """Return no facts, because no model is loaded."""
        return {}

    def weight(self, cell: Cell) -> float:
        """Return a high weight for running the stages; the other cells take no time."""
        return 200.0 if cell["stage"] == "Run" else 1.0

    def prepare(self, state: None, cell: Cell) -> TakeSample:  # noqa: ARG002 - the interface's
        """Return a function that calls the functions of the cell once."""
        return partial(SAMPLE_FUNCTIONS[str(cell["stage"])], cell)


def _resolve(cell: Cell) -> Sample:
    get_config, labels = package.public("get_gpu_config"), package.public("GPU_TIER_LABELS")
    size = float(cell["vram_gb"])
    config = get_config(size)
    series = {
        "tier_index": float(list(labels).index(config.tier)),
        "max_duration_lm": float(config.max_duration_with_lm),
        "max_duration": float(config.max_duration_without_lm),
        "max_batch_lm": float(config.max_batch_size_with_lm),
        "max_batch": float(config.max_batch_size_without_lm),
        "lm_choices": float(len(config.available_lm_models)),
        "offload_flags": float(2 * config.offload_to_cpu_default + config.offload_dit_to_cpu_default),
        "quantized": float(config.quantization_default),
    }
    return Sample(series, {}, 0.0, exact=True)


def _estimate(cell: Cell) -> Sample:
    estimate = package.public("estimate_inference_vram")
    lm = str(cell["lm"])
    planner = {} if lm == "none" else {"with_lm": True, "lm_size": lm}
    estimated = estimate(int(cell["batch"]), float(cell["duration"]), str(cell["dit"]), **planner)
    return Sample({"estimate": float(estimated) * GIB}, {}, 0.0, exact=True)


def _predict(cell: Cell) -> Sample:
    predicted = probe.predict_memory(float(cell["vram_gb"]), _setup(cell, str(cell["variant"])))
    series = {
        "peak": predicted["peak_gb"] * GIB,
        "over_budget": max(0.0, predicted["peak_gb"] - predicted["budget_gb"]) * GIB,
        "misfits": float(not predicted["fits"]),
    }
    return Sample(series, {"peak_stage": predicted["peak_stage"]}, 0.0, exact=True)


def _boundary(cell: Cell) -> Sample:
    duration_s, sizes = float(cell["duration"]), range(2, 49)

    def least(variant: str) -> float:
        """Return the smallest size, in GB, that fits together with all larger ones."""
        misfits = [
            size
            for size in sizes
            if not probe.predict_memory(size, _setup({**cell, "vram_gb": size}, variant), duration_s)["fits"]
        ]
        return float(misfits[-1] + 1 if misfits else sizes[0])

    series = {
        f"min_gb_{variant.replace('-', '_')}": least(variant) for variant in ("default", "no-quant", "no-offload")
    }
    return Sample(series, {}, 0.0, exact=True)


def _batches(cell: Cell) -> Sample:
    largest = probe.largest_batch(float(cell["vram_gb"]), _setup(cell))
    config = package.public("get_gpu_config")(float(cell["vram_gb"]))
    allowed = config.max_batch_size_without_lm if cell["lm"] == "none" else config.max_batch_size_with_lm
    series = {"too_large": float(max(0, allowed - largest)), "unused": float(max(0, largest - allowed))}
    return Sample(series, {"largest": largest, "allowed": allowed}, 0.0, exact=True)


def _run(cell: Cell) -> Sample:
    options = probe.tier_options(_setup(cell))
    limit = int(probe.budget_gb(float(cell["vram_gb"])) * GIB)
    request = FootprintRequest(
        quantization="int8_weight_only" if options["quantized"] else None,
        offload=options["offload"],
        offload_dit=options["offload_dit"],
        resident_bytes=int(options["resident_planner_gb"] * GIB),
    )
    start = time.perf_counter()
    found = footprint(request, limit)
    series = {"peak": float(found.peak_bytes), "misfits": float(bool(found.failed))}
    work = {"vae_path": found.vae_path, "failed": found.failed}
    return Sample(series, work, time.perf_counter() - start, exact=True)


def _setup(cell: Cell, variant: Any = "default") -> Any:
    """Return how the tier of the cell's GPU loads its models."""
    return probe.tier_setup(float(cell["vram_gb"]), planner=cell["lm"] == "tier", variant=variant)


SAMPLE_FUNCTIONS: dict[str, Callable[[Cell], Sample]] = {
    "Resolve": _resolve,
    "Estimators": _estimate,
    "MemoryModel": _predict,
    "Boundary": _boundary,
    "BatchBoundary": _batches,
    "Run": _run,
}
