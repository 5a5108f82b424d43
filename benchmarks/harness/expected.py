"""Which commits are expected to have everything that a matrix needs.

A feature that a commit never had is n/a. One that is missing at a commit that is expected to have it was removed or
renamed, and has failed: a benchmark must not be silenced by the very change that it should show.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import CellFailed, Sample, TakeSample, Unavailable, Unsupported, Workload

COMPLETE_SINCE: Mapping[str, str] = dict.fromkeys(
    ("generate", "tasks", "options", "stages", "planner", "apis", "footprint", "tiers", "startup"),
    "c1bb76c5c8ab067c8515af152f28aa190f03cc63",
)
"""The commit since which the package has all that the cells of a matrix need, by the matrix's name.

A cell that needs something new of the package moves its matrix to the commit that brings it.
"""


def is_expected(matrix: str, settings: Settings) -> bool:
    """Return whether the commit of *settings* is expected to have everything that *matrix* needs.

    So is a working tree, and any commit of a repository in which the commit of `COMPLETE_SINCE` is unknown: without it
    nothing shows that a commit is older. A matrix that has no entry there is not expected anywhere.
    """
    since = COMPLETE_SINCE.get(matrix)
    if since is None:
        return False
    if not settings.commit:
        return True
    question = ["git", "-C", settings.conf_dir, "merge-base", "--is-ancestor", since, settings.commit]
    return subprocess.run(question, capture_output=True, check=False).returncode != 1


class Expecting:
    """A workload at a commit that is expected to have everything: what it lacks is a failure."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self.limit_s, self.memory = workload.limit_s, workload.memory

    def load(self, settings: Settings) -> Any:
        """Load what *workload* loads; raises CellFailed for a missing feature."""
        with _expected():
            return self._workload.load(settings)

    def facts(self, state: Any) -> Mapping[str, Scalar]:
        """Return the facts of the workload."""
        return self._workload.facts(state)

    def prepare(self, state: Any, cell: Cell) -> TakeSample:
        """Prepare *cell*; preparing it, and every sample, raises CellFailed for a missing feature."""
        with _expected():
            take = self._workload.prepare(state, cell)

        def take_expected() -> Sample:
            with _expected():
                return take()

        return take_expected

    def weight(self, cell: Cell) -> float:
        """Return the weight of the workload."""
        return self._workload.weight(cell)


@contextmanager
def _expected() -> Iterator[None]:
    try:
        yield
    except Unavailable:
        raise
    except Unsupported as error:
        raise CellFailed(
            f"{error}, which is expected to have it: it was removed or renamed. Teach the benchmark the new name, or "
            "name another commit in COMPLETE_SINCE of benchmarks/harness/expected.py"
        ) from error
