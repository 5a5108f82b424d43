"""The interface between the harness and the workloads that it measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings


class Unsupported(Exception):
    """The commit under measurement lacks a feature that a cell needs.

    The cell is n/a at a commit that is older than the feature. It fails at a commit that is expected to have the
    feature, see `expected`.
    """


class Unavailable(Unsupported):
    """The machine, the environment or the checkpoints lack what a cell needs: it is n/a at every commit."""


class CellFailed(Exception):
    """A cell did not do the requested work; the message says what it did."""


@dataclass(frozen=True)
class Sample:
    """One run of a cell.

    Attributes:
        series: the value of each series.
        work: what the run did, such as tokens and steps.
        timed_s: seconds of the timed region.
        peak_bytes: peak memory of the timed region, where the device reports it.
        exact: whether all series are exact. Then one sample is taken, because another one would not differ.
        in_torch: whether torch computes the timed region in this process.
        output: what was produced, if it depends on nothing but the cell: tensors (see `output.numbers`) or text.
            Records do not contain it.
        wait_s: run-queue wait in the timed region (see `contention`); None if it is unknown.
    """

    series: Mapping[str, float]
    work: Mapping[str, Scalar]
    timed_s: float
    peak_bytes: int | None = None
    exact: bool = False
    in_torch: bool = True
    output: Any = None
    wait_s: float | None = None


TakeSample = Callable[[], Sample]


class Workload(Protocol):
    """Loads models once, and makes functions that run the cells.

    An object is created without arguments in the parent process, for `limit_s` and `weight`, and another one in the
    worker, for everything else. So its module must import neither torch nor the measured package at its top.

    Attributes:
        limit_s: seconds that a cell may take, with warm-up and all samples.
        memory: whether the harness adds the series `peak_memory`: the bytes of the models that `load` loads, and the
            peak of a run. Samples that have the series already keep theirs.
    """

    limit_s: float
    memory: bool

    def load(self, settings: Settings) -> Any:
        """Load what all cells share, and return it as the state."""

    def facts(self, state: Any) -> Mapping[str, Scalar]:
        """Return facts about the loaded *state* for the records, such as dtype and engine."""

    def prepare(self, state: Any, cell: Cell) -> TakeSample:
        """Return a function that runs *cell* once."""

    def weight(self, cell: Cell) -> float:
        """Return the time of *cell* relative to other cells; it is only used to estimate the remaining time."""
