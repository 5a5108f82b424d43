"""Whole pieces by task, with a base model, which knows them all."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, Series, for_whole_matrix, tracks_stage
from benchmarks.harness.workloads.tasks import Tasks

SERIES = (
    Series("wall", "seconds", "wall time of generate_music"),
    Series("text_encode", "seconds", "text encoder"),
    Series("condition", "seconds", "condition encoder"),
    Series("code_decode", "seconds", "audio codes to latents, or what codes would keep of them"),
    Series("dit", "seconds", "diffusion, all steps"),
    Series("dit_step", "seconds", "diffusion, median step"),
    Series("vae", "seconds", "VAE decode"),
    Series("post", "seconds", "joining with the source, peak guard, normalisation"),
    Series("save", "seconds", "writing the audio file"),
    Series("other", "seconds", "what no stage claims"),
    Series("s_per_audio_s", "s/s", "seconds per second of audio"),
    Series("peak_memory", "bytes", "peak memory"),
    Series("fingerprint", "fingerprint", "fingerprint of the waveform"),
)
FROM_FILES = (
    Series("audio_load", "seconds", "reading the audio files"),
    Series("source_encode", "seconds", "VAE encode of the source"),
    Series("reference_encode", "seconds", "VAE encode of the reference"),
)


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Make the chosen pieces; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.TASKS_MATRIX, Tasks)


@tracks_stage(matrices.TASKS, *SERIES, *FROM_FILES)
class Types(FromRecords):
    """A piece of 10 s in 8 guided steps; all but text2music start from an audio file that is as long.

    reference: whether it has the timbre of another file, of which 30 s are encoded.
    audio_load to save, the two encodings and other add up to wall; dit_step is a part of dit.
    """


@tracks_stage(matrices.TASKS, *SERIES)
class FromCodes(FromRecords):
    """The same pieces from audio codes in place of the file: no audio is encoded."""
