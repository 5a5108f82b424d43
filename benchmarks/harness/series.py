"""How asv's classes show the series of the records: each is an attribute of a class, and to asv a function."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any, ClassVar, NoReturn, TypeVar

from benchmarks.harness import reference_outputs
from benchmarks.harness.cells import Axes, key
from benchmarks.harness.exact import EXACT_METRICS
from benchmarks.harness.matrix import WHOLE, Records
from benchmarks.harness.record import UNCOUNTED, Cell, Record, Scalar
from benchmarks.harness.series_types import COST, FACT, MEMORY, RATIO, TIME

_COUNTED = (*EXACT_METRICS, "peak_memory")
"""Series that come from runs of their own, after the samples."""
Tracked = dict[str, Any] | float
SetupCache = TypeVar("SetupCache", bound=Callable[..., Records])


class FromRecords:
    """Base of the classes that asv runs on the records of a `setup_cache`.

    A cell that was not chosen, or that the commit cannot run, is NaN, which asv shows as n/a; a cell that failed, or
    whose exact metrics could not be counted, fails, with its reason. `stage` is the parameter of that name, which all
    cells of the class have in common; it is empty where cells have none.
    """

    version = "1"
    timeout = 60.0
    stage: ClassVar[str] = ""
    params: ClassVar[list[list[Scalar]]]
    param_names: ClassVar[list[str]]

    @classmethod
    def fixed(cls) -> dict[str, Scalar]:
        """Return the parameters that all cells of the class have in common."""
        return {"stage": cls.stage} if cls.stage else {}

    def setup(self, records: Records, *params: Scalar) -> None:
        """Raise RuntimeError if measuring the cell failed.

        What kept the whole matrix from being measured is told by its first cell alone.
        """
        first = params == tuple(values[0] for values in self.params)
        record = self.record_of(records, params)
        if first and WHOLE in records:
            record = Record.from_dict(records[WHOLE])
        if record is not None and record.status not in ("ok", "skip"):
            _fail(f"{record.status}: {record.reason}")

    def record_of(self, records: Records, params: tuple[Scalar, ...]) -> Record | None:
        """Return the record of the cell of *params*; None if the cell was not chosen."""
        cell: Cell = {**self.fixed(), **dict(zip(self.param_names, params, strict=True))}
        data = records.get(key(cell))
        return None if data is None else Record.from_dict(data)


def for_whole_matrix(setup_cache: SetupCache) -> SetupCache:
    """Let asv wait two hours for the next line of *setup_cache*: it prints one a cell."""
    setattr(setup_cache, "timeout", 7200.0)  # noqa: B010 - asv reads the attribute of the function
    return setup_cache


BenchmarkClass = type[FromRecords]


@dataclass(frozen=True)
class Series:
    """One series of a class of benchmarks, written as an attribute of the class under the name that asv gives it.

    asv finds a function there, which reads the series from the record of a cell. *record* is the name of the series in
    the records, *type* one of `series_types`, *title* its name on asv's pages, *version* its version if that is not its
    class's; the version of distances is that of the outputs that are kept, see `reference_outputs.version`. With
    *shortfall_of*, the series is how far the number in the record falls short of that value: lower must be better.
    """

    record: str
    unit: str
    title: str
    type: str
    version: str = ""
    shortfall_of: float | None = None

    def __get__(self, instance: FromRecords | None, owner: BenchmarkClass) -> Callable[..., Tracked]:
        """Return the function, bound to *instance* if there is one."""
        function = _track_function(self, owner)
        return function if instance is None else MethodType(function, instance)

    def value(self, recorded: float) -> float:
        """Return what is published of a *recorded* number."""
        return recorded if self.shortfall_of is None else self.shortfall_of - recorded


def timed(record: str, title: str) -> Series:
    """Return a series of measured times, which is called `track_time_<record>`, or `track_time` alone."""
    return Series(record, "seconds", title, TIME)


def memory(record: str, title: str, version: str = "") -> Series:
    """Return a series of measured sizes."""
    return Series(record, "bytes", title, MEMORY, version)


def ratio(record: str, unit: str, title: str) -> Series:
    """Return a series of shares of a measured number, which jitter as it does."""
    return Series(record, unit, title, RATIO)


def cost(record: str, unit: str, title: str) -> Series:
    """Return a series of exact numbers of which more is worse."""
    return Series(record, unit, title, COST)


def fact(record: str, unit: str, title: str, shortfall_of: float | None = None) -> Series:
    """Return a series of exact numbers of which neither more nor less is worse."""
    return Series(record, unit, title, FACT, shortfall_of=shortfall_of)


def exact(record: str, title: str = "") -> Series:
    """Return the series of an exact metric, one of `exact.EXACT_METRICS`, under its usual title or another one."""
    unit, usual, series_type = EXACT_METRICS[record]
    return Series(record, unit, title or usual, series_type)


def parameters(axes: Axes) -> tuple[list[list[Scalar]], list[str]]:
    """Return `params` and `param_names` of a class for *axes*."""
    return [list(values) for values in axes.values()], list(axes)


def series_in(owner: BenchmarkClass) -> dict[str, Series]:
    """Return all series of a class by asv's names of them, the inherited ones included."""
    found = {name: inspect.getattr_static(owner, name) for name in dir(owner) if name.startswith("track_")}
    return {name: series for name, series in found.items() if isinstance(series, Series)}


def _fail(reason: str) -> NoReturn:
    """Raise RuntimeError with *reason* alone, which asv prints."""
    sys.tracebacklimit = 0
    raise RuntimeError(reason)


def _track_function(series: Series, owner: BenchmarkClass) -> Callable[..., Tracked]:
    def track(self: FromRecords, records: Records, *params: Scalar) -> Tracked:
        record = self.record_of(records, params)
        if record is None:
            return math.nan
        if series.record in record.samples:
            return {"samples": [series.value(sample) for sample in record.samples[series.record]], "number": 1}
        if UNCOUNTED in record.exact and series.record in _COUNTED:
            _fail(f"not counted: {record.exact[UNCOUNTED]}")
        return series.value(float(record.exact.get(series.record, math.nan)))

    title = f"{owner.stage}: {series.title}" if owner.stage else series.title
    track.__qualname__ = f"{owner.__name__}.track"
    track.__doc__ = f"{title}, in {series.unit}."
    for attribute, value in (
        ("unit", series.unit),
        ("type", series.type),
        ("pretty_name", title),
        ("pretty_source", f"{title}: the series {series.record!r} of the records"),
    ):
        setattr(track, attribute, value)
    version = series.version
    if series.record == "distance":
        version = reference_outputs.version(owner.__module__.rpartition(".")[2])
    if version:
        setattr(track, "version", version)  # noqa: B010 - asv reads the attribute of the function
    return track
