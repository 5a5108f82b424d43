"""The stage clock: wall time of named stages, with the device synchronised at both ends, and counts of their work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


def synchronize(device: str) -> None:
    """Wait until *device* (``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``) has finished all queued work."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return
    import torch

    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


class Clock:
    """Collects the seconds spent in named stages.

    A stage may be entered many times; every visit is kept, in order. A stage entered inside another one counts
    in both, so only stages that never nest add up to the wall time.

    Attributes:
        durations_s: seconds of every visit, by stage.
        counts: work that does not jitter, by name.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.durations_s: dict[str, list[float]] = {}
        self.counts: Counter[str] = Counter()

    def now(self) -> float:
        """Seconds of a monotonic clock, read when the device is idle."""
        synchronize(self.device)
        return perf_counter()

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Count the time inside the ``with`` block as stage *name*, also when the block raises."""
        start = self.now()
        try:
            yield
        finally:
            self.add(name, self.now() - start)

    def add(self, name: str, seconds: float) -> None:
        """Count *seconds* measured elsewhere as one visit of stage *name*."""
        self.durations_s.setdefault(name, []).append(seconds)

    def seconds(self, name: str) -> float:
        """Total seconds of stage *name*; 0.0 if it was never entered."""
        return sum(self.durations_s.get(name, ()))
