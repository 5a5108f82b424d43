"""Tells samples that other programs disturbed, by the processor time these used meanwhile.

Choosing by that, and never by the time a sample took, favours neither fast nor slow samples.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.workload import Sample

CALM_SHARE = 0.1
"""Others may use this much of a core beyond those that a calm sample leaves to them."""
_CORES = os.cpu_count() or 1
_STAT = Path("/proc/stat")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_BUSY = slice(0, 8)
_IDLE = slice(3, 5)
"""Where /proc/stat has the time of all programs, the system and other machines, and of idling among it."""


@dataclass(frozen=True)
class Watched:
    """A sample, and the processor seconds that it and all others used while it was taken."""

    sample: Sample
    own_s: float
    others_s: float

    @property
    def disturbance(self) -> float:
        """The cores that others used beyond those left to them; 0.0 if clock ticks cannot tell it from nothing."""
        own_cores = max(1, math.ceil(self.own_s / self.sample.timed_s - CALM_SHARE))
        taken_s = self.others_s - (_CORES - own_cores) * self.sample.timed_s
        return taken_s / self.sample.timed_s if taken_s > 2 * _TICK_S else 0.0

    @property
    def calm(self) -> bool:
        """Whether the sample was left alone."""
        return self.disturbance <= CALM_SHARE


def watch(take: Callable[[], Sample]) -> Watched:
    """Take a sample, and look what the rest of the machine did meanwhile; only Linux tells that."""
    own_before_s, all_before_s = _used_s()
    sample = take()
    own_after_s, all_after_s = _used_s()
    own_s = own_after_s - own_before_s
    return Watched(sample, own_s, all_after_s - all_before_s - own_s)


def calmest(samples: list[Watched], least: int) -> list[Sample]:
    """Return, in their order, the calm samples; if they are fewer than *least*, the *least* that are calmest."""
    bound = max(CALM_SHARE, sorted(watched.disturbance for watched in samples)[:least][-1])
    return [watched.sample for watched in samples if watched.disturbance <= bound]


def _used_s() -> tuple[float, float]:
    """Return the processor seconds that this process, with its ended children, and that all have used so far."""
    if not _STAT.exists():
        return 0.0, 0.0
    ticks = [int(number) for number in _STAT.read_text().split("\n", 1)[0].split()[1:]]
    own = os.times()
    own_s = own.user + own.system + own.children_user + own.children_system
    return own_s, (sum(ticks[_BUSY]) - sum(ticks[_IDLE])) * _TICK_S
