"""Series: attributes of the classes of benchmarks, which asv sees as functions that read the records."""

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
"""Series that are counted in runs of their own, after the samples."""
Tracked = dict[str, Any] | float
SetupCache = TypeVar("SetupCache", bound=Callable[..., Records])


class FromRecords:
    """Base of the classes that asv runs on the records of a `setup_cache`.

    A cell that was not selected, or that the commit does not support, is NaN, which asv shows as n/a. A cell that
    failed, or whose exact metrics could not be counted, fails with its reason.

    Attributes:
        version: version of the series, unless a series has its own.
        timeout: seconds that asv allows for reading a record.
        stage: value of the parameter `stage` of all cells of the class; empty if the cells have no such parameter.
        params: values of the other parameters.
        param_names: their names.
    """

    version = "1"
    timeout = 60.0
    stage: ClassVar[str] = ""
    params: ClassVar[list[list[Scalar]]]
    param_names: ClassVar[list[str]]

    @classmethod
    def fixed(cls) -> dict[str, Scalar]:
        """Return the parameters that all cells of the class share."""
        return {"stage": cls.stage} if cls.stage else {}

    def setup(self, records: Records, *params: Scalar) -> None:
        """Raise RuntimeError if measuring the cell failed.

        An error that concerns the whole matrix is raised for the first cell only.
        """
        first = params == tuple(values[0] for values in self.params)
        record = self.record_of(records, params)
        if first and WHOLE in records:
            record = Record.from_dict(records[WHOLE])
        if record is not None and record.status not in ("ok", "skip"):
            _fail(f"{record.status}: {record.reason}")

    def record_of(self, records: Records, params: tuple[Scalar, ...]) -> Record | None:
        """Return the record of the cell of *params*; None if the cell was not selected."""
        cell: Cell = {**self.fixed(), **dict(zip(self.param_names, params, strict=True))}
        data = records.get(key(cell))
        return None if data is None else Record.from_dict(data)


def for_whole_matrix(setup_cache: SetupCache) -> SetupCache:
    """Set the time that asv waits for the next line of *setup_cache*, which prints one a cell, to two hours."""
    setattr(setup_cache, "timeout", 7200.0)  # noqa: B010 - asv reads the attribute of the function
    return setup_cache


BenchmarkClass = type[FromRecords]


@dataclass(frozen=True)
class Series:
    """One series of a class of benchmarks: an attribute of the class, under the name that asv uses.

    This is a descriptor: asv finds a function there, which reads the value from the record of a cell.

    Attributes:
        record: name of the series in the records.
        unit: unit of the values.
        title: title on asv's pages.
        type: one of `series_types`.
        version: version of the series, if it differs from that of the class. Distances have the version of the
            reference outputs, see `reference_outputs.version`.
        shortfall_of: if given, the series is this number minus the recorded one, because lower must be better.
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
        """Return the published value of a *recorded* number."""
        return recorded if self.shortfall_of is None else self.shortfall_of - recorded


def timed(record: str, title: str) -> Series:
    """Return a series of measured times; asv's name of it is `track_time_<record>`, or `track_time`."""
    return Series(record, "seconds", title, TIME)


def memory(record: str, title: str, version: str = "") -> Series:
    """Return a series of measured memory sizes."""
    return Series(record, "bytes", title, MEMORY, version)


def ratio(record: str, unit: str, title: str) -> Series:
    """Return a series that is computed from a measured number and has the same relative noise."""
    return Series(record, unit, title, RATIO)


def cost(record: str, unit: str, title: str) -> Series:
    """Return a series of exact numbers, lower is better."""
    return Series(record, unit, title, COST)


def fact(record: str, unit: str, title: str, shortfall_of: float | None = None) -> Series:
    """Return a series of exact numbers of which neither direction is better."""
    return Series(record, unit, title, FACT, shortfall_of=shortfall_of)


def exact(record: str, title: str = "") -> Series:
    """Return the series of an exact metric, one of `exact.EXACT_METRICS`, under its usual title or another one."""
    unit, default_title, series_type = EXACT_METRICS[record]
    return Series(record, unit, title or default_title, series_type)


def parameters(axes: Axes) -> tuple[list[list[Scalar]], list[str]]:
    """Return `params` and `param_names` of the class that has *axes*."""
    return [list(values) for values in axes.values()], list(axes)


def series_in(owner: BenchmarkClass) -> dict[str, Series]:
    """Return all series of a class, inherited ones included, by asv's names."""
    found = {name: inspect.getattr_static(owner, name) for name in dir(owner) if name.startswith("track_")}
    return {name: series for name, series in found.items() if isinstance(series, Series)}


def _fail(reason: str) -> NoReturn:
    """Raise RuntimeError with *reason*; asv prints it without a traceback, which would only show this module."""
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
