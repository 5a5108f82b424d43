"""Subclasses of asv's `Benchmarks` and `Results` that know the harness's cells; asv's commands use them instead."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from asv.benchmarks import Benchmarks
from asv.console import log
from asv.results import Results
from asv.util import UserError

from scripts.tracker.running.benchmark_cells import CellId, filtered, selected_cells
from scripts.tracker.running.cell_outcomes import CellOutcomes, journal_files

CELLS = "ACESTEP_BENCH_CELLS"
"""Environment variable that holds the selection of cells."""


class SelectedBenchmarks(Benchmarks):  # type: ignore[misc]  # asv ships no types
    """The benchmarks that asv has discovered, restricted to the selected cells; `latest` is the last discovery."""

    latest: ClassVar[Any] = None

    @classmethod
    def discover(
        cls, conf: Any, repo: Any, environments: Sequence[Any], commit_hashes: Sequence[str], **options: Any
    ) -> Any:
        """Discover benchmarks as asv does, and drop the cells that ``ACESTEP_BENCH_CELLS`` does not select.

        No commit is installed for the discovery: the benchmarks are those of the working tree, and they import nothing
        of the measured package. A commit that cannot be built is therefore a failure of that commit, not of the run.
        """
        found = super().discover(conf, repo, [_NothingInstalled(one) for one in environments], commit_hashes, **options)
        selection = os.environ.get(CELLS, "quick")
        cell_ids = selected_cells(selection)
        selected = filtered(found, lambda _benchmark, _index, cell_id: cell_id in cell_ids)
        if found and not selected:
            log.warning(
                f"--bench names no cell that {CELLS}={selection} chooses. Set {CELLS} to full, or to conditions such "
                "as duration=60,batch=2."
            )
        cls.latest = selected
        return selected

    def save(self) -> None:
        """Write asv's ``benchmarks.json`` atomically."""
        target = Path(self.get_benchmark_file_path(self._conf.results_dir))
        _replace(target, lambda folder: _save_into(super(SelectedBenchmarks, self).save, self._conf, folder))


class _NothingInstalled:
    """An environment of asv that installs no commit."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environment, name)

    def install_project(self, *_commit: Any) -> None:
        """Do nothing."""


def _save_into(save: Callable[[], None], conf: Any, folder: str) -> None:
    """Call *save* while *conf* names *folder* as the folder of results."""
    results_dir, conf.results_dir = conf.results_dir, folder
    try:
        save()
    finally:
        conf.results_dir = results_dir


class CellResults(Results):  # type: ignore[misc]  # asv ships no types
    """The results of one commit; they are written atomically, and an outcome file beside them.

    Attributes:
        cell_ids: the cells that were requested and measured; None before that.
        build_error: the reason why nothing could be measured, or "".
        journal: the folder in which the benchmarks keep their records.
    """

    journal: ClassVar[Path] = Path(".asv", "journal")
    cell_ids: set[CellId] | None = None
    build_error = ""

    def save(self, result_dir: str) -> None:
        """Replace the result file atomically, then write its outcome file."""
        _replace(Path(result_dir, self._filename), lambda folder: super(CellResults, self).save(folder))
        outcomes = CellOutcomes.of(result_dir, self)
        if self.build_error:
            outcomes.add_build_failure(self.build_error)
        elif self.cell_ids is not None:
            outcomes.add(journal_files(self.journal, self.commit_hash, self.env_name), self.cell_ids)

    def load_data(self, result_dir: str) -> None:
        """Load the stored results; rename a damaged file with a warning instead of ending the run."""
        try:
            super().load_data(result_dir)
        except (UserError, KeyError, TypeError, ValueError) as error:
            path = Path(result_dir, self._filename)
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            log.warning(f"{path} is damaged ({error}). It is kept as {aside.name}, and its commit is measured anew.")


def _replace(target: Path, save: Callable[[str], None]) -> None:
    """Let *save* write the file into a temporary folder, then replace *target* by it in one step."""
    with tempfile.TemporaryDirectory(prefix="asv-saving-") as folder:
        save(folder)
        (written,) = Path(folder).rglob(target.name)
        content = written.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_suffix(".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(target)
