"""CPU offload: keeps the weights of models in the host's memory, and copies them to the device while they are used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from acestep.memory.device import release
from acestep.timing.clock import Clock


@dataclass
class TransferStats:
    """What moving weights to a device has cost so far: number of transfers, bytes and seconds."""

    times: int = 0
    moved_bytes: int = 0
    seconds: float = 0.0

    def add(self, moved_bytes: int, seconds: float) -> None:
        """Count one more transfer."""
        self.times += 1
        self.moved_bytes += moved_bytes
        self.seconds += seconds

    def since(self, before: TransferStats) -> TransferStats:
        """What has been added since *before*."""
        return TransferStats(
            self.times - before.times, self.moved_bytes - before.moved_bytes, self.seconds - before.seconds
        )


class _Slot(NamedTuple):
    """Where a module keeps a parameter or buffer (a dictionary and a key), and the tensor on the host."""

    tensors: dict[str, Any]
    key: str
    host: Tensor


class OffloadManager:
    """Holds the weights of named parts of a model on a device: always, or only while they are used.

    The weights of an offloaded part never leave the host's memory. A use copies them to the device and drops the copies
    afterwards; nothing is copied back.

    Attributes:
        transfers: what moving weights has cost so far.
        offloaded: names of the offloaded parts.
    """

    def __init__(self, parts: Mapping[str, Sequence[nn.Module]], device: str, offloaded: Collection[str]) -> None:
        """Manage *parts*; the weights of *offloaded* parts are on the host, those of the others on *device*."""
        self._parts, self._device = parts, device
        self.offloaded = frozenset(offloaded)
        self._holders: Counter[str] = Counter()
        self._on_device: dict[str, list[_Slot]] = {}
        self.transfers = TransferStats()

    @contextmanager
    def on_device(self, *names: str) -> Iterator[None]:
        """Have these parts on the device inside the ``with`` block."""
        with self.hold(*names):
            for name in names:
                if name in self.offloaded and name not in self._on_device:
                    self._fetch(name)
            yield

    @contextmanager
    def hold(self, *names: str) -> Iterator[None]:
        """Keep these parts on the device until the end of the ``with`` block, once a use inside it has moved them."""
        self._holders.update(names)
        try:
            yield
        finally:
            self._holders.subtract(names)
            for name in names:
                if not self._holders[name] and name in self._on_device:
                    self._drop(name)

    def moved_bytes(self, name: str) -> int:
        """Bytes that a use of part *name* moves to the device: those of its weights, or 0 if it is not offloaded."""
        if name not in self.offloaded:
            return 0
        slots = self._on_device.get(name) or _slots(self._parts[name])
        return sum(stored_bytes(slot.host) for slot in slots)

    def _fetch(self, name: str) -> None:
        clock, moved = Clock(self._device), 0
        fetched = self._on_device.setdefault(name, [])
        with clock.span("move"), torch.inference_mode(False), torch.no_grad():
            for slot in _slots(self._parts[name]):
                fetched.append(slot)
                slot.tensors[slot.key] = copy_tensor(slot.host, self._device)
                moved += stored_bytes(slot.host)
        self.transfers.add(moved, clock.seconds("move"))

    def _drop(self, name: str) -> None:
        for slot in self._on_device.pop(name):
            slot.tensors[slot.key] = slot.host
        release(self._device)


def _slots(modules: Sequence[nn.Module]) -> Iterator[_Slot]:
    """The slots of all parameters and buffers of *modules*."""
    for root in modules:
        for module in root.modules():
            for tensors in (module._parameters, module._buffers):
                yield from [_Slot(tensors, key, tensor) for key, tensor in tensors.items() if tensor is not None]


def copy_tensor(tensor: Tensor, device: str, dtype: torch.dtype | None = None) -> Tensor:
    """A copy of *tensor* on *device* with the same memory layout; the copy of a parameter is a parameter."""
    plain = tensor.detach()
    copy = plain.clone() if plain.device == torch.device(device) else plain.to(device)
    if dtype is not None:
        copy = copy.to(dtype)
    return nn.Parameter(copy, requires_grad=False) if isinstance(tensor, nn.Parameter) else copy


def copy_module(module: nn.Module, device: str, dtype: torch.dtype) -> Any:
    """A copy of *module* on *device* in *dtype*; nothing is allocated on the device that the module is on."""
    tensors = [*module.parameters(), *module.buffers()]
    return deepcopy(module, {id(tensor): copy_tensor(tensor, device, dtype) for tensor in tensors})


def stored_bytes(tensor: Tensor) -> int:
    """Bytes that *tensor* occupies; a tensor subclass, such as a quantized one, occupies those of its inner tensors."""
    names = getattr(tensor, "__tensor_flatten__", None)
    if names is None:
        return tensor.nbytes
    return sum(stored_bytes(getattr(tensor, name)) for name in names()[0])
