"""An enforced limit on the memory of tensors, with which this process behaves like a smaller device."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from acestep.memory.units import format_bytes

_active: list[MemoryLimit] = []
"""The limits whose ``with`` block is running, outermost first; they hold for the whole process."""


def limit_is_active() -> bool:
    """Whether a `MemoryLimit` is in force."""
    return bool(_active)


def free_within_limits(device_free_bytes: int) -> int:
    """Bytes that new tensors may take, at least 0: the device's free ones, or what the tightest limit leaves."""
    return max(0, min([device_free_bytes, *(limit.free_bytes for limit in _active)]))


class MemoryLimit(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Makes this process behave like a device with *limit_bytes* of memory.

    Inside the ``with`` block, every tensor that an operation creates on *kind* counts, each storage once and for as
    long as it lives. A tensor that exceeds the limit raises `torch.OutOfMemoryError`. Workspaces that an operation
    allocates internally are not seen.

    Attributes:
        peak_bytes: the largest number of bytes that were alive at once.
    """

    def __init__(self, limit_bytes: int, resident_bytes: int = 0, kind: str = "cpu") -> None:
        """Create a limit that is not yet in force.

        Args:
            limit_bytes: size of the simulated device.
            resident_bytes: bytes that count from the start, such as the weights of loaded models.
            kind: type of the device whose tensors count; ``meta`` tensors take no real memory.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._limit, self._held, self._kind = limit_bytes, resident_bytes, kind
        self._sizes: dict[int, int] = {}
        self.peak_bytes = resident_bytes

    @property
    def free_bytes(self) -> int:
        """Bytes that are left."""
        return self._limit - self._held

    def __enter__(self) -> MemoryLimit:
        _active.append(self)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        _active.remove(self)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count the storages that it created."""
        out = func(*args, **(kwargs or {}))
        inputs = {storage._cdata for storage in _storages((args, kwargs), self._kind)}
        for storage in _storages(out, self._kind):
            if storage._cdata not in inputs and storage._cdata not in self._sizes:
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
                f"Simulated device out of memory. Tried to allocate {format_bytes(storage.nbytes())}; "
                f"{format_bytes(self._held)} of {format_bytes(self._limit)} would be in use."
            )

    def _forget(self, key: int) -> None:
        self._held -= self._sizes.pop(key, 0)


def _storages(tree: Any, kind: str) -> Iterator[torch.UntypedStorage]:
    """The storages of all tensors of type *kind* in *tree*; a tensor subclass counts by its inner tensors."""
    for leaf in tree_leaves(tree):
        if not isinstance(leaf, Tensor) or leaf.device.type != kind:
            continue
        if hasattr(leaf, "__tensor_flatten__"):
            yield from _storages([getattr(leaf, name) for name in leaf.__tensor_flatten__()[0]], kind)
        else:
            yield leaf.untyped_storage()


@contextmanager
def outside_limit() -> Iterator[None]:
    """Tensors that are created inside the block do not count: they belong to the host, not to the limited device."""
    limits, _active[:] = list(_active), []
    try:
        with _disable_current_modes():
            yield
    finally:
        _active[:] = limits
