"""Maps asv's benchmarks, with one combination of their parameters each, to the cells of the harness."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any, TypeVar

from asv.benchmarks import Benchmarks

from benchmarks.harness.cells import Selection, key
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.series import series_in
from benchmarks.harness.suite import classes_of

Benchmark = Mapping[str, Any]
"""A benchmark as asv describes it: at least its `name`, `params`, `param_names` and `version`."""
CellId = tuple[str, str]
"""The name of a matrix, and the key of one of its cells."""
BenchmarksT = TypeVar("BenchmarksT", bound=Benchmarks)


def cell_ids_of(benchmark: Benchmark) -> list[CellId] | None:
    """Return the cell of each combination of the parameters of *benchmark*; None if it belongs to no matrix."""
    matrix, _, rest = benchmark["name"].partition(".")
    known = _cell_ids(matrix, rest.partition(".")[0])
    names = benchmark["param_names"]
    found = [known.get(tuple(zip(names, values, strict=True))) for values in product(*benchmark["params"])]
    return [cell_id for cell_id in found if cell_id is not None] if known and None not in found else None


@cache
def _cell_ids(matrix: str, owner: str) -> dict[tuple[tuple[str, str], ...], CellId]:
    """Return the cells of the class *owner* of a *matrix* by their parameters, (name, ``repr``) pairs as in asv."""
    cells = [cell for one in MATRICES if one.name == matrix for cell in one.cells if cell.get("stage", owner) == owner]
    return {
        tuple((name, repr(value)) for name, value in cell.items() if name != "stage"): (matrix, key(cell))
        for cell in cells
    }


def find_cell_id(owner: str, parameters: Iterable[tuple[str, str]]) -> CellId | None:
    """Return the cell of the class *owner* (``matrix.Class``) with *parameters*; None if there is no such cell.

    *parameters* are (name, ``repr``) pairs, as asv stores them.
    """
    matrix, _, name = owner.partition(".")
    return _cell_ids(matrix, name).get(tuple(parameters))


def filtered(benchmarks: BenchmarksT, keep: Callable[[Benchmark, int, CellId], bool]) -> BenchmarksT:
    """Return *benchmarks* with the combinations of parameters that are selected and that *keep* accepts.

    *keep* is called with the benchmark, the index of the combination, and its cell. Benchmarks that belong to no
    matrix are kept.
    """
    left: BenchmarksT = benchmarks.filter_out([])
    for name, benchmark in benchmarks.items():
        cell_ids = cell_ids_of(benchmark)
        if cell_ids is None:
            continue
        selected = benchmarks.benchmark_selection[name]
        kept = [index for index in selected if keep(benchmark, index, cell_ids[index])]
        left.benchmark_selection[name] = kept
        if not kept:
            del left[name]
    return left


def requested_cells(benchmarks: Benchmarks) -> set[CellId]:
    """Return the cells of the selected combinations of *benchmarks*."""
    found = set()
    for name, benchmark in benchmarks.items():
        cell_ids = cell_ids_of(benchmark)
        if cell_ids is not None:
            found |= {cell_ids[index] for index in benchmarks.benchmark_selection[name]}
    return found


def selected_cells(selection: str) -> set[CellId]:
    """Return the cells that the text *selection* selects, such as ``quick`` or ``duration=30,batch=1``.

    Raises:
        SettingsError: the text is not a selection.
    """
    parsed = Selection(selection, MATRICES)
    return {(matrix.name, key(cell)) for matrix in MATRICES for cell in parsed.of(matrix)}


def selection_of(cell_ids: set[CellId]) -> str:
    """Return the text of a selection of exactly the cells *cell_ids*."""
    return ";".join(f"matrix={matrix},{cell}" for matrix, cell in sorted(cell_ids))


@cache
def suite() -> Sequence[Benchmark]:
    """Return the benchmarks of all matrices of the working tree, without running asv's discovery."""
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
