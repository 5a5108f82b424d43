"""The names and the types of asv's series of a cell."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from benchmarks.harness.cells import Matrix
from benchmarks.harness.matrices import MATRICES, matrix_named
from benchmarks.harness.record import Cell
from benchmarks.harness.series import FromRecords, series_in
from benchmarks.harness.series_types import EXACT_TYPES, TIME
from benchmarks.harness.suite import classes_of
from benchmarks.harness.workload import Workload
from scripts.tracker.history.renamed_series import RENAMED
from scripts.tracker.labels import series_label, stage_label


class UnknownSeriesError(ValueError):
    """There is no such series; the message lists those that exist."""


@dataclass(frozen=True)
class CellSeries:
    """One series of a cell.

    Attributes:
        name: name in the records.
        type: type, one of `benchmarks.harness.series_types`.
        benchmark: asv's name of the benchmark.
        index: position of the cell among asv's parameter combinations.
    """

    name: str
    type: str
    benchmark: str
    index: int

    @property
    def timed(self) -> bool:
        """Whether it is a time; a share of another time is none."""
        return self.type == TIME

    @property
    def exact(self) -> bool:
        """Whether it is an exact metric: equal work gives equal values."""
        return self.type in EXACT_TYPES

    @property
    def label(self) -> str:
        """The label for people."""
        return series_label(self.benchmark)

    @property
    def stage(self) -> str:
        """The label of the stage that it measures."""
        return stage_label(self.benchmark)


def workload_of(matrix: str) -> type[Workload]:
    """Return the workload class of *matrix*."""
    return matrix_named(matrix).workload


def series_of(matrix: str, cell: Cell) -> dict[str, CellSeries]:
    """Return asv's series of *cell*, by their names in the records."""
    owner = next(cls for cls in classes_of(matrix) if _owns(cls, cell))
    values = tuple(cell[name] for name in owner.param_names)
    index = list(product(*owner.params)).index(values)
    return {
        series.record: CellSeries(series.record, series.type, f"{matrix}.{owner.__name__}.{name}", index)
        for name, series in series_in(owner).items()
    }


def series_named(text: str) -> tuple[Matrix, Cell, CellSeries]:
    """Return the matrix, the cell and the series that asv calls *text*, such as `stages.DiTForward.track_time(30, 1)`.

    Without parameters it is the series of the first quick cell.

    Raises:
        UnknownSeriesError: there is no such series; the message lists those that exist.
    """
    benchmark, parenthesis, parameters = text.strip().partition("(")
    module = benchmark.partition(".")[0]
    matrix = next((matrix for matrix in MATRICES if matrix.name == module), None)
    if matrix is None:
        raise UnknownSeriesError(f"{text!r} is no series; it begins with one of {', '.join(m.name for m in MATRICES)}.")
    owned = [(cell, series) for cell in matrix.cells for series in series_of(module, cell).values()]
    cells = [(cell, series) for cell, series in owned if series.benchmark == benchmark]
    if benchmark in RENAMED:
        raise UnknownSeriesError(f"{benchmark!r} has a new name: {RENAMED[benchmark]!r}. Give that one.")
    if not cells:
        known = sorted({series.benchmark for _, series in owned})
        raise UnknownSeriesError(f"{benchmark!r} is no series of {module}; there are {', '.join(known)}.")
    wanted = parameters.rstrip(")").strip()
    found = [(cell, series) for cell, series in cells if _parameters(cell) == wanted or not parenthesis]
    if not parenthesis:
        found = [(cell, series) for cell, series in found if cell in matrix.quick] or found
    if not found:
        known = sorted({_parameters(cell) for cell, _ in cells})
        raise UnknownSeriesError(f"{benchmark} has no parameters ({wanted}); there are ({'), ('.join(known)}).")
    return matrix, *found[0]


def series_text(cell: Cell, series: CellSeries) -> str:
    """Return asv's name of *series* with the parameters of *cell*, as `series_named` accepts it."""
    return f"{series.benchmark}({_parameters(cell)})"


def _parameters(cell: Cell) -> str:
    return ", ".join(repr(value) for name, value in cell.items() if name != "stage")


def _owns(cls: type[FromRecords], cell: Cell) -> bool:
    fixed = cls.fixed()
    return fixed.items() <= cell.items() and {*fixed, *cls.param_names} == cell.keys()
