"""Stages of the synthesizer, each alone, on inputs that depend on nothing but the cell."""

from __future__ import annotations

import tempfile
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.harness.adapters import probe
from benchmarks.harness.record import Cell
from benchmarks.harness.workloads.generation import CAPTION, LYRICS, SAMPLE_RATE

LATENT_RATE = 25
LATENT_CHANNELS = 64
TILE_FRAMES = 512
"""Latent frames of a tile, where a cell decodes in tiles."""


def text_encode(dit: Any, cell: Cell) -> partial[Any]:
    """Return a function that tokenizes and encodes caption and lyrics."""
    batch = int(cell["batch"])
    return partial(probe.encode_text, dit, [CAPTION] * batch, [LYRICS] * batch)


def condition_encode(dit: Any, cell: Cell) -> partial[Any]:
    """Return a function that encodes text states, `lyric_tokens` of them lyrics, into the condition sequence."""
    batch, tokens = int(cell["batch"]), int(cell["lyric_tokens"])
    words = " ".join(islice(cycle(LYRICS.split()), 4 * tokens))
    text = probe.encode_text(dit, [CAPTION] * batch, [words] * batch)
    return partial(probe.encode_condition, dit, probe.cut_lyrics(text, tokens))


def dit_forward(dit: Any, cell: Cell) -> partial[Any]:
    """Return a function that evaluates the transformer once, half way between noise and data."""
    latents, times, condition, context = denoising(dit, cell)
    return partial(probe.denoiser(dit, condition, context), latents, times)


def denoising(dit: Any, cell: Cell) -> tuple[Any, Any, Any, Any]:
    """Return latents, timesteps (half way between noise and data), condition and context for the pieces of *cell*."""
    import torch

    batch, frames = int(cell["batch"]), LATENT_RATE * int(cell["duration"])
    text = probe.encode_text(dit, [CAPTION] * batch, [LYRICS] * batch)
    condition, _ = probe.encode_condition(dit, text)
    latents = seeded_latents(batch, frames, dit)
    context = torch.cat([latents, torch.ones_like(latents)], dim=-1)
    return latents, torch.full((batch,), 0.5, device=dit.device, dtype=dit.dtype), condition, context


def vae_decode(dit: Any, cell: Cell) -> partial[Any]:
    """Return a function that decodes latents to a waveform on the CPU, whole or in tiles."""
    tiled = bool(cell["tiled"])
    latents = seeded_latents(1, LATENT_RATE * int(cell["duration"]), dit)
    return partial(probe.decode_latents, dit, latents, tiled=tiled, tile_frames=TILE_FRAMES if tiled else None)


def audio_save(dit: Any, cell: Cell) -> partial[Any]:  # noqa: ARG001 - every stage is called alike
    """Return a function that writes an audio file; each sample overwrites it, in the worker's temporary folder."""
    waveform = seeded_waveform(SAMPLE_RATE * int(cell["duration"]))
    return partial(probe.save_audio, waveform, Path(tempfile.mkdtemp()) / "piece", str(cell["format"]))


def seeded_latents(batch: int, frames: int, dit: Any) -> Any:
    """Return random latents ``(batch, frames, 64)`` of a fixed seed, on the device and in the dtype of the models."""
    import torch

    noise = torch.randn(batch, frames, LATENT_CHANNELS, generator=torch.Generator().manual_seed(frames))
    return noise.to(device=dit.device, dtype=dit.dtype)


def seeded_waveform(samples: int) -> Any:
    """Return a waveform ``(2, samples)``: a tone in each channel under a little noise."""
    import torch

    time = torch.arange(samples, dtype=torch.float32) / SAMPLE_RATE
    tones = torch.stack([torch.sin(2 * torch.pi * pitch * time) for pitch in (220.0, 277.2)])
    noise = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    return 0.5 * tones + 0.05 * noise.clamp(-3, 3)
