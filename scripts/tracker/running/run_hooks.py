"""Makes what asv asks for and what the harness measures one set, for asv's commands that run benchmarks."""

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
"""Attributes that ``asv run --attribute`` may not set: the harness samples, and asv would store its samples twice."""
_STORED = ("_results", "_stats", "_samples", "_benchmark_params", "_started_at", "_duration", "_benchmark_version")
"""What a result of asv holds of each benchmark."""


class RunHooks:
    """What happens while asv runs: `install` puts it in the place of the functions that asv would call."""

    def __init__(self) -> None:
        self._skip_measured = self._skip_failed = False
        self._build_error = ""

    def install(self, journal: Path) -> None:
        """Take the place of asv's functions; *journal* is the folder in which the benchmarks keep their records."""
        CellResults.journal = journal
        for command in (run, find):
            command.Benchmarks, command.Results = SelectedBenchmarks, CellResults
            command.run_benchmarks = self.run_benchmarks
        run.skip_benchmarks = self.skip_benchmarks
        run.iter_results_for_machine_and_hash = iter_results_to_skip
        Environment.install_project = self._remembering_errors(Environment.install_project)

    def begin(self, options: dict[str, Any]) -> None:
        """Take in the *options* of a command; raises UserError for those that would be stored and mean nothing."""
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
        """Run what of *benchmarks* is not to be skipped, with the harness measuring these cells and no others."""
        if self._skip_measured or self._skip_failed:
            known = CellStates(results, CellOutcomes.of(benchmarks._conf.results_dir, results))
            benchmarks = known.undone(benchmarks, skip_measured=self._skip_measured, skip_failed=self._skip_failed)
            if not benchmarks:
                return results
        cell_ids = requested_cells(benchmarks)
        with _measuring(cell_ids):
            done = run_benchmarks(benchmarks, env, results=results, **options)
        done.cell_ids = cell_ids
        return done

    def skip_benchmarks(self, benchmarks: Any, env: Any, results: Any = None) -> Any:
        """Mark what was never measured as failed, since the commit could not be built; numbers that are stored stay."""
        measured = {
            name for name, values in results._results.items() if any(not util.is_na(value) for value in values or ())
        }
        stored = {field: {name: vars(results)[field].get(name) for name in measured} for field in _STORED}
        with log.set_level(logging.ERROR):  # asv warns of each benchmark, where one line says why
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
                self._build_error = _last_words(error)
                raise

        return install_project


def iter_results_to_skip(results_dir: str, machine: str, commit: str) -> Iterator[Any]:
    """Yield what asv has stored of *commit*, without the benchmarks of which a chosen cell is unknown.

    By it asv decides what ``--skip-existing`` skips: NaN, which it takes for a success, may be a cell that was never
    asked for.
    """
    for result in iter_results_for_machine_and_hash(results_dir, machine, commit):
        known = CellStates(result, CellOutcomes.of(results_dir, result))
        left = known.undone(SelectedBenchmarks.latest, skip_measured=True, skip_failed=True)
        for name in set(left) & set(result.get_all_result_keys()):
            result.remove_result(name)
        yield result


def _only_try(options: dict[str, Any]) -> None:
    """Have ``--quick`` do what asv's manual says of it: each benchmark is run once, and nothing is saved."""
    if isinstance(options.get("range_spec"), list):
        raise UserError("asv continuous compares what is saved, and --quick saves nothing. Leave --quick out.")
    options["dry_run"] = True
    os.environ[ONCE_VARIABLE] = "yes"


@contextmanager
def _measuring(cell_ids: set[CellId]) -> Iterator[None]:
    """Have the benchmarks that start meanwhile measure the cells at *cell_ids*."""
    before = os.environ.get(CELLS)
    if cell_ids and cell_ids != selected_cells(before or "quick"):
        os.environ[CELLS] = selection_of(cell_ids)
    try:
        yield
    finally:
        os.environ.pop(CELLS, None)
        if before is not None:
            os.environ[CELLS] = before


def _last_words(error: Any) -> str:
    """Return the line in which a command that failed says why, or the last one that it printed."""
    lines = [line.strip() for text in (error.stderr, error.stdout) for line in str(text or "").splitlines()]
    said = [line for line in lines if line and not line.startswith(("[notice]", "note:", "hint:", "╰─>"))]
    named = [line for line in said if "error" in line.partition(":")[0].lower()]
    return (named or said or [str(error)])[-1]
