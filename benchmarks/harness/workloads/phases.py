"""Each of the planner's two phases alone, through `LLMHandler.generate_with_stop_condition`."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.harness.device import observe
from benchmarks.harness.record import Cell
from benchmarks.harness.workload import CellFailed, Sample
from benchmarks.harness.workloads.generation import CAPTION, CODES_PER_SECOND, FIRST_SEED, LYRICS
from benchmarks.harness.workloads.planner_cache import PlannerCache
from benchmarks.harness.workloads.planner_reports import planner_counts, planner_series, planner_text


def chain_of_thought(engines: PlannerCache, cell: Cell) -> partial[Sample]:
    """Return a function that runs phase 1 for a request with nothing but caption and lyrics."""
    call = partial(
        engines.handler(str(cell["engine"])).generate_with_stop_condition,
        CAPTION,
        LYRICS,
        "dit",
        use_constrained_decoding=bool(cell["constrained"]),
        use_cot_caption=bool(cell["caption"]),
        seeds=[FIRST_SEED],
    )
    return partial(_sample, engines.settings.device, call, codes=0)


def codes_phase(engines: PlannerCache, cell: Cell) -> partial[Sample]:
    """Return a function that runs phase 2 for a batch, with guidance and without a chain of thought."""
    duration, batch = int(cell["duration"]), int(cell["batch"])
    call = partial(
        engines.handler(str(cell["engine"])).generate_with_stop_condition,
        CAPTION,
        LYRICS,
        "llm_dit",
        cfg_scale=2.0,
        target_duration=float(duration),
        use_cot_metas=False,
        batch_size=batch,
        seeds=[FIRST_SEED + item for item in range(batch)],
    )
    return partial(_sample, engines.settings.device, call, codes=CODES_PER_SECOND * duration * batch)


def _sample(device: str, call: partial[dict[str, Any]], *, codes: int) -> Sample:
    run = observe(device, call)
    reported, error = run.result["extra_outputs"], run.result["error"]
    if error:
        raise CellFailed(str(error))
    work = planner_counts(reported, error)
    if work["code_tokens"] != codes:
        raise CellFailed(f"the planner wrote {work['code_tokens']} codes instead of {codes}")
    series = planner_series(reported, run.time_s)
    return Sample(series, work, run.time_s, output=planner_text(run.result), wait_s=run.wait_s)
