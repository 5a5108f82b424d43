"""The stage clock: wall time of named stages, with the device synchronised at both ends, and exact counts of work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


def synchronize(device: str) -> None:
    """Wait until *device* (``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``) has finished all queued work."""
    if device.startswith(("cuda", "mps")):
        import torch

        torch.accelerator.synchronize(device)


class Clock:
    """Collects the seconds spent in named stages.

    A stage can run many times; the duration of each run is kept, in order. A stage that runs inside another one counts
    in both, so only stages that never nest add up to the wall time.

    Attributes:
        durations_s: seconds of every run of a stage, by the stage's name.
        counts: amounts of work that are equal from run to run, by name.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.durations_s: dict[str, list[float]] = {}
        self.counts: Counter[str] = Counter()

    def now(self) -> float:
        """Seconds of a monotonic clock, read after the device has finished its work."""
        synchronize(self.device)
        return perf_counter()

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Count the time inside the ``with`` block as a run of stage *name*, also if the block raises."""
        start = self.now()
        try:
            yield
        finally:
            self.add(name, self.now() - start)

    def add(self, name: str, seconds: float) -> None:
        """Count *seconds* that were measured elsewhere as a run of stage *name*."""
        self.durations_s.setdefault(name, []).append(seconds)

    def seconds(self, name: str) -> float:
        """Total seconds of stage *name*; 0.0 if it never ran."""
        return sum(self.durations_s.get(name, ()))
