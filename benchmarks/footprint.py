"""What a generation takes up and does at the released shapes, computed on any machine: exact from run to run.

A laptop sees here that a commit has raised the peak of a small card.
"""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, Series, for_whole_matrix, tracks_stage
from benchmarks.harness.workloads.footprint import STAGES, Footprints

WHAT = {
    "weights": ("exact bytes", "weights"),
    "peak": ("exact bytes", "peak"),
    "flops": ("FLOP", "work"),
    "operators": ("operators", "operator calls"),
}


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Run the chosen shapes."""
    return matrix.measure_matrix(matrices.FOOTPRINT_MATRIX, Footprints)


@tracks_stage(
    matrices.FOOTPRINT,
    Series("peak", "exact bytes", "peak of all stages"),
    *(
        Series(f"{stage}_{name}", unit, f"{stage} {title}")
        for stage in STAGES.values()
        for name, (unit, title) in WHAT.items()
    ),
)
class Shapes(FromRecords):
    """A generation in 8 steps, in numbers of 2 bytes, with fused attention.

    loaded: everything on the GPU; every part there only while it works; the same with int8 weights.
    """
