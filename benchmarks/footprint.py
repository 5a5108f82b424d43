"""Memory and work of a generation at the released shapes, computed without storage: exact, and equal on every machine.

A laptop shows here whether a commit has raised the memory peak on a small GPU.
"""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, for_whole_matrix, parameters


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Measure the selected cells."""
    return matrix.measure_matrix(matrices.FOOTPRINT_MATRIX)


class Shapes(FromRecords):
    """A generation in 8 steps, in bfloat16, with fused attention.

    family: variant of the diffusion model.
    loaded: plain has everything on the GPU; offloaded has each model there only while it runs; int8 quantizes weights.
    """

    stage = "Shapes"
    params, param_names = parameters(matrices.FOOTPRINT_AXES[stage])

    track_peak = cost("peak", "bytes", "peak of all stages")
    track_text_weights = cost("text_weights", "bytes", "text weights")
    track_text_peak = cost("text_peak", "bytes", "text peak")
    track_text_flops = cost("text_flops", "FLOP", "text work")
    track_text_operators = cost("text_operators", "operators", "text operator calls")
    track_condition_weights = cost("condition_weights", "bytes", "condition weights")
    track_condition_peak = cost("condition_peak", "bytes", "condition peak")
    track_condition_flops = cost("condition_flops", "FLOP", "condition work")
    track_condition_operators = cost("condition_operators", "operators", "condition operator calls")
    track_diffusion_weights = cost("diffusion_weights", "bytes", "diffusion weights")
    track_diffusion_peak = cost("diffusion_peak", "bytes", "diffusion peak")
    track_diffusion_flops = cost("diffusion_flops", "FLOP", "diffusion work")
    track_diffusion_operators = cost("diffusion_operators", "operators", "diffusion operator calls")
    track_vae_weights = cost("vae_weights", "bytes", "vae weights")
    track_vae_peak = cost("vae_peak", "bytes", "vae peak")
    track_vae_flops = cost("vae_flops", "FLOP", "vae work")
    track_vae_operators = cost("vae_operators", "operators", "vae operator calls")
