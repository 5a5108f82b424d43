"""The memory models of ``tier-test``: four ways to determine the peak memory of one case.

``cuda`` measures on a GPU whose allocator is limited to the simulated size. The others need no GPU. ``budget`` runs
generations with tiny models under a limit that is scaled down as their memory is. ``shapes`` runs the released shapes
without storage. ``analytic`` uses a formula. Every result says what was measured or computed.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from acestep.constants import LM_PREFIX
from acestep.examples import Example
from acestep.gpu.probe import budget_gb
from acestep.gpu.simulation import simulated_vram
from acestep.gpu_config import is_cuda_available
from acestep.memory.predict import planner_gb, predict
from acestep.memory.stage_estimates import RELEASED_LM_FORWARD_GB, GenerationShape
from acestep.memory.units import GIB
from scripts.tracker.profiling.session import SetupError, family_of, find_checkpoints
from scripts.tracker.profiling.tier_cases import TierCase, TierResult

Runner = Callable[[TierCase], TierResult]
SEED: Final = 42
STEPS: Final = 8


@dataclass(frozen=True)
class MemoryModel:
    """A memory model: a description for people, and the function that opens its runner."""

    description: str
    open: Callable[[Example, argparse.Namespace], Runner]


def _analytic(example: Example, arguments: argparse.Namespace) -> Runner:  # noqa: ARG001 - all memory models have one signature
    def run(case: TierCase) -> TierResult:
        shape = GenerationShape(case.duration_s, case.batch)
        predicted = predict(case.size_gb, case.setup, shape)
        chunk = predicted.tile_frames
        found = {
            "peak_gb": predicted.peak_gb,
            "stages_gb": predicted.stages_gb,
            "vae_path": "whole" if chunk >= shape.frames else f"tiled {chunk}",
        }
        if predicted.fits():
            return case.result("ok", "computed by formula", **found)
        reason = f"needs {predicted.peak_gb:.2f}GB of {predicted.budget_gb:.2f}GB"
        return case.result("oom", "computed by formula", stage=predicted.peak_stage, reason=reason, **found)

    return run


def _shapes(example: Example, arguments: argparse.Namespace) -> Runner:  # noqa: ARG001 - all memory models have one signature
    from benchmarks.harness.meta_footprint import footprint

    def run(case: TierCase) -> TierResult:
        how, limit = "computed at released shapes", int(budget_gb(case.size_gb) * GIB)
        setup, planner = case.setup, planner_gb(case.setup, case.batch)
        found = footprint(asked(case, arguments.config_path, planner if setup.planner_stays else 0.0), limit)
        stages = {name: stage.peak_bytes / GIB for name, stage in found.stages.items()}
        if setup.lm:
            beside = 0.0 if setup.planner_stays else planner
            stages = {"lm": found.resting_bytes / GIB + beside + RELEASED_LM_FORWARD_GB, **stages}
        peak = max(stages.values())
        seen = {
            "peak_gb": peak,
            "stages_gb": stages,
            "vae_path": found.vae_path,
            "footprint": {name: asdict(stage) for name, stage in found.stages.items()},
        }
        stage = found.failed or next((name for name in stages if stages[name] * GIB > limit), "")
        if not stage:
            return case.result("ok", how, **seen)
        reason = f"needs {stages[stage]:.2f}GB or more of {limit / GIB:.2f}GB"
        return case.result("oom", how, stage=stage, reason=reason, **seen)

    return run


def asked(case: TierCase, config_path: str, planner: float = 0.0) -> Any:
    """The footprint to be computed for *case*, beside a planner of so many GiB."""
    from benchmarks.harness.meta_footprint import FootprintRequest

    setup = case.setup
    return FootprintRequest(
        family=family_of(config_path),
        duration=case.duration_s,
        batch=case.batch,
        quantization="int8_weight_only" if setup.quantized else None,
        offload=setup.offload,
        offload_dit=setup.offload_dit,
        resident_bytes=int(planner * GIB),
    )


def _budget(example: Example, arguments: argparse.Namespace) -> Runner:
    import torch

    from acestep.synthetic import PLANNER_SIZES, cached

    family = family_of(arguments.config_path)
    share = share_of(family)
    root = cached("tiny", PLANNER_SIZES, [family])
    torch.set_num_threads(1)

    def run(case: TierCase) -> TierResult:
        from acestep.memory.limit import MemoryLimit
        from benchmarks.harness.device import module_bytes

        how = f"measured on tiny models, {share * 1024:.1f}MB for 1GB"
        try:
            dit, lm = load(case, arguments, root, "cpu", "pt", compiled=False)
        except SetupError as error:
            return case.result("fail", how, stage="init", reason=str(error))
        there = [
            module for name, each in dit.parts().items() if name not in dit.offload_manager.offloaded for module in each
        ]
        resident = sum(map(module_bytes, [*there, *([] if lm is None else [lm.llm])]))
        limit = MemoryLimit(int(budget_gb(case.size_gb) * GIB * share), resident)
        start = time.perf_counter()
        with limit:
            result = generated(case, example, arguments, dit, lm)
        return judged(case, result, lm, how, limit.peak_bytes / share / GIB, time.perf_counter() - start)

    return run


@cache
def share_of(family: str) -> float:
    """Return the peak memory of the tiny models in float32 divided by that of the released ones in bfloat16."""
    from benchmarks.harness.meta_footprint import FootprintRequest, footprint

    full, tiny = (footprint(FootprintRequest(family=family, scale=scale)) for scale in ("full", "tiny"))
    return 2 * tiny.peak_bytes / full.peak_bytes


def _cuda(example: Example, arguments: argparse.Namespace) -> Runner:
    if not is_cuda_available():
        raise SetupError("--memory-model cuda needs CUDA, and there is none; take budget, shapes or analytic.")
    checkpoints = find_checkpoints(arguments)
    if checkpoints.scale == "tiny":
        raise SetupError(f"{checkpoints.why}, which fit any GPU: give --checkpoints, or --scale full.")
    root = checkpoints.root

    def run(case: TierCase) -> TierResult:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool

        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            try:
                return pool.submit(on_cuda, case, example, arguments, root).result()
            except BrokenProcessPool:
                return case.result("fail", "measured", reason="the process that ran the test died")

    return run


def on_cuda(case: TierCase, example: Example, arguments: argparse.Namespace, root: Path) -> TierResult:
    """Run *case* on a GPU whose allocator is limited to the simulated size; call this in a process of its own."""
    import torch

    how, start = "measured", time.perf_counter()
    with simulated_vram(case.size_gb) as enforcement:
        if enforcement != "cuda-cap":
            return case.result("fail", how, stage="init", reason="the simulated size could not be enforced")
        try:
            backend = case.config.recommended_backend
            dit, lm = load(case, arguments, root, "cuda", backend, compiled=case.compile)
            result = generated(case, example, arguments, dit, lm)
        except SetupError as error:
            status = "oom" if "out of memory" in str(error).lower() else "fail"
            return case.result(status, how, stage="init", reason=str(error))
        test = judged(case, result, lm, how, torch.cuda.max_memory_allocated() / GIB, time.perf_counter() - start)
        reserved = torch.cuda.max_memory_reserved() / GIB
        if test.status == "ok" and reserved > budget_gb(case.size_gb):
            return case.result("fail", how, reason=f"{reserved:.2f}GB were reserved, more than the size leaves")
        return test


def load(
    case: TierCase, arguments: argparse.Namespace, root: Path, device: str, backend: str, *, compiled: bool
) -> tuple[Any, Any]:
    """The models of *case*; without a planner the second is None.

    Raises:
        SetupError: one cannot be loaded.
    """
    import os

    from acestep.handler import AceStepHandler
    from acestep.llm_inference import LLMHandler

    os.environ["ACESTEP_CHECKPOINTS_DIR"] = str(root)
    setup, dit = case.setup, AceStepHandler()
    report, loaded = dit.initialize_service(
        None,
        arguments.config_path,
        device,
        compile_model=compiled,
        offload_to_cpu=setup.offload,
        offload_dit_to_cpu=setup.offload_dit,
        quantization="int8_weight_only" if setup.quantized else None,
    )
    if not loaded:
        raise SetupError(report)
    if setup.lm is None:
        return dit, None
    lm = LLMHandler()
    report, loaded = lm.initialize(root, LM_PREFIX + setup.lm, backend, device, setup.offload)
    if not loaded:
        raise SetupError(report)
    return dit, lm


def generated(case: TierCase, example: Example, arguments: argparse.Namespace, dit: Any, lm: Any) -> Any:
    """What `generate_music` returns for *case*."""
    from acestep.inference import GenerationConfig, GenerationParams, generate_music

    params = GenerationParams(
        **example.params | {"duration": case.duration_s},
        inference_steps=STEPS,
        guidance_scale=arguments.guidance_scale,
        thinking=lm is not None,
        use_cot_metas=lm is not None,
        use_cot_caption=False,
        use_cot_language=False,
    )
    config = GenerationConfig(batch_size=case.batch, use_random_seed=False, seeds=[SEED + i for i in range(case.batch)])
    return generate_music(dit, lm, params, config)


def judged(case: TierCase, result: Any, lm: Any, how: str, peak: float, wall_s: float) -> TierResult:
    """The test's outcome: passed are as many pieces as were asked for, nothing less."""
    seen: dict[str, Any] = {"peak_gb": peak, "wall_s": wall_s, "backend": "" if lm is None else lm.llm_backend}
    if not result.success:
        told = re.match(r"Out of memory in (\w+): (.*)", result.error, re.DOTALL)
        if told:
            return case.result("oom", how, stage=told[1], reason=told[2], **seen)
        return case.result("fail", how, stage="generation", reason=result.error, **seen)
    decoded = result.extra_outputs["vae_decode"]
    path = "whole" if decoded["path"] == "whole" else f"{decoded['path']} {decoded['window_frames']}"
    if len(result.audios) != case.batch:
        return case.result("fail", how, reason=f"{len(result.audios)} of {case.batch} pieces came out", **seen)
    return case.result("ok", how, vae_path=path, **seen)


MEMORY_MODELS: Final = {
    "cuda": MemoryModel("measured, the size is enforced on CUDA's allocator", _cuda),
    "budget": MemoryModel("measured on tiny models under a limit in proportion", _budget),
    "shapes": MemoryModel("computed at the released shapes, run without storage", _shapes),
    "analytic": MemoryModel("computed by formula", _analytic),
}
