"""Fingerprints: one number that represents an output."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 1 << 16


def fingerprint(waveforms: NDArray[np.float32]) -> float:
    """Return exp(p), where p is the projection of the waveform, scaled to length 1, on a fixed random sign pattern.

    The pattern is made of the raw bits of PCG64, which do not change between versions of numpy. Rounding errors, such
    as those of another number of threads, change p by their relative size (about 1e-6). Another waveform has another
    p, of either sign and of order one. A change of the waveform by 1 % changes p by about 0.01. The exponential is
    positive and near 1, so ratios are meaningful; neither direction is better. Silence gives 1. Raises ValueError for
    values that are not finite.
    """
    projection = power = 0.0
    for sign, block in zip(signs(2, -(-waveforms.size // BLOCK)), blocks(waveforms), strict=True):
        projection += sign * float(block @ signs(1, BLOCK)[: block.size])
        power += float(block @ block)
    if not math.isfinite(power):
        raise ValueError("the waveform holds values that are not finite")
    return math.exp(projection / math.sqrt(power)) if power else 1.0


def text_fingerprint(text: str) -> float:
    """Return a number from 1 to 2, made of the CRC-32 of *text*: another text almost surely has another one."""
    return 1 + zlib.crc32(text.encode()) / 2**32


def blocks(numbers: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
    """Yield *numbers* in order, flattened, in blocks of BLOCK."""
    import numpy as np

    flat = np.ascontiguousarray(numbers, dtype=np.float32).reshape(-1)
    for start in range(0, flat.size, BLOCK):
        yield flat[start : start + BLOCK].astype(np.float64)


@cache
def signs(seed: int, count: int) -> NDArray[np.float64]:
    """Return the first *count* elements of a fixed random sequence of +1 and -1."""
    import numpy as np

    words = np.random.PCG64(seed).random_raw(-(-count // 64))
    bits = np.unpackbits(np.asarray(words, dtype="<u8").view(np.uint8))[:count]
    return bits.astype(np.float64) * 2 - 1
