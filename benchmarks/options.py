"""Costs and savings of offloading, quantization and compilation. Their loading times are in `startup`."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, exact, fact, for_whole_matrix, memory, parameters, timed


class Generate(FromRecords):
    """A piece of 30 s in 8 steps with a turbo model, without the planner; compilation happens before the samples.

    offload: models offloads text encoder and VAE to the host; all offloads the diffusion model, too.
    A cell fails if one of its options is not in effect. A series of an option is n/a in cells without it.
    peak_memory: peak of all tensors, with weights. On a CPU, host and device share the memory, so it has weights that
    were moved to the device twice.
    """

    params, param_names = parameters(matrices.OPTIONS_AXES)
    version = "2"

    track_time_wall = timed("wall", "Options: wall time of generate_music")
    track_time_dit_step = timed("dit_step", "Options: diffusion, median step")
    track_time_vae = timed("vae", "Options: VAE decode")
    track_time_transfer = timed("transfer", "Options: moving weights to the device")
    track_peak_memory = memory("peak_memory", "Options: peak memory")
    track_transfers = cost("transfers", "transfers", "Options: times that weights were moved")
    track_transfer_bytes = cost("transfer_bytes", "bytes", "Options: weights that were moved")
    track_plain_layers = cost(
        "plain_layers", "layers", "Options: linear layers of the diffusion transformer that are not quantized"
    )
    track_weight_bytes = cost("weight_bytes", "bytes", "Options: weights of the diffusion transformer, as stored")
    track_graphs = fact("graphs", "graphs", "Options: compiled graphs")
    track_fingerprint = exact("fingerprint", "Options: fingerprint of the waveform")

    @for_whole_matrix
    def setup_cache(self) -> matrix.Records:
        """Measure the selected cells."""
        return matrix.measure_matrix(matrices.OPTIONS_MATRIX)
