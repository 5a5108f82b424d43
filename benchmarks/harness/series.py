"""How asv's classes read records: one `track_` function a series."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NoReturn, TypeVar

from benchmarks.harness.cells import Axes, key
from benchmarks.harness.exact import EXACT
from benchmarks.harness.matrix import WHOLE, Records
from benchmarks.harness.record import UNCOUNTED, Cell, Record, Scalar

_COUNTED = (*EXACT, "peak_memory")
"""Series that come from runs of their own, after the samples."""
Tracked = dict[str, Any] | float
SetupCache = TypeVar("SetupCache", bound=Callable[..., Records])


class FromRecords:
    """Base of the classes that asv runs on the records of a `setup_cache`.

    A cell that was not chosen, or that the commit cannot run, is NaN, which asv shows as n/a; a cell that failed, or
    whose exact metrics could not be counted, fails, with its reason. `fixed` is what all cells of the class have in
    common.
    """

    version = "1"
    timeout = 60.0
    fixed: ClassVar[dict[str, Scalar]] = {}
    params: ClassVar[list[list[Scalar]]]
    param_names: ClassVar[list[str]]

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
        cell: Cell = {**self.fixed, **dict(zip(self.param_names, params, strict=True))}
        data = records.get(key(cell))
        return None if data is None else Record.from_dict(data)


def for_whole_matrix(setup_cache: SetupCache) -> SetupCache:
    """Let asv wait two hours for the next line of *setup_cache*: it prints one a cell."""
    setattr(setup_cache, "timeout", 7200.0)  # noqa: B010 - asv reads the attribute of the function
    return setup_cache


@dataclass(frozen=True)
class Series:
    """A name in the records, its unit, its title on asv's pages, and its version if that is not its class's."""

    name: str
    unit: str
    title: str
    version: str = ""


def companions(*names: str) -> tuple[Series, ...]:
    """Return the series of these companions of a cell's times, which `exact.EXACT` knows."""
    return tuple(Series(name, *EXACT[name]) for name in names)


TrackedClass = TypeVar("TrackedClass", bound=type[FromRecords])


def tracks(axes: Axes, *series: Series) -> Callable[[TrackedClass], TrackedClass]:
    """Give a class the parameters *axes* and, for each of *series*, the function `track_<name>`."""

    def decorate(cls: TrackedClass) -> TrackedClass:
        cls.param_names = list(axes)
        cls.params = [list(values) for values in axes.values()]
        for one in series:
            setattr(cls, f"track_{one.name}", _track_function(one))
        return cls

    return decorate


def tracks_stage(stages: Mapping[str, Axes], *series: Series) -> Callable[[TrackedClass], TrackedClass]:
    """Do as `tracks` with the axes that *stages* has under the name of the class, which goes into cells and titles."""

    def decorate(cls: TrackedClass) -> TrackedClass:
        cls.fixed = {"stage": cls.__name__}
        titled = [replace(one, title=f"{cls.__name__}: {one.title}") for one in series]
        return tracks(stages[cls.__name__], *titled)(cls)

    return decorate


def _fail(reason: str) -> NoReturn:
    """Raise RuntimeError with *reason* alone, which asv prints."""
    sys.tracebacklimit = 0
    raise RuntimeError(reason)


def _track_function(series: Series) -> Callable[..., Tracked]:
    def track(self: FromRecords, records: Records, *params: Scalar) -> Tracked:
        record = self.record_of(records, params)
        if record is None:
            return math.nan
        if series.name in record.samples:
            return {"samples": record.samples[series.name], "number": 1}
        if UNCOUNTED in record.exact and series.name in _COUNTED:
            _fail(f"not counted: {record.exact[UNCOUNTED]}")
        return float(record.exact.get(series.name, math.nan))

    track.__name__ = f"track_{series.name}"
    track.__doc__ = f"{series.title}, in {series.unit}."
    for attribute, value in (
        ("unit", series.unit),
        ("pretty_name", series.title),
        ("pretty_source", f"{series.title}: the series {series.name!r} of the records"),
    ):
        setattr(track, attribute, value)
    if series.version:
        setattr(track, "version", series.version)  # noqa: B010 - asv reads the attribute of the function
    return track
