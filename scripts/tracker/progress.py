"""Progress messages on standard error, separate from a command's result."""

from __future__ import annotations

import sys
from time import perf_counter


class ProgressLine:
    """Prints how many runs are done and how long the others will take.

    On a terminal one line is rewritten; elsewhere a new line is printed every `INTERVAL_S` seconds.
    """

    INTERVAL_S = 20.0

    def __init__(self, runs: int) -> None:
        self._runs, self._done = runs, 0
        self._start = self._last_line = perf_counter()

    def finished(self, text: str) -> None:
        """Count one more run, which *text* names."""
        self._done += 1
        now = perf_counter()
        left_s = (now - self._start) * (self._runs / self._done - 1)
        text = f"[{self._done}/{self._runs}] {text}, about {left_s:.0f} s left"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="" if self._done < self._runs else "\n", file=sys.stderr, flush=True)
        elif now - self._last_line > self.INTERVAL_S:
            self._last_line = now
            print(text, file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Print *text* on standard error."""
    print(text, file=sys.stderr, flush=True)
