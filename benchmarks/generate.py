"""Whole pieces of music: every stage of `generate_music` over duration, batch, thinking and steps."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, Series, for_whole_matrix, tracks
from benchmarks.harness.workloads.music import Music


@tracks(
    matrices.MUSIC,
    Series("wall", "seconds", "Wall time of generate_music"),
    Series("lm", "seconds", "Planner: chain of thought and audio codes"),
    Series("text_encode", "seconds", "Text encoder"),
    Series("condition", "seconds", "Condition encoder"),
    Series("code_decode", "seconds", "Audio codes to latents"),
    Series("dit", "seconds", "Diffusion: all steps"),
    Series("dit_step", "seconds", "Diffusion: median step"),
    Series("vae", "seconds", "VAE decode"),
    Series("post", "seconds", "Peak guard, normalisation, fades"),
    Series("save", "seconds", "Writing the audio files"),
    Series("other", "seconds", "What no stage claims"),
    Series("s_per_audio_s", "s/s", "Seconds per second of audio"),
    Series("peak_memory", "bytes", "Peak memory"),
    Series("tokens", "tokens", "Tokens that the planner wrote"),
    Series("forwards", "forwards", "Calls of the planner's model"),
    Series("fingerprint", "fingerprint", "Fingerprint of the waveforms"),
    Series("operators", "operators", "Operator calls"),
    Series("flop", "FLOP", "Floating-point operations"),
    Series("allocated_bytes", "exact bytes", "Bytes of all allocations together"),
    Series("distance", "distance", "Distance of the waveforms to the reference"),
)
class GenerateMusic(FromRecords):
    """Each sample calls `generate_music` for the same piece, with the same seeds.

    thinking: the planner fills in the metadata and writes the audio codes; without it no planner runs.
    steps: what the diffusion really ran; a turbo model gets its 16 times as `timesteps`.
    lm to save, and other, add up to wall; dit_step is a part of dit. A stage that does not run is n/a.
    peak_memory: of all tensors, weights included; on a CPU, torch's profiler counts them in one more run.
    fingerprint: no measure of quality; it moves if, and only if, the output does.
    operators to distance: of one more run; equal from run to run. distance: 0 is the output that the benchmarks keep,
    1.4 one that has nothing in common with it; on other machines rounding is about 0.000001 away.
    """

    version = "1"

    @for_whole_matrix
    def setup_cache(self) -> matrix.Records:
        """Generate the chosen pieces."""
        return matrix.measure_matrix(matrices.GENERATE_MATRIX, Music)
