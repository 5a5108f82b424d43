"""What offloading, quantization and compiling cost and save. How long they take to load is in `startup`."""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, Series, for_whole_matrix, tracks
from benchmarks.harness.workloads.options import Options


@tracks(
    matrices.OPTIONS,
    Series("wall", "seconds", "Options: wall time of generate_music"),
    Series("dit_step", "seconds", "Options: diffusion, median step"),
    Series("vae", "seconds", "Options: VAE decode"),
    Series("transfer", "seconds", "Options: moving weights to the device"),
    Series("peak_memory", "bytes", "Options: peak memory"),
    Series("transfers", "transfers", "Options: times that weights were moved"),
    Series("transfer_bytes", "bytes", "Options: weights that were moved"),
    Series("plain_layers", "layers", "Options: linear layers of the diffusion transformer that are not quantized"),
    Series("weight_bytes", "bytes", "Options: weights of the diffusion transformer, as stored"),
    Series("graphs", "graphs", "Options: compiled graphs"),
    Series("fingerprint", "fingerprint", "Options: fingerprint of the waveform"),
)
class Generate(FromRecords):
    """A piece of 30 s in 8 steps with a turbo model, without the planner; what has to be compiled was compiled before.

    offload: what rests in the host's memory; models: text encoder and autoencoder, all: the diffusion model as well.
    A cell fails if an option was asked for and is not in effect; what only an option does has no series without it.
    peak_memory: of all tensors, weights included; with a CPU, host and device are one: what is moved is there twice.
    """

    @for_whole_matrix
    def setup_cache(self) -> matrix.Records:
        """Generate the piece with the chosen options."""
        return matrix.measure_matrix(matrices.OPTIONS_MATRIX, Options)
