"""The workload of the matrix `apis`: public functions that run the planner alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle, islice
from typing import Any

from benchmarks.harness.adapters import package
from benchmarks.harness.adapters.lookup import require_keywords
from benchmarks.harness.device import observe
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import CellFailed, Sample, TakeSample
from benchmarks.harness.workloads.generation import CAPTION, FIRST_SEED, LYRICS, audio_codes
from benchmarks.harness.workloads.models import workload_digest
from benchmarks.harness.workloads.planner_cache import PlannerCache, computed_by, dtype_of
from benchmarks.harness.workloads.planner_reports import planner_counts, planner_series

QUERY = "A cheerful sea shanty for a rainy morning, sung by a small choir, with accordion and fiddle."


def _understand(cell: Cell) -> dict[str, Any]:
    return {"audio_codes": audio_codes(int(cell["codes_s"]))}


def _create_sample(cell: Cell) -> dict[str, Any]:
    return {"query": QUERY, "instrumental": bool(cell["instrumental"])}


def _format_sample(cell: Cell) -> dict[str, Any]:
    lines = islice(cycle(line for line in LYRICS.splitlines() if line), int(cell["lyric_lines"]))
    return {"caption": CAPTION, "lyrics": "\n".join(lines)}


APIS: dict[str, tuple[str, Callable[[Cell], dict[str, Any]]]] = {
    "Understand": ("understand_music", _understand),
    "CreateSample": ("create_sample", _create_sample),
    "FormatSample": ("format_sample", _format_sample),
}
"""The function that each class of `benchmarks.apis` calls, and what makes its arguments from a cell."""

FIELDS = ("bpm", "duration", "keyscale", "language", "timesignature", "caption", "lyrics")
"""Attributes of the result that the planner writes."""


class Apis:
    """Calls the function that the cell names. Its arguments and seed are fixed."""

    limit_s = 900.0
    memory = False

    def load(self, settings: Settings) -> PlannerCache:
        """Return an empty cache of planners; cells load their engine."""
        for name, _ in APIS.values():
            package.public(name)
        return PlannerCache(settings)

    def facts(self, state: PlannerCache) -> Mapping[str, Scalar]:
        """Return the dtype and the digest of the checkpoints."""
        return {"dtype": dtype_of(state.settings), "workload": workload_digest(state.settings)}

    def weight(self, cell: Cell) -> float:
        """Return more for unconstrained calls, which can write up to the limit."""
        return 1.0 if cell["constrained"] else 2.0

    def prepare(self, state: PlannerCache, cell: Cell) -> TakeSample:
        """Return a function that calls the function once."""
        name, inputs = APIS[str(cell["stage"])]
        function = package.public(name)
        require_keywords(function, "seed")
        constrained = bool(cell["constrained"])
        call = partial(
            function,
            state.handler(str(cell["engine"])),
            **inputs(cell),
            use_constrained_decoding=constrained,
            seed=FIRST_SEED,
        )
        return computed_by(str(cell["engine"]), partial(_sample, state.settings.device, call, constrained))


def _sample(device: str, call: partial[Any], constrained: bool) -> Sample:
    """Take one sample. Without a constraint the output may be unparsable; that is no failure."""
    run = observe(device, call)
    if constrained and not run.result.success:
        raise CellFailed(str(run.result.error))
    reported = run.result.extra_outputs
    work = {**planner_counts(reported, run.result.error), "understood": bool(run.result.success)}
    series = {**planner_series(reported, run.time_s), "lm": float(reported["time_costs"]["total_time"])}
    return Sample(series, work, run.time_s, output=_text(run.result), wait_s=run.wait_s)


def _text(result: Any) -> str:
    """Return the text that the planner wrote, field by field."""
    return "\n".join(f"{name}: {getattr(result, name, '')}" for name in FIELDS)
