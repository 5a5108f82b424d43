"""The package under measurement, as the workloads reach it: through an adapter, one for each package.

An adapter is an object of the protocol `Package`, and the only code in `benchmarks/` that names modules of the package
that it stands for. Workloads use two names of this module: `package`, the adapter in use, and `probe`, through which
they call single stages of a generation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness.adapters.ours import Ours
from benchmarks.harness.adapters.protocol import Package

__all__ = ["package", "probe"]

package: Package = Ours()
"""The adapter of the package under measurement."""


class _Probe:
    """Has the functions of `acestep.probe`, each as the commit under measurement has it."""

    def __getattr__(self, name: str) -> Any:
        """Return the function *name*; raises Unsupported if the commit has nothing that does its work."""
        if name.startswith("__"):
            raise AttributeError(name)
        return package.stage(name)


if TYPE_CHECKING:  # mypy checks the workloads' calls against the signatures of today's functions
    from acestep import probe
else:
    probe = _Probe()
