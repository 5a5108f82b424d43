"""Time and memory of a call, on the device on which the models run."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from benchmarks.harness.contention import read_waits, waited_s
from benchmarks.harness.profiled import profiled

Result = TypeVar("Result")


@dataclass(frozen=True)
class Region(Generic[Result]):
    """A timed call.

    Attributes:
        result: what the call returned.
        time_s: seconds that it took.
        peak_bytes: peak of all tensors on CUDA; None on other devices.
        wait_s: its run-queue wait in seconds; None if that is unknown.
    """

    result: Result
    time_s: float
    peak_bytes: int | None
    wait_s: float | None


def observe(device: str, call: Callable[[], Result]) -> Region[Result]:
    """Run *call* and time it. The device is synchronized before and after."""
    synchronize(device)
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    waits, start = read_waits(), time.perf_counter()
    result = call()
    synchronize(device)
    time_s = time.perf_counter() - start
    wait_s = waited_s(waits, read_waits())
    if device != "cuda":
        return Region(result, time_s, None, wait_s)
    return Region(result, time_s, torch.cuda.max_memory_allocated(), wait_s)


def synchronize(device: str) -> None:
    """Wait until *device* has finished all queued work."""
    if device == "cpu":
        return
    import torch

    (torch.cuda if device == "cuda" else torch.mps).synchronize()


def tensor_bytes() -> int:
    """Return the bytes of the storages of all tensors that exist, each counted once.

    Tensors without memory are not counted: those on ``meta``, and a compiler's fake tensors.
    """
    import torch

    storages: dict[int, int] = {}
    for tensor in gc.get_objects():
        if issubclass(type(tensor), torch.Tensor):
            with suppress(RuntimeError):  # a tensor subclass without a storage of its own; its parts are counted
                storage = tensor.untyped_storage()
                if storage.device.type != "meta":
                    storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def added_tensor_bytes(call: Callable[[], object]) -> int:
    """Run *call* under torch's profiler and return the peak bytes of the tensors that it allocates on the CPU."""
    return profiled(call, "cpu").peak_bytes or 0


def module_bytes(module: Any) -> int:
    """Return the stored bytes of the parameters and buffers of a torch *module*, quantized or not."""
    return sum(_stored_bytes(tensor) for tensor in (*module.parameters(), *module.buffers()))


def _stored_bytes(tensor: Any) -> int:
    """Return the bytes of *tensor*; of a tensor subclass, those of its parts."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return int(tensor.nbytes)
    return sum(_stored_bytes(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
