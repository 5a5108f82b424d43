"""Functions that replace asv's own while it runs benchmarks, so that it measures exactly the cells it asks for."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asv import util
from asv.commands import find, run
from asv.console import log
from asv.environment import Environment
from asv.results import iter_results_for_machine_and_hash
from asv.runner import run_benchmarks, skip_benchmarks
from asv.util import ProcessError, UserError

from benchmarks.harness.settings import ONCE_VARIABLE
from scripts.tracker.running.asv_subclasses import CELLS, CellResults, SelectedBenchmarks
from scripts.tracker.running.benchmark_cells import CellId, requested_cells, selected_cells, selection_of
from scripts.tracker.running.cell_outcomes import CellOutcomes
from scripts.tracker.running.cell_states import CellStates

REFUSED = ("rounds", "repeat", "number", "warmup_time", "sample_time", "min_run_count", "max_time")
"""Attributes that ``asv run --attribute`` may not set: the harness takes the samples, and asv would repeat them."""
_STORED_FIELDS = (
    "_results",
    "_stats",
    "_samples",
    "_benchmark_params",
    "_started_at",
    "_duration",
    "_benchmark_version",
)
"""Fields of asv's `Results` that hold an entry for each benchmark."""


class RunHooks:
    """Replacements of asv's functions for the commands that run benchmarks; `install` puts them in place."""

    def __init__(self) -> None:
        self._skip_measured = self._skip_failed = False
        self._build_error = ""

    def install(self, journal: Path) -> None:
        """Replace asv's functions; *journal* is the folder in which the benchmarks keep their records."""
        CellResults.journal = journal
        for command in (run, find):
            command.Benchmarks, command.Results = SelectedBenchmarks, CellResults
            command.run_benchmarks = self.run_benchmarks
        run.skip_benchmarks = self.skip_benchmarks
        run.iter_results_for_machine_and_hash = iter_results_to_skip
        Environment.install_project = self._remembering_errors(Environment.install_project)

    def begin(self, options: dict[str, Any]) -> None:
        """Read the *options* of a command.

        Raises:
            UserError: an option would store meaningless results.
        """
        refused = [name for name in REFUSED if name in (options.get("attribute") or {})]
        if refused:
            raise UserError(
                f"--attribute {refused[0]}: the benchmarks take their samples themselves, and asv would store the same "
                "ones several times. Leave it out."
            )
        if options.get("profile"):
            raise UserError(
                "--profile would profile the reading of records. Where the time of a generation goes is told by "
                "scripts/profile_inference.py."
            )
        if options.get("quick"):
            _only_try(options)
        self._skip_measured, self._skip_failed = bool(options.get("skip_successful")), bool(options.get("skip_failed"))

    def run_benchmarks(self, benchmarks: Any, env: Any, results: Any = None, **options: Any) -> Any:
        """Run those of *benchmarks* that are not to be skipped; the harness measures their cells and no others."""
        if self._skip_measured or self._skip_failed:
            states = CellStates(results, CellOutcomes.of(benchmarks._conf.results_dir, results))
            benchmarks = states.to_measure(benchmarks, skip_measured=self._skip_measured, skip_failed=self._skip_failed)
            if not benchmarks:
                return results
        cell_ids = requested_cells(benchmarks)
        with _selecting(cell_ids):
            done = run_benchmarks(benchmarks, env, results=results, **options)
        done.cell_ids = cell_ids
        return done

    def skip_benchmarks(self, benchmarks: Any, env: Any, results: Any = None) -> Any:
        """Mark what was never measured as failed, because the commit could not be built; keep stored numbers."""
        measured = {
            name for name, values in results._results.items() if any(not util.is_na(value) for value in values or ())
        }
        stored = {field: {name: vars(results)[field].get(name) for name in measured} for field in _STORED_FIELDS}
        with log.set_level(logging.ERROR):  # asv would warn once for each benchmark; one line says why
            skip_benchmarks(benchmarks, env, results=results)
        for field, entries in stored.items():
            vars(results)[field].update(entries)
        results.build_error = self._build_error or "it could not be built"
        return results

    def _remembering_errors(self, install: Callable[..., None]) -> Callable[..., None]:
        def install_project(environment: Any, *args: Any, **kwargs: Any) -> None:
            self._build_error = ""
            try:
                install(environment, *args, **kwargs)
            except ProcessError as error:
                self._build_error = _error_line(error)
                raise

        return install_project


def iter_results_to_skip(results_dir: str, machine: str, commit: str) -> Iterator[Any]:
    """Yield asv's stored results of *commit*, without the benchmarks for which a selected cell is unknown.

    From these results asv decides what ``--skip-existing`` skips. It takes NaN for a success, but NaN may also be a
    cell that was never requested.
    """
    for result in iter_results_for_machine_and_hash(results_dir, machine, commit):
        states = CellStates(result, CellOutcomes.of(results_dir, result))
        left = states.to_measure(SelectedBenchmarks.latest, skip_measured=True, skip_failed=True)
        for name in set(left) & set(result.get_all_result_keys()):
            result.remove_result(name)
        yield result


def _only_try(options: dict[str, Any]) -> None:
    """Make ``--quick`` do what asv's manual says: run each benchmark once and save nothing."""
    if isinstance(options.get("range_spec"), list):
        raise UserError("asv continuous compares what is saved, and --quick saves nothing. Leave --quick out.")
    options["dry_run"] = True
    os.environ[ONCE_VARIABLE] = "yes"


@contextmanager
def _selecting(cell_ids: set[CellId]) -> Iterator[None]:
    """Select the cells *cell_ids* for the benchmarks that start inside the block."""
    before = os.environ.get(CELLS)
    if cell_ids and cell_ids != selected_cells(before or "quick"):
        os.environ[CELLS] = selection_of(cell_ids)
    try:
        yield
    finally:
        os.environ.pop(CELLS, None)
        if before is not None:
            os.environ[CELLS] = before


def _error_line(error: Any) -> str:
    """Return the output line in which a failed command names its error; without one, the last line."""
    lines = [line.strip() for text in (error.stderr, error.stdout) for line in str(text or "").splitlines()]
    printed = [line for line in lines if line and not line.startswith(("[notice]", "note:", "hint:", "╰─>"))]
    errors = [line for line in printed if "error" in line.partition(":")[0].lower()]
    return (errors or printed or [str(error)])[-1]
