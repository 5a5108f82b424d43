"""Every stage of the synthesizer alone, over its own parameters."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, Series, companions, for_whole_matrix, tracks_stage
from benchmarks.harness.workloads.stages import Stages

TIME = Series("time", "seconds", "time")
PEAK_MEMORY = Series("peak_memory", "bytes", "peak memory", version="2")
EXACT = companions("operators", "flop", "allocated_bytes", "distance")


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Run the chosen stages; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.STAGES_MATRIX, Stages)


@tracks_stage(matrices.STAGES, TIME, PEAK_MEMORY, *EXACT)
class TextEncode(FromRecords):
    """Caption and lyrics to text states: tokenizer, encoder and embedding."""


@tracks_stage(matrices.STAGES, TIME, PEAK_MEMORY, *EXACT)
class ConditionEncode(FromRecords):
    """Text states, lyrics and timbre to the condition sequence."""


@tracks_stage(matrices.STAGES, TIME, PEAK_MEMORY, *EXACT)
class DiTForward(FromRecords):
    """One evaluation of the diffusion transformer."""


@tracks_stage(matrices.STAGES, TIME, PEAK_MEMORY, *EXACT)
class DiTStep(FromRecords):
    """One call of the diffusion transformer, as in a generation: what is done once for all steps is done before.

    family: sft is sampled as base is, xl are wider. Turbo models have their guidance in their weights; a step of the
    others is guided, and has two rows for each piece.
    """


@tracks_stage(matrices.STAGES, TIME, PEAK_MEMORY, *EXACT)
class VAEDecode(FromRecords):
    """Latents of one piece to its waveform, in tiles or whole."""


@tracks_stage(
    matrices.STAGES,
    TIME,
    PEAK_MEMORY,
    Series("extra_work", "share", "share of latent frames that are decoded again"),
    *EXACT,
)
class VAEWindows(FromRecords):
    """Latents of a batch to its waveforms, in windows.

    window: latent frames that are decoded together, of which a second has 25; 0 decodes the whole batch at once.
    """


@tracks_stage(matrices.STAGES, TIME, PEAK_MEMORY, *EXACT)
class VAEEncode(FromRecords):
    """A waveform to its latents. The tiny VAE's encoder is as wide as the released one, and takes seconds a second."""


@tracks_stage(matrices.STAGES, TIME, PEAK_MEMORY)
class AudioSave(FromRecords):
    """A waveform to a file."""
