"""What it costs to begin."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, for_whole_matrix, memory, parameters, timed


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Import and load; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.STARTUP_MATRIX)


class Import(FromRecords):
    """Importing a part of the package in a fresh interpreter, timed inside it."""

    stage = "Import"
    params, param_names = parameters(matrices.STARTUP_AXES[stage])

    track_time = timed("time", "time")


class Load(FromRecords):
    """Loading the synthesizer or the planner in a process that has imported everything already.

    dit_offloaded to dit_w8a8: with everything resting on the host, or the diffusion transformer quantized.
    dit_compiled: with the proof that compiling works, which finds what it compiles on the disk after the first time.
    """

    stage = "Load"
    params, param_names = parameters(matrices.STARTUP_AXES[stage])
    version = "2"

    track_time = timed("time", "time")
    track_memory = memory("memory", "size of what was loaded")
