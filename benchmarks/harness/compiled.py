"""What torch has compiled in this process so far."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Graphs:
    """How many graphs were compiled, and how often one ended because something could not be compiled."""

    compiled: int = 0
    breaks: int = 0

    @classmethod
    def so_far(cls) -> Graphs:
        """Ask Dynamo, if there is anybody who uses it."""
        if "torch._dynamo" not in sys.modules:
            return cls()
        from torch._dynamo.utils import counters

        return cls(counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))

    def __sub__(self, before: Graphs) -> Graphs:
        """Return what has been added to *before*."""
        return Graphs(self.compiled - before.compiled, self.breaks - before.breaks)
