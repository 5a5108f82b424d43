"""The progress callback of generations."""

from __future__ import annotations

from typing import Protocol


class ProgressCallback(Protocol):
    """Called as ``progress(fraction, desc=text)`` with the finished share of the work, 0 to 1."""

    def __call__(self, fraction: float, /, desc: str = "") -> None:
        """Report *fraction* and what is done next."""


def no_progress(fraction: float, /, desc: str = "") -> None:
    """The callback of callers without one."""
