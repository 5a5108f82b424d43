"""The GPU tiers: what they allow, what is predicted to fit, and what a tier's generation takes up."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, Series, for_whole_matrix, tracks_stage
from benchmarks.harness.workloads.tiers import Tiers


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Ask what is chosen; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.TIERS_MATRIX, Tiers)


@tracks_stage(
    matrices.TIERS,
    Series("tier_index", "tier", "index of the tier"),
    Series("max_duration_lm", "seconds allowed", "longest audio with a planner"),
    Series("max_duration", "seconds allowed", "longest audio without"),
    Series("max_batch_lm", "pieces", "largest batch with a planner"),
    Series("max_batch", "pieces", "largest batch without"),
    Series("lm_choices", "planners", "planners that are listed"),
    Series("offload_flags", "flags", "offloading, 2 for models and 1 for the diffusion model"),
    Series("quantized", "flags", "quantization"),
)
class Resolve(FromRecords):
    """What a GPU of so many GB is given."""


@tracks_stage(matrices.TIERS, Series("estimate", "exact bytes", "estimate of a request"))
class Estimators(FromRecords):
    """What a request is estimated to take up, with every model on the GPU."""


@tracks_stage(
    matrices.TIERS,
    Series("peak", "exact bytes", "predicted peak"),
    Series("over_budget", "exact bytes", "beyond what there is"),
    Series("misfits", "misfits", "does not fit"),
)
class MemoryModel(FromRecords):
    """What 30 s are predicted to take up, as the tier loads the models and without quantization and offload."""


@tracks_stage(
    matrices.TIERS,
    Series("min_gb_default", "GB", "least size, as tiers load"),
    Series("min_gb_no_quant", "GB", "least size without quantization"),
    Series("min_gb_no_offload", "GB", "least size without offload"),
)
class Boundary(FromRecords):
    """The least size from which on every larger one is predicted to fit."""


@tracks_stage(
    matrices.TIERS,
    Series("too_large", "pieces", "allowed, but predicted not to fit"),
    Series("unused", "pieces", "predicted to fit, but not allowed"),
)
class BatchBoundary(FromRecords):
    """The tier's largest batch against the largest of 1, 2, 4 and 8 that is predicted to fit."""


@tracks_stage(
    matrices.TIERS,
    Series("peak", "exact bytes", "peak at released shapes"),
    Series("misfits", "misfits", "out of memory"),
)
class Run(FromRecords):
    """30 s of a tier at the released shapes, run without storage under its limit."""
