"""Time inside a loop of device work, without waiting for the device in every turn."""

from __future__ import annotations

from collections import defaultdict
from time import perf_counter

import torch


class Laps:
    """Adds up the time between marks by name.

    On CUDA a mark is an event on the stream and nothing waits until `seconds` is read; elsewhere it is the
    host's clock, so that on a device that works asynchronously (MPS) a lap is the time it took to queue the
    work.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._cuda = device.startswith("cuda")
        self._events: list[tuple[str, torch.cuda.Event]] = []
        self._totals: defaultdict[str, float] = defaultdict(float)
        self._last = 0.0
        self.mark("")

    def mark(self, name: str) -> None:
        """Count the time since the last mark as *name*."""
        if self._cuda:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self._device))
            self._events.append((name, event))
            return
        now = perf_counter()
        self._totals[name] += now - self._last
        self._last = now

    def seconds(self) -> dict[str, float]:
        """Seconds by name; waits for the device."""
        if self._events:
            torch.cuda.synchronize(self._device)
            for (_, before), (name, after) in zip(self._events, self._events[1:], strict=False):
                self._totals[name] += before.elapsed_time(after) / 1000.0
            self._events = self._events[-1:]
        return {name: total for name, total in self._totals.items() if name}
