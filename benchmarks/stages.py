"""Each stage of the synthesizer alone."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, exact, for_whole_matrix, memory, parameters, timed


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Measure the selected cells; asv passes the records to all classes of this module."""
    return matrix.measure_matrix(matrices.STAGES_MATRIX)


class _StageSeries(FromRecords):
    """The series of every stage that torch computes."""

    track_time = timed("time", "time")
    track_peak_memory = memory("peak_memory", "peak memory", version="3")
    track_operators = exact("operators")
    track_flop = exact("flop")
    track_allocated_bytes = exact("allocated_bytes")
    track_distance = exact("distance")


class TextEncode(_StageSeries):
    """Caption and lyrics to text states: tokenizer, text encoder and embedding."""

    stage = "TextEncode"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class ConditionEncode(_StageSeries):
    """Text states and a silent timbre reference to the condition sequence."""

    stage = "ConditionEncode"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class DiTForward(_StageSeries):
    """One evaluation of the diffusion transformer."""

    stage = "DiTForward"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class DiTStep(_StageSeries):
    """One evaluation of the diffusion transformer, as in a generation: what all steps share is computed before.

    family: variant of the model; xl variants are wider. Turbo variants are distilled and not guided. A step of the
    others is guided, so it has two rows for each piece.
    """

    stage = "DiTStep"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class VAEDecode(_StageSeries):
    """Latents of one piece to its waveform, whole or in tiles."""

    stage = "VAEDecode"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class VAEWindows(_StageSeries):
    """Latents of a batch to its waveforms, in tiles.

    window: latent frames of a tile (a second has 25); 0 decodes the whole batch at once.
    """

    stage = "VAEWindows"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"

    track_extra_work = cost("extra_work", "share", "share of latent frames that are decoded again")


class VAEEncode(_StageSeries):
    """A waveform to its latents. The tiny VAE's encoder has the released width, so it is slow."""

    stage = "VAEEncode"
    params, param_names = parameters(matrices.STAGES_AXES[stage])
    version = "2"


class AudioSave(FromRecords):
    """A waveform to an audio file."""

    stage = "AudioSave"
    params, param_names = parameters(matrices.STAGES_AXES[stage])

    track_time = timed("time", "time")
    track_peak_memory = memory("peak_memory", "peak memory", version="3")
