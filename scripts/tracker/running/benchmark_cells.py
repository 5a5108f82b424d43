"""Which cells asv's benchmarks are of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any, TypeVar

from asv.benchmarks import Benchmarks

from benchmarks.harness.cells import Selection, key
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.record import Cell
from benchmarks.harness.series import series_in
from benchmarks.harness.suite import classes_of

Benchmark = Mapping[str, Any]
"""A benchmark as asv describes it: at least its `name`, `params`, `param_names` and `version`."""
CellId = tuple[str, str]
"""The name of a matrix, and the key of one of its cells."""
Some = TypeVar("Some", bound=Benchmarks)


def cells_of(benchmark: Benchmark) -> list[tuple[str, Cell]] | None:
    """Return matrix and cell of each combination of a benchmark's parameters; None if it is of no matrix."""
    matrix, _, rest = benchmark["name"].partition(".")
    known = _cells(matrix, rest.partition(".")[0])
    names = benchmark["param_names"]
    found = [known.get(tuple(zip(names, values, strict=True))) for values in product(*benchmark["params"])]
    return [(matrix, cell) for cell in found if cell is not None] if known and None not in found else None


@cache
def _cells(matrix: str, owner: str) -> dict[tuple[tuple[str, str], ...], Cell]:
    """Return the cells of the class *owner* of a *matrix*, by their parameters as asv spells them."""
    cells = [cell for one in MATRICES if one.name == matrix for cell in one.cells if cell.get("stage", owner) == owner]
    return {tuple((name, repr(value)) for name, value in cell.items() if name != "stage"): cell for cell in cells}


def find_cell_id(owner: str, parameters: Iterable[tuple[str, str]]) -> CellId | None:
    """Return the ID of the cell of the class *owner* (``matrix.Class``) with *parameters* as asv spells them."""
    matrix, _, name = owner.partition(".")
    cell = _cells(matrix, name).get(tuple(parameters))
    return None if cell is None else cell_id_of(matrix, cell)


def cell_id_of(matrix: str, cell: Cell) -> CellId:
    """Return the ID of a cell."""
    return matrix, key(cell)


def filtered(benchmarks: Some, keep: Callable[[Benchmark, int, CellId], bool]) -> Some:
    """Return *benchmarks* with those combinations of their selection that *keep* allows.

    *keep* is asked with the benchmark, the index of the combination, and its cell ID. Benchmarks of no matrix stay.
    """
    left: Some = benchmarks.filter_out([])
    for name, benchmark in benchmarks.items():
        cells = cells_of(benchmark)
        if cells is None:
            continue
        selected = benchmarks.benchmark_selection[name]
        chosen = [index for index in selected if keep(benchmark, index, cell_id_of(*cells[index]))]
        left.benchmark_selection[name] = chosen
        if not chosen:
            del left[name]
    return left


def requested_cells(benchmarks: Benchmarks) -> set[CellId]:
    """Return the cells that the selection of *benchmarks* is of."""
    found = set()
    for name, benchmark in benchmarks.items():
        cells = cells_of(benchmark)
        if cells is not None:
            found |= {cell_id_of(*cells[index]) for index in benchmarks.benchmark_selection[name]}
    return found


def selected_cells(cells: str) -> set[CellId]:
    """Return the cells that the text of a selection chooses; raises SettingsError if it is none."""
    selection = Selection(cells, MATRICES)
    return {cell_id_of(matrix.name, cell) for matrix in MATRICES for cell in selection.of(matrix)}


def selection_of(cell_ids: set[CellId]) -> str:
    """Return the text of a selection that chooses *cell_ids* and no other cell."""
    return ";".join(f"matrix={matrix},{cell}" for matrix, cell in sorted(cell_ids))


@cache
def suite() -> Sequence[Benchmark]:
    """Return the benchmarks of all matrices as the working tree has them, without asking asv."""
    return [
        {
            "name": f"{matrix.name}.{cls.__name__}.{name}",
            "param_names": cls.param_names,
            "params": [[repr(value) for value in values] for values in cls.params],
            "version": getattr(getattr(cls, name), "version", cls.version),
        }
        for matrix in MATRICES
        for cls in classes_of(matrix.name)
        for name in series_in(cls)
    ]
