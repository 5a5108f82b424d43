"""The weights of the frozen checkpoints, and the safetensors files that hold them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness.frozen.noise import standard_normal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Weight = NDArray[np.float64]

Shapes = Mapping[str, tuple[int, ...]]
"""Every stored tensor's shape under its key, in file order."""


def write_safetensors(path: Path, shapes: Shapes, weight: Callable[[str, tuple[int, ...]], Weight]) -> None:
    """Write the float32 tensors of *shapes*, each made by *weight* from its key and shape, to *path*.

    The format is the length of a JSON header (8 bytes), the header padded to 8 bytes, and the tensors one after the
    other.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for key, shape in shapes.items():
        end = offset + 4 * math.prod(shape)
        header[key] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for key, shape in shapes.items():
            file.write(weight(key, shape).astype("<f4").tobytes())


def signal_preserving(folder: str, key: str, shape: tuple[int, ...]) -> Weight:
    """Return the weight *key* of a model in *folder*, of a size that lets every layer keep its signal's.

    Matrices and convolutions have the variance 1 / fan-in, norms are near 1, weight norms near 0.7, and the rest, such
    as biases, near 0.
    """
    noise = standard_normal(f"{folder}/{key}", shape)
    name = key.rsplit(".", 1)[-1]
    if name in ("weight", "weight_v") and len(shape) > 1:
        transposed = "proj_out.1" in key
        fan_in = shape[0] if transposed else math.prod(shape[1:])
        return noise / math.sqrt(fan_in)
    centre = {"weight": 1.0, "weight_g": 0.7}.get(name, 0.0)
    return noise * 0.1 + centre
