"""Writing weights tensor by tensor, so that a checkpoint larger than memory can be made.

The library's own writer wants all tensors of a file at once and copies them; the format is simple enough to stream.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import torch

Shapes = dict[str, tuple[int, ...]]
Dtype = Literal["float32", "bfloat16"]

SHARD_BYTES: Final = 5_000_000_000
"""A larger checkpoint is split into shards, as released ones are."""
_CODES: Final[dict[Dtype, tuple[str, int]]] = {"float32": ("F32", 4), "bfloat16": ("BF16", 2)}


def write_weights(
    folder: Path, shapes: Shapes, tensors: Iterable[torch.Tensor], dtype: Dtype, stem: str = "model"
) -> None:
    """Write *tensors* to ``<stem>.safetensors`` in *folder*, or as shards with an index.

    Args:
        folder: is there.
        shapes: the stored keys in file order, and the shape of each.
        tensors: contiguous ones in that order, each of *dtype*; only one is held at a time.
        dtype: how they are stored.
        stem: of the file names.
    """
    code, item_bytes = _CODES[dtype]
    shards = _split({key: math.prod(shape) * item_bytes for key, shape in shapes.items()})
    names = [f"{stem}.safetensors"]
    if len(shards) > 1:
        names = [f"{stem}-{n:05d}-of-{len(shards):05d}.safetensors" for n in range(1, len(shards) + 1)]
        placed = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
        total = sum(sum(shard.values()) for shard in shards)
        index = {"metadata": {"total_size": total}, "weight_map": placed}
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    stream = iter(tensors)
    for name, shard in zip(names, shards, strict=True):
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        offset = 0
        for key, size in shard.items():
            header[key] = {"dtype": code, "shape": shapes[key], "data_offsets": [offset, offset + size]}
            offset += size
        _write_file(folder / name, header, (next(stream) for _ in shard))


def _split(sizes: dict[str, int]) -> list[dict[str, int]]:
    """Consecutive groups of *sizes*, none above `SHARD_BYTES`."""
    groups: list[dict[str, int]] = [{}]
    for key, size in sizes.items():
        if sum(groups[-1].values()) + size > SHARD_BYTES:
            groups.append({})
        groups[-1][key] = size
    return groups


def _write_file(path: Path, header: dict[str, Any], tensors: Iterable[torch.Tensor]) -> None:
    """One file in the safetensors format: the header's length, the header padded to 8 bytes, the tensors."""
    import torch

    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            file.write(tensor.view(torch.uint8).numpy().data)
