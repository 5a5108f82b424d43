"""A few numbers of an output from which its distance to another one can be estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from benchmarks.harness.fingerprint import BLOCK, blocks, signs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROJECTIONS = 64
"""They estimate a distance with a standard error of 1/sqrt(2 * 64), a tenth of it."""
DIGITS = 9


@dataclass(frozen=True)
class Sketch:
    """The length of an output, the root of the sum of its squares, and projections of it scaled to length 1."""

    length: float
    projections: list[float]


def sketch(numbers: NDArray[np.float32]) -> Sketch:
    """Project *numbers* on fixed random sign patterns (Johnson and Lindenstrauss, with the signs of Achlioptas).

    The patterns come from the raw bits of PCG64, as those of `fingerprint` do: one for a block of numbers, with
    another sign in every block. Rounded, so that a file holds them as they are. Raises ValueError for anything that is
    not finite.
    """
    import numpy as np

    count = -(-numbers.size // BLOCK)
    flips = signs(4, PROJECTIONS * count).reshape(count, PROJECTIONS)
    projections, power = np.zeros(PROJECTIONS), 0.0
    for flip, block in zip(flips, blocks(numbers), strict=True):
        projections += flip * (_patterns()[:, : block.size] @ block)
        power += float(block @ block)
    if not math.isfinite(power):
        raise ValueError("the output holds values that are not finite")
    length = math.sqrt(power)
    scaled = projections / length if length else projections
    return Sketch(float(f"{length:.{DIGITS}g}"), [round(float(value), DIGITS) for value in scaled])


def distance(one: Sketch, reference: Sketch) -> float:
    """Estimate the length of the difference of two outputs, relative to that of *reference*, from their sketches.

    It is 0 for the same and about 1.4 for outputs of one length that have nothing in common; beside silence, 1.
    """
    unit = reference.length or one.length
    if not unit:
        return 0.0
    pairs = zip(one.projections, reference.projections, strict=True)
    squares = sum((one.length * a - reference.length * b) ** 2 for a, b in pairs)
    return math.sqrt(squares / len(reference.projections)) / unit


@cache
def _patterns() -> NDArray[np.float64]:
    return signs(3, PROJECTIONS * BLOCK).reshape(PROJECTIONS, BLOCK)
