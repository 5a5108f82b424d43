"""Time and memory of a region, on the device that the models run on."""

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
    """What a call returned, the seconds it took, with CUDA the peak of all tensors in bytes, and its run-queue wait.

    `wait_s` is None where that is unknown.
    """

    result: Result
    time_s: float
    peak_bytes: int | None
    wait_s: float | None


def observe(device: str, call: Callable[[], Result]) -> Region[Result]:
    """Run *call*, with the device idle at both ends of the time that is taken."""
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
    """Wait until *device* has finished what was queued."""
    if device == "cpu":
        return
    import torch

    (torch.cuda if device == "cuda" else torch.mps).synchronize()


def tensor_bytes() -> int:
    """Return the size of all tensors that exist; what several of them share counts once, what has no memory not at all.

    Tensors on ``meta`` have none, nor have a compiler's stand-ins, which live for as long as the garbage does.
    """
    import torch

    storages: dict[int, int] = {}
    for tensor in gc.get_objects():
        if issubclass(type(tensor), torch.Tensor):
            with suppress(RuntimeError):  # it is made of others: no memory is its own
                storage = tensor.untyped_storage()
                if storage.device.type != "meta":
                    storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def added_tensor_bytes(call: Callable[[], object]) -> int:
    """Run *call* and return the most that its tensors on the CPU take up at once, to the byte.

    Torch's profiler counts them.
    """
    return profiled(call, "cpu").peak_bytes or 0


def module_bytes(module: Any) -> int:
    """Return the size of the parameters and buffers of a torch *module*, quantized or not, as they are stored."""
    return sum(_stored_bytes(tensor) for tensor in (*module.parameters(), *module.buffers()))


def _stored_bytes(tensor: Any) -> int:
    """Return the size of *tensor*; of one that is made of others, theirs together."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return int(tensor.nbytes)
    return sum(_stored_bytes(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
