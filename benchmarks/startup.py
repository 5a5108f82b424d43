"""What it costs to begin."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, Series, for_whole_matrix, tracks_stage
from benchmarks.harness.workloads.startup import Startup

TIME = Series("time", "seconds", "time")


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Import and load; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.STARTUP_MATRIX, Startup)


@tracks_stage(matrices.STARTUP, TIME)
class Import(FromRecords):
    """Importing a part of the package in a fresh interpreter, timed inside it."""


@tracks_stage(matrices.STARTUP, TIME, Series("memory", "bytes", "size of what was loaded"))
class Load(FromRecords):
    """Loading the synthesizer or the planner in a process that has imported everything already.

    dit_offloaded to dit_w8a8: with everything resting on the host, or the diffusion transformer quantized.
    dit_compiled: with the proof that compiling works, which finds what it compiles on the disk after the first time.
    """
