"""GPU tiers: their limits, the predicted memory, and the memory of a tier's generation."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, fact, for_whole_matrix, parameters

LONGEST_S = 600.0
"""Longest duration, in seconds, that any tier allows."""
LARGEST_BATCH = 8.0
"""Largest batch that any tier allows."""
PLANNERS = 3.0
"""Number of planners that a tier can list."""


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Measure the selected cells; asv passes the records to all classes of this module."""
    return matrix.measure_matrix(matrices.TIERS_MATRIX)


class Resolve(FromRecords):
    """Limits and defaults of a GPU with `vram_gb` GB.

    Lower must be better, so a limit is shown as its shortfall: the highest limit of all tiers minus that of this tier.
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
    """Estimated memory of a request, with every model on the GPU."""

    stage = "Estimators"
    params, param_names = parameters(matrices.TIERS_AXES[stage])

    track_estimate = cost("estimate", "bytes", "estimate of a request")


class MemoryModel(FromRecords):
    """Predicted memory of a piece of 30 s: with the tier's options, without quantization, and without offloading."""

    stage = "MemoryModel"
    params, param_names = parameters(matrices.TIERS_AXES[stage])

    track_peak = cost("peak", "bytes", "predicted peak")
    track_over_budget = cost("over_budget", "bytes", "beyond what there is")
    track_misfits = cost("misfits", "misfits", "does not fit")


class Boundary(FromRecords):
    """Smallest GPU that is predicted to fit a piece, together with every larger one."""

    stage = "Boundary"
    params, param_names = parameters(matrices.TIERS_AXES[stage])

    track_min_gb_default = cost("min_gb_default", "GB", "least size, as tiers load")
    track_min_gb_no_quant = cost("min_gb_no_quant", "GB", "least size without quantization")
    track_min_gb_no_offload = cost("min_gb_no_offload", "GB", "least size without offload")


class BatchBoundary(FromRecords):
    """The tier's largest batch, compared with the largest of 1, 2, 4 and 8 that is predicted to fit."""

    stage = "BatchBoundary"
    params, param_names = parameters(matrices.TIERS_AXES[stage])

    track_too_large = cost("too_large", "pieces", "allowed, but predicted not to fit")
    track_unused = fact("unused", "pieces", "predicted to fit, but not allowed")


class Run(FromRecords):
    """A piece of 30 s at the released shapes, run without storage within the memory of the tier."""

    stage = "Run"
    params, param_names = parameters(matrices.TIERS_AXES[stage])

    track_peak = cost("peak", "bytes", "peak at released shapes")
    track_misfits = cost("misfits", "misfits", "out of memory")
