"""Counts of what torch has compiled in this process."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Graphs:
    """The number of compiled graphs, and of graph breaks (operations that could not be compiled)."""

    compiled: int = 0
    breaks: int = 0

    @classmethod
    def so_far(cls) -> Graphs:
        """Return the counts since the process started; zero if Dynamo was never imported."""
        if "torch._dynamo" not in sys.modules:
            return cls()
        from torch._dynamo.utils import counters

        return cls(counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))

    def __sub__(self, before: Graphs) -> Graphs:
        """Return the counts since *before*."""
        return Graphs(self.compiled - before.compiled, self.breaks - before.breaks)
