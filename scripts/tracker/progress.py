"""Tells who waits how far a run is, apart from its result."""

from __future__ import annotations

import sys
from time import perf_counter


class ProgressLine:
    """Says how far the race is: in place on a terminal, else a line every `INTERVAL_S`."""

    INTERVAL_S = 20.0

    def __init__(self, turns: int) -> None:
        self._turns, self._done = turns, 0
        self._began = self._spoke = perf_counter()

    def finished(self, text: str) -> None:
        """Count *text* as one more turn."""
        self._done += 1
        now = perf_counter()
        left_s = (now - self._began) * (self._turns / self._done - 1)
        text = f"[{self._done}/{self._turns}] {text}, about {left_s:.0f} s left"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="" if self._done < self._turns else "\n", file=sys.stderr, flush=True)
        elif now - self._spoke > self.INTERVAL_S:
            self._spoke = now
            print(text, file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Tell *text* to who waits, apart from the result."""
    print(text, file=sys.stderr, flush=True)
