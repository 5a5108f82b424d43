"""Every stage of the synthesizer alone, over its own parameters."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, exact, for_whole_matrix, memory, parameters, timed


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Run the chosen stages; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.STAGES_MATRIX)


class _Stage(FromRecords):
    """The series of every stage that torch computes."""

    track_time = timed("time", "time")
    track_peak_memory = memory("peak_memory", "peak memory", version="3")
    track_operators = exact("operators")
    track_flop = exact("flop")
    track_allocated_bytes = exact("allocated_bytes")
    track_distance = exact("distance")


class TextEncode(_Stage):
    """Caption and lyrics to text states: tokenizer, encoder and embedding."""

    stage = "TextEncode"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class ConditionEncode(_Stage):
    """Text states, lyrics and timbre to the condition sequence."""

    stage = "ConditionEncode"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class DiTForward(_Stage):
    """One evaluation of the diffusion transformer."""

    stage = "DiTForward"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class DiTStep(_Stage):
    """One call of the diffusion transformer, as in a generation: what is done once for all steps is done before.

    family: sft is sampled as base is, xl are wider. Turbo models have their guidance in their weights; a step of the
    others is guided, and has two rows for each piece.
    """

    stage = "DiTStep"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class VAEDecode(_Stage):
    """Latents of one piece to its waveform, in tiles or whole."""

    stage = "VAEDecode"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class VAEWindows(_Stage):
    """Latents of a batch to its waveforms, in windows.

    window: latent frames that are decoded together, of which a second has 25; 0 decodes the whole batch at once.
    """

    stage = "VAEWindows"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"

    track_extra_work = cost("extra_work", "share", "share of latent frames that are decoded again")


class VAEEncode(_Stage):
    """A waveform to its latents. The tiny VAE's encoder is as wide as the released one, and takes seconds a second."""

    stage = "VAEEncode"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class AudioSave(FromRecords):
    """A waveform to a file."""

    stage = "AudioSave"
    params, param_names = parameters(matrices.STAGES_AXES[stage])

    track_time = timed("time", "time")
    track_peak_memory = memory("peak_memory", "peak memory", version="3")
