"""The GPU tiers: what they allow, what is predicted to fit, and what a tier's generation takes up."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, fact, for_whole_matrix, parameters

LONGEST_S = 600.0
"""The longest audio that the package makes."""
LARGEST_BATCH = 8.0
"""The largest batch that the package makes at once."""
PLANNERS = 3.0
"""The number of planners that there are."""


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Ask what is chosen; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.TIERS_MATRIX)


class Resolve(FromRecords):
    """What a GPU of so many GB is given.

    What grows when a tier allows more is shown by how far it falls short of the most that any GPU is given.
    """

    stage = "Resolve"
    params, param_names = parameters(matrices.TIERS_AXES[stage])

    track_tier_index = fact("tier_index", "index", "index of the tier")
    track_duration_shortfall_lm = fact(
        "max_duration_lm", "seconds", "longest audio with a planner, short of 600 s", LONGEST_S
    )
    track_duration_shortfall = fact("max_duration", "seconds", "longest audio without, short of 600 s", LONGEST_S)
    track_batch_shortfall_lm = fact("max_batch_lm", "pieces", "largest batch with a planner, short of 8", LARGEST_BATCH)
    track_batch_shortfall = fact("max_batch", "pieces", "largest batch without, short of 8", LARGEST_BATCH)
    track_planner_shortfall = fact("lm_choices", "planners", "planners that are not listed", PLANNERS)
    track_offload_flags = fact("offload_flags", "flags", "offloading, 2 for models and 1 for the diffusion model")
    track_quantized = fact("quantized", "flags", "quantization")


class Estimators(FromRecords):
    """What a request is estimated to take up, with every model on the GPU."""

    stage = "Estimators"
    params, param_names = parameters(matrices.TIERS_AXES[stage])

    track_estimate = cost("estimate", "bytes", "estimate of a request")


class MemoryModel(FromRecords):
    """What 30 s are predicted to take up, as the tier loads the models and without quantization and offload."""

    stage = "MemoryModel"
    params, param_names = parameters(matrices.TIERS_AXES[stage])

    track_peak = cost("peak", "bytes", "predicted peak")
    track_over_budget = cost("over_budget", "bytes", "beyond what there is")
    track_misfits = cost("misfits", "misfits", "does not fit")


class Boundary(FromRecords):
    """The least size from which on every larger one is predicted to fit."""

    stage = "Boundary"
    params, param_names = parameters(matrices.TIERS_AXES[stage])

    track_min_gb_default = cost("min_gb_default", "GB", "least size, as tiers load")
    track_min_gb_no_quant = cost("min_gb_no_quant", "GB", "least size without quantization")
    track_min_gb_no_offload = cost("min_gb_no_offload", "GB", "least size without offload")


class BatchBoundary(FromRecords):
    """The tier's largest batch against the largest of 1, 2, 4 and 8 that is predicted to fit."""

    stage = "BatchBoundary"
    params, param_names = parameters(matrices.TIERS_AXES[stage])

    track_too_large = cost("too_large", "pieces", "allowed, but predicted not to fit")
    track_unused = fact("unused", "pieces", "predicted to fit, but not allowed")


class Run(FromRecords):
    """30 s of a tier at the released shapes, run without storage under its limit."""

    stage = "Run"
    params, param_names = parameters(matrices.TIERS_AXES[stage])

    track_peak = cost("peak", "bytes", "peak at released shapes")
    track_misfits = cost("misfits", "misfits", "out of memory")
