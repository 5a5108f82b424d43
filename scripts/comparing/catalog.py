"""What asv calls the series of a cell, and which of them are times."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import cast

from benchmarks.harness.cells import Matrix, key
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.record import Cell
from benchmarks.harness.series import FromRecords
from benchmarks.harness.workload import Workload
from scripts.site.names import EXACT_UNITS, series_label, stage_label

TIME_UNIT = "seconds"
WORKLOADS = {
    "generate": "music.Music",
    "tasks": "tasks.Tasks",
    "options": "options.Options",
    "stages": "stages.Stages",
    "planner": "planner.Planner",
    "apis": "apis.Apis",
    "footprint": "footprint.Footprints",
    "tiers": "tiers.Tiers",
    "startup": "startup.Startup",
}
"""The workload of each matrix."""


@dataclass(frozen=True)
class Series:
    """One series of a cell: its name in the records, its unit, and asv's name and position of it."""

    name: str
    unit: str
    benchmark: str
    index: int

    @property
    def timed(self) -> bool:
        """Whether it is a time of its own: shares of another series are not."""
        return self.unit == TIME_UNIT

    @property
    def exact(self) -> bool:
        """Whether equal work gives equal values."""
        return self.unit in EXACT_UNITS

    @property
    def label(self) -> str:
        """Its name for people."""
        return series_label(self.benchmark)

    @property
    def stage(self) -> str:
        """The stage of a generation that it measures."""
        return stage_label(self.benchmark)


def workload_of(matrix: str) -> type[Workload]:
    """Return the workload class of *matrix*."""
    module, _, name = WORKLOADS[matrix].partition(".")
    return cast("type[Workload]", getattr(importlib.import_module(f"benchmarks.harness.workloads.{module}"), name))


def series_of(matrix: str, cell: Cell) -> dict[str, Series]:
    """Return the series that asv has of *cell*, by their names in the records."""
    owner = next(cls for cls in _classes(matrix) if _owns(cls, cell))
    values = tuple(cell[name] for name in owner.param_names)
    index = list(product(*owner.params)).index(values)
    tracked = (name.removeprefix("track_") for name in dir(owner) if name.startswith("track_"))
    return {
        name: Series(name, getattr(owner, f"track_{name}").unit, f"{matrix}.{owner.__name__}.track_{name}", index)
        for name in tracked
    }


def cell_named(benchmark: str, index: int) -> tuple[Matrix, Cell]:
    """Return the matrix and the cell of asv's *benchmark* at position *index* of its parameters.

    Raises KeyError if there is no such benchmark.
    """
    module, _, rest = benchmark.partition(".")
    name = rest.partition(".")[0]
    matrix = next((one for one in MATRICES if one.name == module), None)
    owner = next((cls for cls in _classes(module) if cls.__name__ == name), None) if matrix else None
    if matrix is None or owner is None:
        raise KeyError(benchmark)
    values = list(product(*owner.params))[index]
    wanted = key({**owner.fixed, **dict(zip(owner.param_names, values, strict=True))})
    return matrix, next(cell for cell in matrix.cells if key(cell) == wanted)


def _owns(cls: type[FromRecords], cell: Cell) -> bool:
    return cls.fixed.items() <= cell.items() and {*cls.fixed, *cls.param_names} == cell.keys()


@cache
def _classes(matrix: str) -> tuple[type[FromRecords], ...]:
    return tuple(_found(matrix))


def _found(matrix: str) -> Iterator[type[FromRecords]]:
    module = importlib.import_module(f"benchmarks.{matrix}")
    for _, cls in inspect.getmembers(module, inspect.isclass):
        if issubclass(cls, FromRecords) and cls is not FromRecords:
            yield cls
