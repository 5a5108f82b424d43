"""The workload of the matrix `planner`: single steps of the engine, the constraint, and the two phases."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.harness.device import tensor_bytes
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import TakeSample
from benchmarks.harness.workloads import constraint, phases, steps
from benchmarks.harness.workloads.memory import with_memory
from benchmarks.harness.workloads.models import workload_digest
from benchmarks.harness.workloads.planner_cache import PlannerCache, computed_by, dtype_of

PREPARE_PART: dict[str, Callable[[PlannerCache, Cell], TakeSample]] = {
    "Prefill": steps.prefill,
    "DecodeStep": steps.decode_step,
    "ChainOfThought": phases.chain_of_thought,
    "CodesPhase": phases.codes_phase,
    "Constraint": constraint.write_metadata,
}
STEPS_ALONE = ("Prefill", "DecodeStep")
WEIGHTS = {"Prefill": 1.0, "DecodeStep": 2.0, "ChainOfThought": 4.0, "CodesPhase": 6.0, "Constraint": 2.0}


class Planner:
    """Runs the part that the cell names on the engine that it names."""

    limit_s = 900.0
    memory = False
    """False: only cells of the engine `pt` have the series, and `prepare` adds it to them."""

    def load(self, settings: Settings) -> PlannerCache:
        """Return an empty cache of planners; cells load their engine."""
        return PlannerCache(settings)

    def facts(self, state: PlannerCache) -> Mapping[str, Scalar]:
        """Return the dtype and the digest of the checkpoints."""
        return {"dtype": dtype_of(state.settings), "workload": workload_digest(state.settings)}

    def weight(self, cell: Cell) -> float:
        """Return the weight of the part, in proportion to the duration where there is one."""
        return WEIGHTS[str(cell["stage"])] * float(cell.get("duration", 30)) / 30

    def prepare(self, state: PlannerCache, cell: Cell) -> TakeSample:
        """Return a function that runs the part once; single steps of `pt` also have the series `peak_memory`."""
        part = str(cell["stage"])
        take = computed_by(str(cell.get("engine", "pt")), PREPARE_PART[part](state, cell))
        if part in STEPS_ALONE and cell["engine"] == "pt":
            return with_memory(take, state.settings.device, state.loaded_bytes + tensor_bytes())
        return take
