"""text2music: the stages of `generate_music` by duration, batch, thinking and steps."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, exact, for_whole_matrix, memory, parameters, ratio, timed


class GenerateMusic(FromRecords):
    """Each sample calls `generate_music` once, with the same prompt and the same seeds.

    thinking: the planner writes metadata and audio codes; without it no planner runs.
    steps: number of steps that the diffusion runs; a turbo model gets the times of 16 steps as `timesteps`.
    wall is the sum of lm to save and other; dit_step is part of dit. A stage that does not run is n/a.
    peak_memory: peak of all tensors, with weights; on a CPU torch's profiler counts it in one more run.
    fingerprint: changes if and only if the output does; it does not measure quality.
    operators to distance: exact metrics, counted in further runs. distance: 0 is the reference output, 1.4 an unrelated
    one; rounding on other machines gives about 0.000001.
    """

    params, param_names = parameters(matrices.GENERATE_AXES)
    version = "2"

    track_time_wall = timed("wall", "Wall time of generate_music")
    track_time_lm = timed("lm", "Planner: chain of thought and audio codes")
    track_time_text_encode = timed("text_encode", "Text encoder")
    track_time_condition = timed("condition", "Condition encoder")
    track_time_code_decode = timed("code_decode", "Audio codes to latents")
    track_time_dit = timed("dit", "Diffusion: all steps")
    track_time_dit_step = timed("dit_step", "Diffusion: median step")
    track_time_vae = timed("vae", "VAE decode")
    track_time_post = timed("post", "Peak guard, normalisation, fades")
    track_time_save = timed("save", "Writing the audio files")
    track_time_other = timed("other", "What no stage claims")
    track_s_per_audio_s = ratio("s_per_audio_s", "s/s", "Seconds per second of audio")
    track_peak_memory = memory("peak_memory", "Peak memory")
    track_tokens = exact("tokens", "Tokens that the planner wrote")
    track_forwards = cost("forwards", "forwards", "Calls of the planner's model")
    track_fingerprint = exact("fingerprint", "Fingerprint of the waveforms")
    track_operators = exact("operators", "Operator calls")
    track_flop = exact("flop", "Floating-point operations")
    track_allocated_bytes = exact("allocated_bytes", "Bytes of all allocations together")
    track_distance = exact("distance", "Distance of the waveforms to the reference")

    @for_whole_matrix
    def setup_cache(self) -> matrix.Records:
        """Measure the selected cells."""
        return matrix.measure_matrix(matrices.GENERATE_MATRIX)
