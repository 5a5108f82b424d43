"""A side of a comparison: the commit, where it is installed, and the settings of its workers."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.harness.process import Installed
from benchmarks.harness.settings import Settings
from scripts.comparing.commits import Commit


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    commit: Commit
    installed: Installed
    settings: Settings
