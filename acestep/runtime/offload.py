"""Where the synthesizer's models are while they run, and between their uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from acestep.memory.device import release
from acestep.timing.clock import Clock


@dataclass
class TransferStats:
    """What moving weights to a device has cost so far: how often, bytes and seconds."""

    times: int = 0
    moved_bytes: int = 0
    seconds: float = 0.0

    def add(self, moved_bytes: int, seconds: float) -> None:
        """Count one more time."""
        self.times += 1
        self.moved_bytes += moved_bytes
        self.seconds += seconds

    def since(self, before: TransferStats) -> TransferStats:
        """What has been added since *before*."""
        return TransferStats(
            self.times - before.times, self.moved_bytes - before.moved_bytes, self.seconds - before.seconds
        )


class OffloadManager:
    """Keeps the weights of named parts on a device: always, or only while they are used.

    Between uses an offloaded part is in the host's memory, and stays there: what a use sees are copies on the device,
    which are dropped, never moved back.

    Attributes:
        transfers: what moving has cost so far.
        offloaded: names of the parts that rest on the host.
    """

    def __init__(self, parts: Mapping[str, Sequence[nn.Module]], device: str, offloaded: Collection[str]) -> None:
        """The weights of *offloaded* parts are the host's, those of the others are on *device* already."""
        self._parts, self._device = parts, device
        self.offloaded = frozenset(offloaded)
        self._keepers: Counter[str] = Counter()
        self._resting: dict[str, list[tuple[dict[str, Any], str, Tensor]]] = {}
        self.transfers = TransferStats()

    @contextmanager
    def on_device(self, *names: str) -> Iterator[None]:
        """Have these parts on the device inside the ``with`` block."""
        with self.hold(*names):
            for name in names:
                if name in self.offloaded and name not in self._resting:
                    self._fetch(name)
            yield

    @contextmanager
    def hold(self, *names: str) -> Iterator[None]:
        """Parts that are moved for a use inside the ``with`` block stay until its end."""
        self._keepers.update(names)
        try:
            yield
        finally:
            self._keepers.subtract(names)
            for name in names:
                if not self._keepers[name] and name in self._resting:
                    self._drop(name)

    def moved_bytes(self, name: str) -> int:
        """Bytes that a use of the part moves to the device: those of its weights if it is offloaded."""
        if name not in self.offloaded:
            return 0
        resting = self._resting.get(name) or _slots(self._parts[name])
        return sum(stored_bytes(tensor) for _, _, tensor in resting)

    def _fetch(self, name: str) -> None:
        clock, moved = Clock(self._device), 0
        resting = self._resting.setdefault(name, [])
        with clock.span("move"), torch.inference_mode(False), torch.no_grad():
            for slots, key, tensor in _slots(self._parts[name]):
                resting.append((slots, key, tensor))
                slots[key] = copy_tensor(tensor, self._device)
                moved += stored_bytes(tensor)
        self.transfers.add(moved, clock.seconds("move"))

    def _drop(self, name: str) -> None:
        for slots, key, tensor in self._resting.pop(name):
            slots[key] = tensor
        release(self._device)


def _slots(modules: Sequence[nn.Module]) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
    """Where each parameter and buffer of *modules* is kept: a dictionary and a key, and what is there."""
    for root in modules:
        for module in root.modules():
            for slots in (module._parameters, module._buffers):
                yield from [(slots, key, tensor) for key, tensor in slots.items() if tensor is not None]


def copy_tensor(tensor: Tensor, device: str, dtype: torch.dtype | None = None) -> Tensor:
    """A copy of *tensor* on *device*, with the same layout; a parameter stays one."""
    plain = tensor.detach()
    there = plain.clone() if plain.device == torch.device(device) else plain.to(device)
    if dtype is not None:
        there = there.to(dtype)
    return nn.Parameter(there, requires_grad=False) if isinstance(tensor, nn.Parameter) else there


def copy_module(module: nn.Module, device: str, dtype: torch.dtype) -> Any:
    """A copy of *module* on *device* in *dtype*; nothing is copied on the device where it is."""
    tensors = [*module.parameters(), *module.buffers()]
    return deepcopy(module, {id(tensor): copy_tensor(tensor, device, dtype) for tensor in tensors})


def stored_bytes(tensor: Tensor) -> int:
    """Bytes that *tensor* takes up; of one that is made of others, theirs together."""
    names = getattr(tensor, "__tensor_flatten__", None)
    if names is None:
        return tensor.nbytes
    return sum(stored_bytes(getattr(tensor, name)) for name in names()[0])
