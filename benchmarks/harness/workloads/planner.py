"""The planner's parts, each alone: steps on its engine, constraints, and its two phases."""

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
    "Constraint": constraint.write_with,
}
STEPS_ALONE = ("Prefill", "DecodeStep")
WEIGHTS = {"Prefill": 1.0, "DecodeStep": 2.0, "ChainOfThought": 4.0, "CodesPhase": 6.0, "Constraint": 2.0}


class Planner:
    """Runs the part that the cell names, on the engine that it names."""

    limit_s = 900.0
    memory = False
    """The harness would count tensors; not every engine has any, so those that do are counted here."""

    def load(self, settings: Settings) -> PlannerCache:
        """Load no engine yet, but import what they need."""
        return PlannerCache(settings)

    def facts(self, state: PlannerCache) -> Mapping[str, Scalar]:
        """Return number format and checkpoints."""
        return {"dtype": dtype_of(state.settings), "workload": workload_digest(state.settings)}

    def weight(self, cell: Cell) -> float:
        """Codes take longest, and longer the more there are."""
        return WEIGHTS[str(cell["stage"])] * float(cell.get("duration", 30)) / 30

    def prepare(self, state: PlannerCache, cell: Cell) -> TakeSample:
        """Return a function that runs the part once; steps in PyTorch have their peak of memory as well."""
        part = str(cell["stage"])
        take = computed_by(str(cell.get("engine", "pt")), PREPARE_PART[part](state, cell))
        if part in STEPS_ALONE and cell["engine"] == "pt":
            return with_memory(take, state.settings.device, state.loaded_bytes + tensor_bytes())
        return take
