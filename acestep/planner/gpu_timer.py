"""Times parts of a loop of device work without waiting for the device at every step."""

from __future__ import annotations

from collections import defaultdict
from time import perf_counter

import torch


class StepTimer:
    """Adds up the time between laps by name.

    On CUDA a lap is an event on the stream, and the host waits only in `seconds`. On other devices a lap is read from
    the host's clock; on MPS, which works asynchronously, it is therefore the time that queueing the work took.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._cuda = device.startswith("cuda")
        self._events: list[tuple[str, torch.Event]] = []
        self._totals: defaultdict[str, float] = defaultdict(float)
        self._last = 0.0
        self.lap("")

    def lap(self, name: str) -> None:
        """Add the time since the last lap to the total of *name*."""
        if self._cuda:
            event = torch.Event(self._device, enable_timing=True)
            event.record(torch.accelerator.current_stream(self._device))
            self._events.append((name, event))
            return
        now = perf_counter()
        self._totals[name] += now - self._last
        self._last = now

    def seconds(self) -> dict[str, float]:
        """Seconds by name; waits for the device."""
        if self._events:
            torch.accelerator.synchronize(self._device)
            for (_, before), (name, after) in zip(self._events, self._events[1:], strict=False):
                self._totals[name] += before.elapsed_time(after) / 1000.0
            self._events = self._events[-1:]
        return {name: total for name, total in self._totals.items() if name}
