"""asv's classes with the project's cells in mind; they stand in for asv's own where it runs benchmarks."""

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


class SelectedBenchmarks(Benchmarks):  # type: ignore[misc]  # asv ships no types
    """The benchmarks that asv has discovered, of which only the chosen cells are selected; `latest` are the last."""

    latest: ClassVar[Any] = None

    @classmethod
    def discover(
        cls, conf: Any, repo: Any, environments: Sequence[Any], commit_hashes: Sequence[str], **options: Any
    ) -> Any:
        """Discover as asv does, and leave out the cells that ``ACESTEP_BENCH_CELLS`` does not choose.

        No commit is installed for it: the benchmarks are those of the working tree, and import nothing of what they
        measure. So a commit that cannot be built is a failure of that commit, not of the run.
        """
        found = super().discover(conf, repo, [_Bare(one) for one in environments], commit_hashes, **options)
        cells = os.environ.get(CELLS, "quick")
        cell_ids = selected_cells(cells)
        left = filtered(found, lambda _benchmark, _index, cell_id: cell_id in cell_ids)
        if found and not left:
            log.warning(
                f"--bench names no cell that {CELLS}={cells} chooses. Set {CELLS} to full, or to conditions such as "
                "duration=60,batch=2."
            )
        cls.latest = left
        return left

    def save(self) -> None:
        """Write the descriptions of all benchmarks, at once or not at all."""
        target = Path(self.get_benchmark_file_path(self._conf.results_dir))
        _replace(target, lambda folder: _saved_by(super(SelectedBenchmarks, self).save, self._conf, folder))


class _Bare:
    """An environment of asv in which no commit is installed."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environment, name)

    def install_project(self, *_commit: Any) -> None:
        """Leave installed what is."""


def _saved_by(save: Callable[[], None], conf: Any, folder: str) -> None:
    """Let asv save what it would put into the folder of results of *conf* into *folder*."""
    results_dir, conf.results_dir = conf.results_dir, folder
    try:
        save()
    finally:
        conf.results_dir = results_dir


class CellResults(Results):  # type: ignore[misc]  # asv ships no types
    """The results of one commit, written at once or not at all, with what became of each cell beside them.

    `cell_ids` are the cells that were asked for, once they have been measured; `build_error` says why nothing could be
    measured. `journal` is the folder in which the benchmarks keep their records.
    """

    journal: ClassVar[Path] = Path(".asv", "journal")
    cell_ids: set[CellId] | None = None
    build_error = ""

    def save(self, result_dir: str) -> None:
        """Write a new file and put it in the place of the old one; then write its companion."""
        _replace(Path(result_dir, self._filename), lambda folder: super(CellResults, self).save(folder))
        companion = CellOutcomes.of(result_dir, self)
        if self.build_error:
            companion.add_build_failure(self.build_error)
        elif self.cell_ids is not None:
            companion.add(journal_files(self.journal, self.commit_hash, self.env_name), self.cell_ids)

    def load_data(self, result_dir: str) -> None:
        """Load what is stored; a file that is damaged is put aside, and said so, instead of ending the run."""
        try:
            super().load_data(result_dir)
        except (UserError, KeyError, TypeError, ValueError) as error:
            path = Path(result_dir, self._filename)
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            log.warning(f"{path} is damaged ({error}). It is kept as {aside.name}, and its commit is measured anew.")


def _replace(target: Path, save: Callable[[str], None]) -> None:
    """Let *save* write the file below a folder elsewhere; put what it wrote in the place of *target* in one step."""
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
