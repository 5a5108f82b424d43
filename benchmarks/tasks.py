"""Generations by task, with a base model, which supports every task."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, exact, for_whole_matrix, memory, parameters, ratio, timed


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Measure the selected cells; asv passes the records to all classes of this module."""
    return matrix.measure_matrix(matrices.TASKS_MATRIX)


class _TaskSeries(FromRecords):
    """The series of every task."""

    track_time_wall = timed("wall", "wall time of generate_music")
    track_time_text_encode = timed("text_encode", "text encoder")
    track_time_condition = timed("condition", "condition encoder")
    track_time_code_decode = timed("code_decode", "audio codes to latents, or what codes would keep of them")
    track_time_dit = timed("dit", "diffusion, all steps")
    track_time_dit_step = timed("dit_step", "diffusion, median step")
    track_time_vae = timed("vae", "VAE decode")
    track_time_post = timed("post", "joining with the source, peak guard, normalisation")
    track_time_save = timed("save", "writing the audio file")
    track_time_other = timed("other", "what no stage claims")
    track_s_per_audio_s = ratio("s_per_audio_s", "s/s", "seconds per second of audio")
    track_peak_memory = memory("peak_memory", "peak memory")
    track_fingerprint = exact("fingerprint", "fingerprint of the waveform")


class Types(_TaskSeries):
    """A piece of 10 s in 8 guided steps; all tasks but text2music have source audio of the same length.

    reference: whether there is reference audio, of which 30 s are encoded.
    wall is the sum of all stages and other; dit_step is part of dit.
    """

    stage = "Types"
    params, param_names = parameters(matrices.TASKS_AXES[stage])
    version = "2"

    track_time_audio_load = timed("audio_load", "reading the audio files")
    track_time_source_encode = timed("source_encode", "VAE encode of the source")
    track_time_reference_encode = timed("reference_encode", "VAE encode of the reference")


class FromCodes(_TaskSeries):
    """The same with audio codes instead of source audio, so that no audio is encoded."""

    stage = "FromCodes"
    params, param_names = parameters(matrices.TASKS_AXES[stage])
    version = "2"
