"""Sketches: a few numbers of an output, from which its distance to another output can be estimated."""

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
"""Number of projections. The standard error of an estimated distance is 1 / sqrt(2 * 64) of it, about 9 %."""
DIGITS = 9
"""Significant digits of the length, and decimals of the projections, that are stored."""


@dataclass(frozen=True)
class Sketch:
    """The Euclidean length of an output, and projections of the output scaled to length 1."""

    length: float
    projections: list[float]


def sketch(numbers: NDArray[np.float32]) -> Sketch:
    """Project *numbers* on fixed random sign patterns (Johnson-Lindenstrauss, with signs as by Achlioptas).

    The patterns are made of the raw bits of PCG64, as in `fingerprint`: the same pattern for each block of numbers,
    with a random sign for each block. The result is rounded, so that a file stores it without loss. Raises ValueError
    for values that are not finite.
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
    """Estimate the Euclidean length of the difference of two outputs, relative to that of *reference*.

    It is 0 for equal outputs, about 1.4 for unrelated outputs of the same length, and 1 if one of them is silence.
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
