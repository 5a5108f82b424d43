"""Measures the time that asv spends on making environments and on building and installing commits."""

from __future__ import annotations

import functools
import time
from typing import Any

from asv.environment import Environment


class BuildClock:
    """Adds up the seconds that asv builds in this process, from `attach` on.

    With ``--parallel``, asv builds in separate processes; their time is not counted.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def attach(self) -> None:
        """Count the time of every environment that is created and of every commit that is installed."""
        for name in ("create", "install_project"):
            setattr(Environment, name, self._timed(getattr(Environment, name)))

    def _timed(self, method: Any) -> Any:
        @functools.wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.monotonic()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds += time.monotonic() - start

        return timed
