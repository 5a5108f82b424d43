"""The workload of the matrix `options`: one generation under different load options, whose effect is checked."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.adapters import package, probe
from benchmarks.harness.adapters.lookup import require_keywords
from benchmarks.harness.device import module_bytes, tensor_bytes
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import CellFailed, Sample, TakeSample, Unavailable
from benchmarks.harness.workloads import generation
from benchmarks.harness.workloads.memory import with_memory
from benchmarks.harness.workloads.models import checkpoints, load_dit, workload_digest
from benchmarks.harness.workloads.music import request_for

PIECE: Cell = {"duration": 30, "batch": 1, "thinking": False, "steps": 8}
OFFLOADS = {"none": (False, False), "models": (True, False), "all": (True, True)}
"""Whether text encoder and VAE are offloaded, and whether the diffusion model is."""
KEYWORDS = ("offload_to_cpu", "offload_dit_to_cpu", "quantization", "compile_model")
OPTION_TIME_COSTS = {**generation.TIME_COSTS, "transfer": "dit_offload_time_cost"}
OPTION_COUNTS = {"offload": ("transfers", "transfer_bytes"), "quantization": ("plain_layers",), "compile": ("graphs",)}
"""Counts that are series of the cells in which the option is on."""


class Options:
    """Loads the synthesizer with the options of the cell, and calls `generate_music` once a sample."""

    limit_s = 1800.0
    memory = False
    """False: the harness counts models that `load` loads, but here each cell loads; `prepare` adds the series."""

    def load(self, settings: Settings) -> Settings:
        """Check that the commit takes the options, and build the checkpoints."""
        require_keywords(package.public("AceStepHandler").initialize_service, *KEYWORDS)
        checkpoints(settings)
        return settings

    def facts(self, state: Settings) -> Mapping[str, Scalar]:
        """Return the dtype and the digest of the checkpoints."""
        dtype = str(probe.default_dtype(state.device))
        return {"dtype": dtype, "workload": workload_digest(state)}

    def weight(self, cell: Cell) -> float:
        """Return a high weight for cells that compile."""
        return 10.0 if cell["compile"] else 1.0

    def prepare(self, state: Settings, cell: Cell) -> TakeSample:
        """Load the synthesizer, and return a function that calls `generate_music` once."""
        _free_previous_cell(compiling=bool(cell["compile"]))
        dit = load_with(state, checkpoints(state), cell)
        take = partial(_sample, state.device, dit, cell)
        if cell["compile"]:
            take()  # compiles; that is no part of a sample and may take longer than a sample may
        return with_memory(take, state.device, tensor_bytes())


def load_with(settings: Settings, root: Path, cell: Cell) -> Any:
    """Return a synthesizer loaded with the options of *cell*; raises CellFailed if one of them has no effect."""
    quantization = None if cell["quantization"] == "none" else cell["quantization"]
    if quantization is not None and settings.device == "mps":
        raise Unavailable("nothing quantized runs on mps")
    values = (*OFFLOADS[str(cell["offload"])], quantization, bool(cell["compile"]))
    options: dict[str, Any] = dict(zip(KEYWORDS, values, strict=True))
    dit = load_dit(settings, root, **options)
    effect = probe.options_in_effect(dit)
    counts = {
        "offload": (len(effect["offloaded"]), "offloaded parts"),
        "quantization": (effect["quantized_layers"], "quantized layers"),
        "compile": (effect["compiled_graphs"], "compiled graphs"),
    }
    check_effect(cell, counts)
    return dit


def check_effect(cell: Cell, counts: Mapping[str, tuple[int, str]]) -> None:
    """Raise CellFailed if an option of *cell* is not in effect, or one is in effect that the cell does not ask for.

    *counts* has, by option, the number of things that it applies to, and their name.
    """
    wrong = [
        f"{option}={cell[option]}, but {count} {noun}"
        for option, (count, noun) in counts.items()
        if bool(count) != _is_on(cell, option)
    ]
    if wrong:
        raise CellFailed(f"not as asked: {'; '.join(wrong)}")


def check_run(cell: Cell, counts: Mapping[str, int]) -> None:
    """Raise CellFailed if an option had no effect on the run, although it is in effect on the models."""
    check_effect(
        cell,
        {
            "offload": (counts["transfers"], "transfers"),
            "quantization": (counts["quantized_layers"], "quantized layers"),
            "compile": (counts["compiled_calls"], "calls of compiled graphs"),
        },
    )
    if cell["offload"] == "all" and counts["transfer_bytes"] < counts["weight_bytes"]:
        raise CellFailed(
            f"not as asked: offload=all, but {counts['transfer_bytes']} bytes were moved, and the diffusion "
            f"transformer alone has {counts['weight_bytes']}"
        )


def _is_on(cell: Cell, option: str) -> bool:
    return cell[option] not in ("none", False)


def _sample(device: str, dit: Any, cell: Cell) -> Sample:
    request = request_for(PIECE, turbo=True)
    calls_before = probe.options_in_effect(dit)["compiled_calls"]
    run = generation.generate(dit, None, device, request)
    sample = generation.as_sample(run, dit, request, OPTION_TIME_COSTS)
    effect, transfers = run.result.extra_outputs["options"], run.result.extra_outputs["transfers"]
    counts = {
        "graphs": effect["compiled_graphs"],
        "compiled_calls": effect["compiled_calls"] - calls_before,
        "transfers": transfers["times"],
        "transfer_bytes": transfers["moved_bytes"],
        **_weights(probe.transformer(dit)),
    }
    check_run(cell, counts)
    names = [
        "weight_bytes",
        *(name for option in OPTION_COUNTS if _is_on(cell, option) for name in OPTION_COUNTS[option]),
    ]
    series = {name: float(counts[name]) for name in names}
    return replace(sample, series={**sample.series, **series}, work={**sample.work, **counts})


def _weights(transformer: Any) -> dict[str, int]:
    """Return the numbers of plain and of quantized linear layers, and the bytes of all weights."""
    import torch

    layers = [module for module in transformer.modules() if isinstance(module, torch.nn.Linear)]
    plain = sum(not hasattr(layer.weight, "__tensor_flatten__") for layer in layers)
    return {
        "plain_layers": plain,
        "quantized_layers": len(layers) - plain,
        "weight_bytes": module_bytes(transformer),
    }


def _free_previous_cell(*, compiling: bool) -> None:
    """Free the models of the previous cell; if this cell compiles, also reset torch's compiler."""
    import torch

    if compiling:
        torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it so
        torch.cuda.empty_cache()
