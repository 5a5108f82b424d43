"""How long a call waited for a core, because other programs or machines had it: its run-queue wait.

Linux tells it of each thread, to the nanosecond. Elsewhere the involuntary context switches of the process are counted,
each as one time slice. What a hypervisor takes away, and a neighbour on the other half of a core, is not seen.

A fresh interpreter runs this file too, before the imports that it times, so it imports no more than it needs.
"""

from __future__ import annotations

import os
import resource

CONTENDED_SHARE = 0.02
"""Largest share of a sample's timed seconds that may be run-queue wait before the sample counts as contended."""
TIME_SLICE_S = 0.01
"""Seconds that a program runs before another one gets its core, where only context switches are counted (macOS)."""
_TASKS = "/proc/self/task"
_PROCESS = "the process"

Waits = dict[str, float]
"""Seconds that each thread has waited so far, by its number; without threads, those of the whole process."""


def read_waits() -> Waits:
    """Return how long the threads of this process have waited for a core since they began."""
    threads = os.listdir(_TASKS) if os.path.isdir(_TASKS) else []
    waits = {thread: wait_s for thread in threads if (wait_s := _wait_s(thread)) is not None}
    return waits or {_PROCESS: resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw * TIME_SLICE_S}


def waited_s(before: Waits, after: Waits) -> float | None:
    """Return the seconds that all threads together waited between two readings.

    None means unknown: a thread ended meanwhile and took its count along. A thread that both began and ended is not
    seen.
    """
    if before.keys() - after.keys():
        return None
    return sum(wait_s - before.get(thread, 0.0) for thread, wait_s in after.items())


def is_contended(wait_s: float | None, timed_s: float) -> bool | None:
    """Say whether a sample waited for more than CONTENDED_SHARE of its *timed_s*; None if that is unknown."""
    return None if wait_s is None else wait_s > CONTENDED_SHARE * timed_s


def _wait_s(thread: str) -> float | None:
    """Return the run-queue wait of *thread*, the second number of its statistics; None if it has ended, or has none."""
    try:
        with open(f"{_TASKS}/{thread}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return None
