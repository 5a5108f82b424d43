"""The VAE in tiles, with batches, and as an encoder: what runs it, and what checks a run."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.harness.adapters import probe
from benchmarks.harness.record import Cell
from benchmarks.harness.workload import CellFailed
from benchmarks.harness.workloads.generation import SAMPLE_RATE
from benchmarks.harness.workloads.synthesizer import LATENT_RATE, seeded_latents, seeded_waveform

DECODED = "{}, {} items together, {} frames at a time"


def decode_batch(dit: Any, cell: Cell) -> partial[Any]:
    """Return a function that decodes a batch: whole (`window` 0), or in tiles of `window` latent frames."""
    probe.decode_report(dit)  # raises Unsupported where a run could not be checked
    latents, window = seeded_latents(int(cell["batch"]), _frames(cell), dit), int(cell["window"])
    return partial(probe.decode_latents, dit, latents, tiled=window > 0, tile_frames=window or None)


def check_decode(dit: Any, cell: Cell, _waveforms: Any) -> dict[str, float]:
    """Return the share of latent frames that were decoded again; raises CellFailed for another tile or batch."""
    window, report = int(cell["window"]), probe.decode_report(dit)
    if report is None:
        raise CellFailed("the handler does not say how it decoded")
    wanted = ("tiled", 1, window) if window else ("whole", int(cell["batch"]), _frames(cell))
    done = report["path"], report["items"], report["window_frames"]
    if done != wanted:
        raise CellFailed(f"it decoded {DECODED.format(*done)} instead of {DECODED.format(*wanted)}")
    return {"extra_work": float(report["extra_work"])} if window else {}


def encode(dit: Any, cell: Cell) -> partial[Any]:
    """Return a function that encodes a waveform."""
    samples = round(SAMPLE_RATE * float(cell["duration"]))
    return partial(probe.encode_audio, dit, seeded_waveform(samples))


def check_encode(_dit: Any, cell: Cell, latents: Any) -> dict[str, float]:
    """Raise CellFailed if *latents* have another number of frames than the waveform; return no further series."""
    if len(latents) != _frames(cell):
        raise CellFailed(f"it encoded {len(latents)} latent frames instead of {_frames(cell)}")
    return {}


def _frames(cell: Cell) -> int:
    return round(LATENT_RATE * float(cell["duration"]))
