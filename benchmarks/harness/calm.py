"""Tells samples that other programs disturbed, by the processor time these used meanwhile.

Choosing by that, and never by the time a sample took, favours neither fast nor slow samples.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.workload import Sample

CALM_SHARE = 0.1
"""Others may use this much of one core while a calm sample is taken."""
_STAT = Path("/proc/stat")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_BUSY = slice(0, 8)
_IDLE = slice(3, 5)
"""Where /proc/stat has the time of all programs, the system and other machines, and of idling among it."""


@dataclass(frozen=True)
class Watched:
    """A sample, and the processor seconds that others used while it was taken."""

    sample: Sample
    others_s: float

    @property
    def disturbance(self) -> float:
        """The cores that others used; 0.0 as long as clock ticks cannot tell it from nothing."""
        return self.others_s / self.sample.timed_s if self.others_s > 2 * _TICK_S else 0.0

    @property
    def calm(self) -> bool:
        """Whether the sample was left alone."""
        return self.disturbance <= CALM_SHARE


def watch(take: Callable[[], Sample]) -> Watched:
    """Take a sample, and look what the rest of the machine did meanwhile; only Linux tells that."""
    before_s = _others_s()
    sample = take()
    return Watched(sample, _others_s() - before_s)


def calmest(samples: list[Watched], least: int) -> list[Sample]:
    """Return, in their order, the calm samples; if they are fewer than *least*, the *least* that are calmest."""
    bound = max(CALM_SHARE, sorted(watched.disturbance for watched in samples)[:least][-1])
    return [watched.sample for watched in samples if watched.disturbance <= bound]


def _others_s() -> float:
    """Return the processor seconds that all but this process and its ended children have used so far."""
    if not _STAT.exists():
        return 0.0
    ticks = [int(number) for number in _STAT.read_text().split("\n", 1)[0].split()[1:]]
    own = os.times()
    own_s = own.user + own.system + own.children_user + own.children_system
    return (sum(ticks[_BUSY]) - sum(ticks[_IDLE])) * _TICK_S - own_s
