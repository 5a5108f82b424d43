"""The interface between the harness and what it measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings


class Unsupported(Exception):
    """The commit under measurement lacks a feature that a cell needs.

    The cell is n/a at a commit that is older than the feature, and has failed at one that is expected to have it; see
    `expected`.
    """


class Unavailable(Unsupported):
    """The machine, the environment or the checkpoints lack what a cell needs: n/a, whatever the commit."""


class CellFailed(Exception):
    """A cell did not do what was asked of it; the message says what it did."""


@dataclass(frozen=True)
class Sample:
    """One run: its value in every series, the work it did, the seconds of the timed region and its peak of memory.

    Of an `exact` one nothing would differ in another run, so that there is none. `in_torch` says whether torch, in
    this process, computes what is timed. `output` is what was made, where that depends on nothing but the cell: tensors
    (see `output.numbers`) or words; no record keeps it. `wait_s` is the run-queue wait in the timed region (see
    `contention`); None where that is unknown.
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
    """Loads models once, then turns cells into functions that run them.

    The class is created without arguments, in the parent process (for `limit_s` and `weight`) and again in
    the worker (for the rest), so its module must import neither torch nor `acestep` at its top. `limit_s` is
    the seconds that a cell may take, warm-up and all samples together; `memory` says whether the series
    `peak_memory` makes sense; samples that have it already keep it.
    """

    limit_s: float
    memory: bool

    def load(self, settings: Settings) -> Any:
        """Do what all cells share and return it."""

    def facts(self, state: Any) -> Mapping[str, Scalar]:
        """Say what the records shall keep about the loaded *state*: dtype, engine, attention."""

    def prepare(self, state: Any, cell: Cell) -> TakeSample:
        """Return a function that runs *cell* once."""

    def weight(self, cell: Cell) -> float:
        """How long *cell* takes compared with others; only the estimate of the time left depends on it."""
