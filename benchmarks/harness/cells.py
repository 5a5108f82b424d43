"""Matrices, their cells, and the selection of cells that a run measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import SettingsError
from benchmarks.harness.workload import Workload

Axes = Mapping[str, Sequence[Scalar]]
"""Values of each parameter by its name, in the order in which asv shows them."""


def key(cell: Cell) -> str:
    """Return the key of *cell*, such as `duration=30,batch=1`, which is also a condition that selects it."""
    return ",".join(f"{name}={value}" for name, value in cell.items())


def grid(axes: Axes, **fixed: Scalar) -> list[Cell]:
    """Return every combination of *axes*, the last axis varying fastest; each cell begins with *fixed*."""
    return [{**fixed, **dict(zip(axes, values, strict=True))} for values in product(*axes.values())]


@dataclass(frozen=True)
class Matrix:
    """The cells of one module of benchmarks, which one `setup_cache` measures.

    Attributes:
        name: name of the module of `benchmarks` whose classes show the series.
        workload: class that loads the models and runs the cells.
        cells: every cell, in the order in which they are measured.
        quick: the cells that are measured unless others are chosen.
        outputs: whether samples have an output whose distance to a reference output is a series.
    """

    name: str
    workload: type[Workload]
    cells: tuple[Cell, ...]
    quick: tuple[Cell, ...]
    outputs: bool = False

    def __post_init__(self) -> None:
        unknown = [key(cell) for cell in self.quick if cell not in self.cells]
        if unknown:
            raise ValueError(f"quick cells of {self.name} that are not cells of it: {unknown}")


class Selection:
    """A selection of cells: `quick`, `full`, or conditions.

    A condition is `name=value`. A cell is selected if it meets all conditions of one list. Conditions are joined by
    commas and lists by semicolons. A cell without a parameter of that name does not meet the condition; `matrix` counts
    as a parameter of every cell. For example, `duration=30,batch=1;stage=VAEDecode` selects all cells of 30 s with
    batch 1, in every matrix, and all cells of VAEDecode.
    """

    def __init__(self, text: str, matrices: Iterable[Matrix]) -> None:
        """Parse *text*; raises SettingsError for a parameter or a value that none of *matrices* has."""
        self.text = text.strip()
        self._values = _values_by_parameter(matrices)
        self._alternatives = [] if self.text in ("quick", "full") else self._parse()

    def of(self, matrix: Matrix) -> list[Cell]:
        """Return the selected cells of *matrix*, in its order."""
        if self.text == "full":
            return list(matrix.cells)
        if self.text == "quick":
            return [cell for cell in matrix.cells if cell in matrix.quick]
        return [cell for cell in matrix.cells if self._selects(matrix, cell)]

    def _selects(self, matrix: Matrix, cell: Cell) -> bool:
        described = {"matrix": matrix.name, **{name: str(value) for name, value in cell.items()}}
        return any(wanted.items() <= described.items() for wanted in self._alternatives)

    def _parse(self) -> list[dict[str, str]]:
        alternatives = [self._parse_list(part) for part in self.text.split(";") if part.strip()]
        if not alternatives:
            raise SettingsError("ACESTEP_BENCH_CELLS is empty: give quick, full, or duration=30,batch=1.")
        return alternatives

    def _parse_list(self, text: str) -> dict[str, str]:
        wanted = {}
        for condition in text.split(","):
            name, equals, value = (part.strip() for part in condition.partition("="))
            if not equals or name not in self._values:
                raise SettingsError(
                    f"ACESTEP_BENCH_CELLS={self.text!r}: {condition.strip()!r} is neither quick nor full nor "
                    f"a condition such as duration=30; parameters are {', '.join(sorted(self._values))}."
                )
            if value not in self._values[name]:
                raise SettingsError(
                    f"ACESTEP_BENCH_CELLS={self.text!r}: no cell has {name}={value}; "
                    f"its values are {', '.join(self._values[name])}."
                )
            wanted[name] = value
        return wanted


def _values_by_parameter(matrices: Iterable[Matrix]) -> dict[str, list[str]]:
    """Return the values of every parameter as text, in the order of the cells."""
    found: dict[str, dict[str, None]] = {}
    for matrix in matrices:
        found.setdefault("matrix", {})[matrix.name] = None
        for cell in matrix.cells:
            for name, value in cell.items():
                found.setdefault(name, {})[str(value)] = None
    return {name: list(values) for name, values in found.items()}
