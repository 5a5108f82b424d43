"""Whole pieces by task, with a base model, which knows them all."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, exact, for_whole_matrix, memory, parameters, ratio, timed


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Make the chosen pieces; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.TASKS_MATRIX)


class _Task(FromRecords):
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


class Types(_Task):
    """A piece of 10 s in 8 guided steps; all but text2music start from an audio file that is as long.

    reference: whether it has the timbre of another file, of which 30 s are encoded.
    audio_load to save, the two encodings and other add up to wall; dit_step is a part of dit.
    """

    stage = "Types"
    params, param_names = parameters(matrices.TASKS_AXES[stage])
    version = "2"

    track_time_audio_load = timed("audio_load", "reading the audio files")
    track_time_source_encode = timed("source_encode", "VAE encode of the source")
    track_time_reference_encode = timed("reference_encode", "VAE encode of the reference")


class FromCodes(_Task):
    """The same pieces from audio codes in place of the file: no audio is encoded."""

    stage = "FromCodes"
    params, param_names = parameters(matrices.TASKS_AXES[stage])
    version = "2"
