"""Run-queue wait: how long a call waited for a core because other programs had it.

Linux reports it for each thread, in nanoseconds. Elsewhere the involuntary context switches of the process are counted,
and each counts as one time slice. Time that a hypervisor takes away, and slowdown by a program on the other hardware
thread of a core, are not seen.

A new interpreter also executes this file before it times imports, so the file imports no more than it needs.
"""

from __future__ import annotations

import os
import resource

CONTENDED_SHARE = 0.02
"""A sample is contended if a larger share of its timed seconds than this is run-queue wait."""
TIME_SLICE_S = 0.01
"""Seconds that each involuntary context switch counts, on systems that report no waiting times (macOS)."""
_TASKS = "/proc/self/task"
_PROCESS = "the process"

Waits = dict[str, float]
"""Seconds that each thread has waited since it began, by its id; or those of the whole process."""


def read_waits() -> Waits:
    """Return the seconds that each thread of this process has waited for a core since it began."""
    threads = os.listdir(_TASKS) if os.path.isdir(_TASKS) else []
    waits = {thread: wait_s for thread in threads if (wait_s := _wait_s(thread)) is not None}
    return waits or {_PROCESS: resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw * TIME_SLICE_S}


def waited_s(before: Waits, after: Waits) -> float | None:
    """Return the seconds that all threads together waited between two readings.

    None means that it is unknown because a thread ended in between. A thread that both began and ended in between is
    not seen.
    """
    if before.keys() - after.keys():
        return None
    return sum(wait_s - before.get(thread, 0.0) for thread, wait_s in after.items())


def is_contended(wait_s: float | None, timed_s: float) -> bool | None:
    """Return whether a sample waited for more than CONTENDED_SHARE of its *timed_s*; None if the wait is unknown."""
    return None if wait_s is None else wait_s > CONTENDED_SHARE * timed_s


def _wait_s(thread: str) -> float | None:
    """Return the run-queue wait of *thread* in seconds; None if it has ended or the system does not report it."""
    try:
        with open(f"{_TASKS}/{thread}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return None
