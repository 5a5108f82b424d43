"""Which commits are expected to have every feature that the cells of a matrix need.

A cell is n/a at a commit that is older than a feature that it needs. At a commit that is expected to have the feature,
the feature was removed or renamed, and the cell fails: otherwise the change that a benchmark should show would silence
it.
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
"""By name of a matrix, the first commit whose package has every feature that the cells of the matrix need.

Whoever adds a cell that needs a new feature replaces the commit of its matrix by the one that adds the feature.
"""


def is_expected(matrix: str, settings: Settings) -> bool:
    """Return whether the commit of *settings* is expected to have every feature that *matrix* needs.

    A working tree is. So is every commit of a repository that does not contain the commit in `COMPLETE_SINCE`, because
    there nothing shows that a commit is older. A matrix without an entry there is not expected at any commit.
    """
    since = COMPLETE_SINCE.get(matrix)
    if since is None:
        return False
    if not settings.commit:
        return True
    command = ["git", "-C", settings.conf_dir, "merge-base", "--is-ancestor", since, settings.commit]
    return subprocess.run(command, capture_output=True, check=False).returncode != 1


class Expecting:
    """A workload at a commit that is expected to have every feature: it turns Unsupported into CellFailed."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self.limit_s, self.memory = workload.limit_s, workload.memory

    def load(self, settings: Settings) -> Any:
        """Load what the workload loads; raises CellFailed for a missing feature."""
        with _expected():
            return self._workload.load(settings)

    def facts(self, state: Any) -> Mapping[str, Scalar]:
        """Return the facts of the workload."""
        return self._workload.facts(state)

    def prepare(self, state: Any, cell: Cell) -> TakeSample:
        """Prepare *cell*; this and every sample raises CellFailed for a missing feature."""
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
