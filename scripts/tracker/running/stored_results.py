"""What asv has stored of each commit on this machine, in the environments of one configuration."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from asv.config import Config
from asv.environment import get_environments
from asv.machine import Machine, MachineCollection
from asv.plugin_manager import plugin_manager
from asv.results import Results, get_filename
from asv.util import UserError

from scripts.tracker.refusal import RefusalError
from scripts.tracker.running.benchmark_cells import CellId
from scripts.tracker.running.cell_outcomes import CellOutcomes
from scripts.tracker.running.cell_states import CellStates


@dataclass(frozen=True)
class StoredResults:
    """asv's results on one machine: the only source of what has been measured."""

    results_dir: str
    machine: str
    environments: tuple[str, ...]

    @classmethod
    def open(cls, config: Path) -> StoredResults:
        """Read asv's configuration in the current folder; describe the machine if asv does not know it yet.

        Raises:
            RefusalError: the configuration has no environment that can be made on this machine.
        """
        try:
            conf = Config.load(str(config))
            for plugin in conf.plugins:
                plugin_manager.import_plugin(plugin)
            environments = tuple(environment.name for environment in get_environments(conf, None))
        except UserError as error:
            raise RefusalError(f"{config.name}: {error}") from error
        if not environments:
            raise RefusalError(f"No environment that {config.name} asks for can be made on this machine.")
        return cls(conf.results_dir, this_machine().machine, environments)

    def unknown(self, commit: str, cell_ids: set[CellId]) -> set[CellId]:
        """Return those of *cell_ids* that are still to be measured at *commit* in some environment."""
        unknown = set()
        for environment in self.environments:
            states = self._states(commit, environment)
            unknown |= cell_ids if states is None else states.unknown(cell_ids)
        return unknown

    def failed(self, commit: str, cell_ids: set[CellId]) -> Mapping[CellId, str]:
        """Return those of *cell_ids* that failed at *commit*, with the reasons."""
        failed: dict[CellId, str] = {}
        for environment in self.environments:
            states = self._states(commit, environment)
            failed |= {} if states is None else states.failed(cell_ids)
        return failed

    def build_failure(self, commit: str) -> str:
        """Return why *commit* could not be built the last time; empty if it could."""
        files = (CellOutcomes(self.results_dir, self.machine, commit, name) for name in self.environments)
        return next((file.build_failure for file in files if file.build_failure), "")

    def has_numbers(self, commit: str) -> bool:
        """Return whether any cell of *commit* is measured."""
        found = (self._states(commit, environment) for environment in self.environments)
        return any(states is not None and states.measured_cells for states in found)

    def _states(self, commit: str, environment: str) -> CellStates | None:
        """Return the stored states of *commit*; None if there is no result file, or it is unreadable."""
        path = Path(self.results_dir, get_filename(self.machine, commit, environment))
        if not path.is_file():
            return None
        try:
            result = Results.load(str(path))
        except (UserError, KeyError, TypeError, ValueError):
            return None
        same = result.commit_hash == commit
        return CellStates(result, CellOutcomes.of(self.results_dir, result)) if same else None


def this_machine() -> Any:
    """Return asv's description of this machine; make one with asv's defaults if there is none."""
    try:
        MachineCollection.load(Machine.get_unique_machine_name())
    except UserError:
        with redirect_stdout(StringIO()):  # asv prints the questions even if it does not ask them
            described = Machine.generate_machine_file(use_defaults=True)
        MachineCollection.save(described["machine"], described)
    return Machine.load()
