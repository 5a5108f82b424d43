"""``silence_latent.pt``: a file as ``torch.save`` writes it, made without torch and with fixed bytes."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Final

from benchmarks.harness.frozen.noise import standard_normal

CHANNELS: Final = 64
FRAMES: Final = 1500
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""Date of every member: the first that a zip file can hold."""


def write_silence(path: Path) -> None:
    """Write a float32 tensor ``[1, 64, 1500]``: one random latent frame, held throughout."""
    import numpy as np

    frame = standard_normal(f"{path.parent.name}/{path.name}", (CHANNELS, 1))
    members = {
        "data.pkl": _tensor_pickle((1, CHANNELS, FRAMES)),
        "byteorder": b"little",
        "data/0": np.repeat(frame, FRAMES, axis=1).astype("<f4").tobytes(),
        "version": b"3\n",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, contents in members.items():
            member = zipfile.ZipInfo(f"{path.stem}/{name}", EPOCH)
            member.create_system = 3  # otherwise the number of the system that writes
            archive.writestr(member, contents)


def _tensor_pickle(shape: tuple[int, int, int]) -> bytes:
    """Return the pickle of a contiguous float32 tensor of *shape* whose numbers are the archive's ``data/0``.

    It calls ``torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)``; the storage is
    a persistent id: ``("storage", torch.FloatStorage, "0", "cpu", number of elements)``.
    """
    _, channels, frames = shape
    count = channels * frames
    storage = _tuple(_text("storage"), _global("torch", "FloatStorage"), _text("0"), _text("cpu"), _int(count))
    arguments = _tuple(
        storage + pickle.BINPERSID,
        _int(0),
        _tuple(*map(_int, shape)),
        _tuple(*map(_int, (count, frames, 1))),
        pickle.NEWFALSE,
        _global("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE,
    )
    rebuild = _global("torch._utils", "_rebuild_tensor_v2")
    return pickle.PROTO + b"\x02" + rebuild + arguments + pickle.REDUCE + pickle.STOP


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _text(value: str) -> bytes:
    return pickle.BINUNICODE + len(value).to_bytes(4, "little") + value.encode()


def _int(value: int) -> bytes:
    return pickle.BININT + value.to_bytes(4, "little", signed=True)


def _tuple(*items: bytes) -> bytes:
    return pickle.MARK + b"".join(items) + pickle.TUPLE
