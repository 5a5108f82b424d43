"""Mode ``tier-test``: one generation at every simulated GPU size, and the sizes from which options can be omitted."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

from acestep.examples import Example
from acestep.gpu_config import (
    GPUConfig,
    check_duration_limit,
    get_dit_type_from_path,
    get_gpu_config,
    is_cuda_available,
)
from acestep.memory.predict import BATCH_SIZES, ModelSetup
from scripts.tracker.profiling.memory_models import MEMORY_MODELS
from scripts.tracker.profiling.results import Results
from scripts.tracker.profiling.session import find_checkpoints
from scripts.tracker.profiling.tier_cases import TierCase, TierResult
from scripts.tracker.profiling.tier_tables import batch_table, boundary_table, results_table
from scripts.tracker.progress import say

MIN_SIZE_WITHOUT_OFFLOAD_GB = 8
"""Smallest size, in GiB, on which the diffusion model and a decode of the VAE fit together in 2-byte numbers."""


def run(example: Example, arguments: argparse.Namespace, results: Results) -> int:
    """Run every case and print the tables; returns the exit code."""
    model = arguments.memory_model
    if model == "auto":
        model = "cuda" if is_cuda_available() and find_checkpoints(arguments).scale != "tiny" else "shapes"
    print(
        f"Sizes: {' '.join(map(str, arguments.tiers))} GB; planner: {'yes' if arguments.tier_with_lm else 'no'}; "
        f"{arguments.tier_duration:g} s; {MEMORY_MODELS[model].description}",
        flush=True,
    )
    if arguments.tier_skip_compile and model != "cuda":
        print(f"--tier-skip-compile changes nothing here: nothing is compiled with --memory-model {model}.", flush=True)
    results.describe(memory_model=model, enforcement=MEMORY_MODELS[model].description)
    tests: list[TierResult] = []
    runner = MEMORY_MODELS[model].open(example, arguments)
    try:
        for test in _tests(arguments, runner):
            tests.append(test)
            results.add(_entry(test))
            peak = "" if test.peak_gb is None else f", peak {test.peak_gb:.2f} GB"
            say(f"{test.size_gb}GB {test.config.tier} {test.variant}: {test.status.upper()}{peak}")
    finally:
        if tests:
            print(f"\n{_tables(tests, arguments)}")
    bad = {"fail", "timeout"}  # out of memory is how variants and batches end; a tier as it comes must not be
    failed = [test for test in tests if test.status in (bad | {"oom"} if test.variant == "default" else bad)]
    results.summary = {"tests": len(tests), "failed": len(failed)}
    return 3 if failed else 0


def _tests(arguments: argparse.Namespace, runner: Callable[[TierCase], TierResult]) -> Iterator[TierResult]:
    for size in arguments.tiers:
        config = get_gpu_config(size)
        cases = list(variants(size, config, arguments))
        for case in cases:
            yield case.result("skip", "not run", reason=case.skip) if case.skip else runner(case)
        if arguments.tier_batch_boundary:
            yield from _escalation(cases[0], runner)


def variants(size: int, config: GPUConfig, arguments: argparse.Namespace) -> Iterator[TierCase]:
    """The default test of a size, and with ``--tier-boundary`` those without quantization and without offload."""
    dit = "XL" if get_dit_type_from_path(arguments.config_path).startswith("xl") else "2B"
    setup = ModelSetup.from_config(config, with_lm=arguments.tier_with_lm, dit=dit)
    duration = arguments.tier_duration
    within, _ = check_duration_limit(duration, config, setup.lm is not None)
    if not within:
        duration = config.max_duration_with_lm if setup.lm else config.max_duration_without_lm

    def case(name: str, skip: str = "") -> TierCase:
        chosen = setup.variant(name)
        compiled = chosen.quantized or (config.compile_model_default and not arguments.tier_skip_compile)
        return TierCase(size, config, name, chosen, duration, 1, compiled, skip)

    yield case("default")
    if not arguments.tier_boundary:
        return
    yield case("no-quant", "" if setup.quantized else "the tier does not quantize: default is this test")
    if not (setup.quantized or setup.offload or setup.offload_dit):
        yield case("no-offload", "the tier does not offload: default is this test")
    elif size < MIN_SIZE_WITHOUT_OFFLOAD_GB:
        yield case("no-offload", f"below {MIN_SIZE_WITHOUT_OFFLOAD_GB}GB the models cannot all be on the GPU")
    else:
        yield case("no-offload")


def _escalation(default: TierCase, runner: Callable[[TierCase], TierResult]) -> Iterator[TierResult]:
    """Batches of 1, 2, 4 and 8 without a planner, then with one if the tier has it; each half ends at a failure."""
    for half, with_lm in (("noLM", False), ("LM", True)):
        setup = ModelSetup.from_config(default.config, with_lm=with_lm, dit=default.setup.dit)
        if with_lm and setup.lm is None:
            continue
        for batch in BATCH_SIZES:
            test = runner(replace(default, variant=f"batch-{half}-{batch}", setup=setup, batch=batch))
            yield test
            if test.status != "ok":
                break


def _tables(tests: list[TierResult], arguments: argparse.Namespace) -> str:
    batches = [test for test in tests if test.variant.startswith("batch-")]
    others = [test for test in tests if test not in batches]
    parts = [results_table(others, arguments.format)]
    if arguments.tier_boundary:
        parts.append(boundary_table(others))
    if arguments.tier_batch_boundary:
        parts.append(batch_table(batches))
    return "\n\n".join(parts)


def _entry(test: TierResult) -> dict[str, Any]:
    """Return the entry of *test* in the JSON file."""
    found = asdict(test)
    config = found.pop("config")
    generated = test.status == "ok"
    return {
        **found,
        "tier_gb": test.size_gb,
        "tier": test.config.tier,
        "test_variant": test.variant,
        "use_lm": bool(test.lm),
        "lm_model": test.lm or None,
        "lm_backend": test.backend or None,
        "duration": test.duration_s,
        "batch_size": test.batch,
        "init_success": not test.stage.startswith("init"),
        "gen_success": generated,
        "wall_time": test.wall_s,
        "error": test.reason or None,
        "peak_vram_gb": test.peak_gb,
        "gpu_config": config,
    }
