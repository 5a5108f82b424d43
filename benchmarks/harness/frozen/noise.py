"""Near-normal numbers that depend on a name alone, equal to the last bit on every platform and in every version.

Their bits are the output of SHAKE-128 (FIPS 202) for the name. A random generator would do as well, but of torch's and
numpy's only some keep their streams from version to version; a standard keeps them all. Everything after that is
integer arithmetic and single float64 operations, which IEEE 754 rounds correctly (square roots included); no function
of a mathematical library is called, whose last bit may differ.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PARTS: Final = 4
"""Number of 16-bit integers whose sum is one number: enough for a bell curve that ends at 3.5 standard deviations."""
MEAN: Final = PARTS * 65_535 // 2
STD: Final = math.sqrt(PARTS * (65_536**2 - 1) / 12)


def standard_normal(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return numbers of mean 0 and standard deviation 1 in *shape*, drawn for *name*."""
    import numpy as np

    count = math.prod(shape)
    bits = hashlib.shake_128(name.encode()).digest(2 * PARTS * count)
    sums = np.frombuffer(bits, "<u2").reshape(count, PARTS).sum(axis=1, dtype=np.int64)
    numbers: NDArray[np.float64] = (sums - MEAN).astype(np.float64) / STD
    return numbers.reshape(shape)
