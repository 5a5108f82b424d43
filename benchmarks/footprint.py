"""What a generation takes up and does at the released shapes, computed on any machine: exact from run to run.

A laptop sees here that a commit has raised the peak of a small card.
"""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, for_whole_matrix, parameters


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Run the chosen shapes."""
    return matrix.measure_matrix(matrices.FOOTPRINT_MATRIX)


class Shapes(FromRecords):
    """A generation in 8 steps, in numbers of 2 bytes, with fused attention.

    loaded: everything on the GPU; every part there only while it works; the same with int8 weights.
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
