"""The interface between the harness and what it measures."""

from __future__ import annotations

import importlib
import inspect
import traceback
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


def require(module: str, *names: str) -> Any:
    """Return `module.names[0]` (a list if there are several) of the package under measurement.

    Raises Unsupported if the package has no such module or name. A package that is not installed, a missing dependency,
    and a module of the package that its own code asks for in vain are failures: their ModuleNotFoundError passes.
    """
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not _lacks(module, error):
            raise
        raise Unsupported(f"this commit has no module {error.name}") from error
    values = [require_attribute(found, name) for name in names]
    return values[0] if len(values) == 1 else values


def _lacks(module: str, error: ModuleNotFoundError) -> bool:
    """Return whether *error* says that *module* itself, or a parent package below the top one, does not exist."""
    package = module.partition(".")[0]
    missing = error.name or ""
    if missing == package or not f"{module}.".startswith(f"{missing}."):
        return False
    asking = {frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)}
    return not any(name == package or name.startswith(f"{package}.") for name in asking)


def require_attribute(owner: object, name: str) -> Any:
    """Return the attribute *name* of *owner*; Unsupported if the commit does not have it."""
    try:
        return getattr(owner, name)
    except AttributeError as error:
        if error.obj is not None and (error.obj is not owner or error.name != name):
            raise  # a property of the owner has failed
        label = getattr(owner, "__name__", type(owner).__name__)
        raise Unsupported(f"{label} has no {name} at this commit") from error


def require_keywords(function: Callable[..., Any], *keywords: str) -> None:
    """Raise Unsupported if *function* does not take one of *keywords*."""
    accepted = inspect.signature(function).parameters
    missing = [keyword for keyword in keywords if keyword not in accepted]
    if missing:
        raise Unsupported(f"{function.__name__} does not take {', '.join(missing)} at this commit")
