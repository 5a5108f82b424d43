"""The ways of running one test of `tier-test`: on a GPU, on small models, without storage, by formula.

``cuda`` is the truth and needs a GPU; the others need none. ``budget`` really generates, with tiny models on a device
whose memory is the simulated one's in the proportion of the models' needs. ``shapes`` runs the released shapes without
storage, ``analytic`` computes. What is measured and what is computed is told with every test.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from acestep.constants import LM_PREFIX
from acestep.examples import Example
from acestep.gpu.probe import budget_gb, is_cuda_available
from acestep.gpu.simulation import simulated_vram
from acestep.memory.predict import planner_gb, predict
from acestep.memory.stage_estimates import RELEASED_LM_FORWARD_GB, GenerationShape
from acestep.memory.units import GIB
from scripts.tracker.profiling.session import SetupError, family_of, find_checkpoints
from scripts.tracker.profiling.tier_tables import TierTest

if TYPE_CHECKING:
    from scripts.tracker.profiling.tier_test import Task

Runner = Callable[["Task"], TierTest]
SEED: Final = 42
STEPS: Final = 8


@dataclass(frozen=True)
class Way:
    """One of the ways: a sentence about it, and what makes its runner."""

    told: str
    open: Callable[[Example, argparse.Namespace], Runner]


def _analytic(example: Example, arguments: argparse.Namespace) -> Runner:  # noqa: ARG001 - all ways are opened alike
    def run(task: Task) -> TierTest:
        shape = GenerationShape(task.duration_s, task.batch)
        predicted = predict(task.size_gb, task.setup, shape)
        chunk = predicted.tile_frames
        found = {
            "peak_gb": predicted.peak_gb,
            "stages_gb": predicted.stages_gb,
            "vae_path": "whole" if chunk >= shape.frames else f"tiled {chunk}",
        }
        if predicted.fits():
            return task.test("ok", "computed by formula", **found)
        reason = f"needs {predicted.peak_gb:.2f}GB of {predicted.budget_gb:.2f}GB"
        return task.test("oom", "computed by formula", stage=predicted.peak_stage, reason=reason, **found)

    return run


def _shapes(example: Example, arguments: argparse.Namespace) -> Runner:  # noqa: ARG001 - all ways are opened alike
    from benchmarks.harness.meta_footprint import footprint

    def run(task: Task) -> TierTest:
        how, limit = "computed at released shapes", int(budget_gb(task.size_gb) * GIB)
        setup, planner = task.setup, planner_gb(task.setup, task.batch)
        found = footprint(asked(task, arguments.config_path, planner if setup.planner_stays else 0.0), limit)
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
            return task.test("ok", how, **seen)
        reason = f"needs {stages[stage]:.2f}GB or more of {limit / GIB:.2f}GB"
        return task.test("oom", how, stage=stage, reason=reason, **seen)

    return run


def asked(task: Task, config_path: str, planner: float = 0.0) -> Any:
    """The footprint to be computed for *task*, beside a planner of so many GiB."""
    from benchmarks.harness.meta_footprint import FootprintRequest

    setup = task.setup
    return FootprintRequest(
        family=family_of(config_path),
        duration=task.duration_s,
        batch=task.batch,
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

    def run(task: Task) -> TierTest:
        from acestep.memory.limit import MemoryLimit
        from benchmarks.harness.device import module_bytes

        how = f"measured on tiny models, {share * 1024:.1f}MB for 1GB"
        try:
            dit, lm = load(task, arguments, root, "cpu", "pt", compiled=False)
        except SetupError as error:
            return task.test("fail", how, stage="init", reason=str(error))
        there = [
            module for name, each in dit.parts().items() if name not in dit.offload_manager.offloaded for module in each
        ]
        resident = sum(map(module_bytes, [*there, *([] if lm is None else [lm.llm])]))
        limit = MemoryLimit(int(budget_gb(task.size_gb) * GIB * share), resident)
        start = time.perf_counter()
        with limit:
            result = generated(task, example, arguments, dit, lm)
        return judged(task, result, lm, how, limit.peak_bytes / share / GIB, time.perf_counter() - start)

    return run


@cache
def share_of(family: str) -> float:
    """Bytes of a tiny model's need in 4-byte numbers that stand for a byte of the released one's in 2-byte numbers."""
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

    def run(task: Task) -> TierTest:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool

        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            try:
                return pool.submit(on_cuda, task, example, arguments, root).result()
            except BrokenProcessPool:
                return task.test("fail", "measured", reason="the process that ran the test died")

    return run


def on_cuda(task: Task, example: Example, arguments: argparse.Namespace, root: Path) -> TierTest:
    """One test on a GPU whose allocator is held to the simulated size; in a process of its own."""
    import torch

    how, start = "measured", time.perf_counter()
    with simulated_vram(task.size_gb) as enforcement:
        if enforcement != "cuda-cap":
            return task.test("fail", how, stage="init", reason="the simulated size could not be enforced")
        try:
            backend = task.config.recommended_backend
            dit, lm = load(task, arguments, root, "cuda", backend, compiled=task.compile)
            result = generated(task, example, arguments, dit, lm)
        except SetupError as error:
            status = "oom" if "out of memory" in str(error).lower() else "fail"
            return task.test(status, how, stage="init", reason=str(error))
        test = judged(task, result, lm, how, torch.cuda.max_memory_allocated() / GIB, time.perf_counter() - start)
        reserved = torch.cuda.max_memory_reserved() / GIB
        if test.status == "ok" and reserved > budget_gb(task.size_gb):
            return task.test("fail", how, reason=f"{reserved:.2f}GB were reserved, more than the size leaves")
        return test


def load(
    task: Task, arguments: argparse.Namespace, root: Path, device: str, backend: str, *, compiled: bool
) -> tuple[Any, Any]:
    """The models of *task*; without a planner the second is None.

    Raises:
        SetupError: one cannot be loaded.
    """
    import os

    from acestep.handler import AceStepHandler
    from acestep.llm_inference import LLMHandler

    os.environ["ACESTEP_CHECKPOINTS_DIR"] = str(root)
    setup, dit = task.setup, AceStepHandler()
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


def generated(task: Task, example: Example, arguments: argparse.Namespace, dit: Any, lm: Any) -> Any:
    """What `generate_music` returns for *task*."""
    from acestep.inference import GenerationConfig, GenerationParams, generate_music

    params = GenerationParams(
        **example.params | {"duration": task.duration_s},
        inference_steps=STEPS,
        guidance_scale=arguments.guidance_scale,
        thinking=lm is not None,
        use_cot_metas=lm is not None,
        use_cot_caption=False,
        use_cot_language=False,
    )
    config = GenerationConfig(batch_size=task.batch, use_random_seed=False, seeds=[SEED + i for i in range(task.batch)])
    return generate_music(dit, lm, params, config)


def judged(task: Task, result: Any, lm: Any, how: str, peak: float, wall_s: float) -> TierTest:
    """The test's outcome: passed are as many pieces as were asked for, nothing less."""
    seen: dict[str, Any] = {"peak_gb": peak, "wall_s": wall_s, "backend": "" if lm is None else lm.llm_backend}
    if not result.success:
        told = re.match(r"Out of memory in (\w+): (.*)", result.error, re.DOTALL)
        if told:
            return task.test("oom", how, stage=told[1], reason=told[2], **seen)
        return task.test("fail", how, stage="generation", reason=result.error, **seen)
    decoded = result.extra_outputs["vae_decode"]
    path = "whole" if decoded["path"] == "whole" else f"{decoded['path']} {decoded['window_frames']}"
    if len(result.audios) != task.batch:
        return task.test("fail", how, reason=f"{len(result.audios)} of {task.batch} pieces came out", **seen)
    return task.test("ok", how, vae_path=path, **seen)


RUNS: Final = {
    "cuda": Way("measured, the size is enforced on CUDA's allocator", _cuda),
    "budget": Way("measured on tiny models under a limit in proportion", _budget),
    "shapes": Way("computed at the released shapes, run without storage", _shapes),
    "analytic": Way("computed by formula", _analytic),
}
