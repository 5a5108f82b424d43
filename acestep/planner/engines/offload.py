"""Where a model's weights are while it runs, and between its calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from acestep.memory.device import release
from acestep.planner.engines.decoder import Decoder
from acestep.runtime.offload import TransferStats
from acestep.timing.clock import Clock


class Residence:
    """Keeps a decoder's weights on a device: always, or only inside `scope`.

    Away from the device the weights are in the host's memory, and stay there: what is on the device are copies, which
    are dropped, never moved back.

    Attributes:
        transfers: what moving has cost.
    """

    def __init__(self, decoder: Decoder, device: str, *, offload: bool) -> None:
        """With *offload* the weights of *decoder* are the host's; without they are on *device* already."""
        self.transfers = TransferStats()
        self._device, self._offloads, self._depth = device, offload, 0
        self._host: Decoder | None = decoder
        self._resident: Decoder | None = None if offload else decoder

    @property
    def decoder(self) -> Decoder:
        """The decoder on the device; inside a `scope`, where the first use moves the weights."""
        if self._host is None or (self._offloads and not self._depth):
            raise RuntimeError("the planner's weights are not on the device: the engine is closed or not in use.")
        if self._resident is None:
            clock = Clock(self._device)
            with clock.span("move"):
                self._resident, copies = self._host.copied_to(self._device)
            self.transfers.add(sum(copy.nbytes for copy in copies), clock.seconds("move"))
        return self._resident

    @property
    def open(self) -> bool:
        """Whether a `scope` is entered."""
        return self._depth > 0

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Weights that were moved stay on the device until the end of the outermost scope."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._offloads and not self._depth and self._resident is not None:
                self._resident = None
                release(self._device)

    def close(self) -> None:
        """Forget the weights, on the device and on the host."""
        self._host = self._resident = None
