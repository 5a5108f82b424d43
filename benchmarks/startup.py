"""Importing the package, and loading the models."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, for_whole_matrix, memory, parameters, timed


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Measure the selected cells; asv passes the records to all classes of this module."""
    return matrix.measure_matrix(matrices.STARTUP_MATRIX)


class Import(FromRecords):
    """Importing the package in a new interpreter, timed inside it."""

    stage = "Import"
    params, param_names = parameters(matrices.STARTUP_AXES[stage])

    track_time = timed("time", "time")


class Load(FromRecords):
    """Loading a component in a process that has already imported everything.

    dit_offloaded: all models are offloaded. dit_int8 to dit_w8a8: the diffusion transformer is quantized.
    dit_compiled: loading includes a trial compilation, which after the first time is read from torch's cache on disk.
    """

    stage = "Load"
    params, param_names = parameters(matrices.STARTUP_AXES[stage])
    version = "2"

    track_time = timed("time", "time")
    track_memory = memory("memory", "size of what was loaded")
