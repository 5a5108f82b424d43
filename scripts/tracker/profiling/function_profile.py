"""Profiles the functions of all threads with cProfile, which by itself sees the calling thread alone."""

from __future__ import annotations

import cProfile
import io
import pstats
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROWS_IN_FILE = 100
ROWS_TOLD = 20


def profiled(work: Callable[[], object], file: Path) -> str:
    """Run *work*, write its profile to *file*, and return the first rows.

    Profiling slows down every function call, so these times are longer than those of other runs.
    """
    with _every_thread() as profiles:
        work()
    stats = pstats.Stats(profiles[0], stream=io.StringIO())
    for other in profiles[1:]:
        stats.add(other)
    file.write_text(_table(stats, ROWS_IN_FILE), encoding="utf-8")
    threads = f"{len(profiles)} thread{'s' if len(profiles) > 1 else ''}"
    return f"FUNCTION PROFILE ({threads}; all of it in {file})\n{_table(stats, ROWS_TOLD)}".rstrip()


@contextmanager
def _every_thread() -> Iterator[list[cProfile.Profile]]:
    """Profile this thread, and every thread that starts inside the block."""
    profiles = [cProfile.Profile()]
    plain = threading.Thread.run

    def run(thread: threading.Thread) -> None:
        profile = cProfile.Profile()
        profiles.append(profile)
        profile.runcall(plain, thread)

    replaced: Any = threading.Thread
    replaced.run = run
    profiles[0].enable()
    try:
        yield profiles
    finally:
        profiles[0].disable()
        replaced.run = plain


def _table(stats: pstats.Stats, rows: int) -> str:
    stream = io.StringIO()
    told: Any = stats
    told.stream = stream
    stats.strip_dirs().sort_stats("cumulative").print_stats(rows)
    return stream.getvalue()
