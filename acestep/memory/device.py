"""The memory of a device: what is free, what running out of it means, and a limit that stands for a smaller device."""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from acestep.gpu.probe import GIB, budget_gb, simulated_gb

_active: list[MemoryLimit] = []


class OutOfMemoryError(RuntimeError):
    """A stage of a generation does not fit into the device's memory; the message says what it needs and what helps.

    Attributes:
        stage: its name.
        need_bytes: about what it needs beside what is there when it begins.
    """

    def __init__(self, stage: str, need_bytes: int, free_bytes: int, device: str, remedy: str) -> None:
        super().__init__(
            f"Out of memory in {stage}: it needs about {size(need_bytes)} on {device}, where {size(free_bytes)} were "
            f"free. {remedy}"
        )
        self.stage, self.need_bytes = stage, need_bytes


def is_out_of_memory(error: BaseException) -> bool:
    """Whether *error* tells that memory ran out: torch's own error, Python's, or torch's of the CPU's memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and bool(
        re.search("out of memory|can't allocate memory|not enough memory", str(error))
    )


def free_bytes(device: str) -> int:
    """Bytes of *device* that new tensors may take: the driver's free ones and those that torch holds in reserve.

    On CUDA no more than a GPU of the size that ``$MAX_CUDA_VRAM`` simulates would have. On a CPU they are those of the
    machine that can be had without swapping; ``meta`` has none of its own. A `MemoryLimit` leaves no more than its
    rest.
    """
    kind = device.partition(":")[0]
    if kind == "cuda":
        allocated = torch.cuda.memory_allocated(device)
        free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - allocated
        simulated = simulated_gb()
        if simulated is not None:
            free = min(free, int(budget_gb(simulated) * GIB) - allocated)
    elif kind == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    elif kind == "meta":
        free = sys.maxsize
    else:
        import psutil

        free = psutil.virtual_memory().available
    return max(0, min([free, *(limit.free_bytes for limit in _active)]))


def limited() -> bool:
    """Whether a `MemoryLimit` stands for a device."""
    return bool(_active)


def release(device: str) -> None:
    """Give memory that nothing uses any more back from torch to *device*."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        torch.cuda.empty_cache()
    elif kind == "mps":
        torch.mps.empty_cache()


def size(count: float) -> str:
    """*count* bytes for people, as in ``1.25 GiB``."""
    return f"{count / GIB:.2f} GiB" if count >= GIB else f"{count / 2**20:.1f} MiB"


class MemoryLimit(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Makes this process a device with so many bytes: a tensor beyond them raises `torch.OutOfMemoryError`.

    Counted are the tensors that operations make on *kind* inside the ``with`` block, each storage once and as long as
    it lives; what an operation needs for itself is not seen. With *kind* ``meta`` shapes alone are run.

    Attributes:
        peak_bytes: the most that there was at once.
    """

    def __init__(self, limit_bytes: int, resident_bytes: int = 0, kind: str = "cpu") -> None:
        """With *resident_bytes* of models that are there already."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._limit, self._held, self._kind = limit_bytes, resident_bytes, kind
        self._sizes: dict[int, int] = {}
        self.peak_bytes = resident_bytes

    @property
    def free_bytes(self) -> int:
        """What is left."""
        return self._limit - self._held

    def __enter__(self) -> MemoryLimit:
        _active.append(self)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        _active.remove(self)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count what it made."""
        out = func(*args, **(kwargs or {}))
        given = {storage._cdata for storage in _storages((args, kwargs), self._kind)}
        for storage in _storages(out, self._kind):
            if storage._cdata not in given and storage._cdata not in self._sizes:
                self._count(storage)
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        self._sizes[key] = storage.nbytes()
        self._held += storage.nbytes()
        weakref.finalize(storage, self._forget, key)
        self.peak_bytes = max(self.peak_bytes, self._held)
        if self._held > self._limit:
            raise torch.OutOfMemoryError(
                f"Simulated device out of memory. Tried to allocate {size(storage.nbytes())}; "
                f"{size(self._held)} of {size(self._limit)} would be in use."
            )

    def _forget(self, key: int) -> None:
        self._held -= self._sizes.pop(key, 0)


def _storages(tree: Any, kind: str) -> Iterator[torch.UntypedStorage]:
    """What the tensors in *tree* are stored in; of one that is made of others, what these are."""
    for leaf in tree_leaves(tree):
        if not isinstance(leaf, Tensor) or leaf.device.type != kind:
            continue
        if hasattr(leaf, "__tensor_flatten__"):
            yield from _storages([getattr(leaf, name) for name in leaf.__tensor_flatten__()[0]], kind)
        else:
            yield leaf.untyped_storage()


@contextmanager
def outside_limit() -> Iterator[None]:
    """What is made inside the block is not on the device that a `MemoryLimit` stands for, but in the host's memory."""
    from torch.utils._python_dispatch import _disable_current_modes

    limits, _active[:] = list(_active), []
    try:
        with _disable_current_modes():
            yield
    finally:
        _active[:] = limits
