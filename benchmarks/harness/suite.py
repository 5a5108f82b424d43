"""The classes and series of benchmarks, as asv finds them."""

from __future__ import annotations

import importlib
import inspect
from functools import cache

from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.series import BenchmarkClass, FromRecords, Series, series_in


@cache
def classes_of(matrix: str) -> tuple[BenchmarkClass, ...]:
    """Return the classes of the module *matrix*; as for asv, names with a leading underscore do not count."""
    module = importlib.import_module(f"benchmarks.{matrix}")
    found = [cls for name, cls in inspect.getmembers(module, inspect.isclass) if not name.startswith("_")]
    return tuple(cls for cls in found if issubclass(cls, FromRecords) and cls is not FromRecords)


@cache
def all_series() -> dict[str, Series]:
    """Return every series by asv's name, such as `stages.DiTStep.track_time`."""
    return {
        f"{matrix.name}.{cls.__name__}.{name}": series
        for matrix in MATRICES
        for cls in classes_of(matrix.name)
        for name, series in series_in(cls).items()
    }
