"""What the tiers say and predict, and what a tier's generation takes up at the released shapes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.harness.footprint import Asked, footprint
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Sample, TakeSample, require

GIB = 2**30


class Tiers:
    """Asks the functions of `acestep.gpu_config` and `acestep.memory.predict`."""

    limit_s = 600.0
    memory = False

    def load(self, settings: Settings) -> None:
        """Import what all cells ask; nothing depends on scale or device of *settings*."""
        del settings
        require("acestep.gpu_config", "get_gpu_config")

    def facts(self, state: None) -> Mapping[str, Scalar]:  # noqa: ARG002 - the interface's
        """Return nothing: no model is loaded."""
        return {}

    def weight(self, cell: Cell) -> float:
        """Most of them take no time."""
        return 200.0 if cell["stage"] == "Run" else 1.0

    def prepare(self, state: None, cell: Cell) -> TakeSample:  # noqa: ARG002 - the interface's
        """Return a function that asks once."""
        return partial(STAGES[str(cell["stage"])], cell)


def _resolve(cell: Cell) -> Sample:
    get_config, labels = require("acestep.gpu_config", "get_gpu_config", "GPU_TIER_LABELS")
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
    estimate = require("acestep.gpu_config", "estimate_inference_vram")
    lm = str(cell["lm"])
    planner = {} if lm == "none" else {"with_lm": True, "lm_size": lm}
    estimated = estimate(int(cell["batch"]), float(cell["duration"]), str(cell["dit"]), **planner)
    return Sample({"estimate": float(estimated) * GIB}, {}, 0.0, exact=True)


def _predict(cell: Cell) -> Sample:
    size, setup = float(cell["vram_gb"]), _setup(cell)
    predicted = require("acestep.memory.predict", "predict")(size, setup.variant(str(cell["variant"])))
    series = {
        "peak": predicted.peak_gb * GIB,
        "over_budget": max(0.0, predicted.peak_gb - predicted.budget_gb) * GIB,
        "misfits": float(not predicted.fits()),
    }
    return Sample(series, {"peak_stage": predicted.peak_stage}, 0.0, exact=True)


def _boundary(cell: Cell) -> Sample:
    predict, request_class = require("acestep.memory.predict", "predict", "GenerationShape")
    request = request_class(float(cell["duration"]))
    sizes = range(2, 49)

    def least(variant: str) -> float:
        """The size from which on all larger ones fit."""
        fitting = [predict(size, _setup({**cell, "vram_gb": size}).variant(variant), request).fits() for size in sizes]
        misfits = [size for size, fits in zip(sizes, fitting, strict=True) if not fits]
        return float(misfits[-1] + 1 if misfits else sizes[0])

    series = {
        f"min_gb_{variant.replace('-', '_')}": least(variant) for variant in ("default", "no-quant", "no-offload")
    }
    return Sample(series, {}, 0.0, exact=True)


def _batches(cell: Cell) -> Sample:
    largest = require("acestep.memory.predict", "largest_batch")(float(cell["vram_gb"]), _setup(cell))
    config = require("acestep.gpu_config", "get_gpu_config")(float(cell["vram_gb"]))
    allowed = config.max_batch_size_without_lm if cell["lm"] == "none" else config.max_batch_size_with_lm
    series = {"too_large": float(max(0, allowed - largest)), "unused": float(max(0, largest - allowed))}
    return Sample(series, {"largest": largest, "allowed": allowed}, 0.0, exact=True)


def _run(cell: Cell) -> Sample:
    budget, planner_gb = require("acestep.gpu.probe", "budget_gb"), require("acestep.memory.predict", "planner_gb")
    setup, limit = _setup(cell), int(budget(float(cell["vram_gb"])) * GIB)
    asked = Asked(
        quantization="int8_weight_only" if setup.quantized else None,
        offload=setup.offload,
        offload_dit=setup.offload_dit,
        beside_bytes=int(planner_gb(setup, 1) * GIB) if setup.planner_stays else 0,
    )
    start = time.perf_counter()
    found = footprint(asked, limit)
    series = {"peak": float(found.peak_bytes), "misfits": float(bool(found.failed))}
    work = {"vae_path": found.vae_path, "failed": found.failed}
    return Sample(series, work, time.perf_counter() - start, exact=True)


def _setup(cell: Cell) -> Any:
    """Return how the tier of *cell* loads its models."""
    config = require("acestep.gpu_config", "get_gpu_config")(float(cell["vram_gb"]))
    return require("acestep.memory.predict", "ModelSetup").from_config(config, with_lm=cell["lm"] == "tier")


STAGES: dict[str, Callable[[Cell], Sample]] = {
    "Resolve": _resolve,
    "Estimators": _estimate,
    "MemoryModel": _predict,
    "Boundary": _boundary,
    "BatchBoundary": _batches,
    "Run": _run,
}
