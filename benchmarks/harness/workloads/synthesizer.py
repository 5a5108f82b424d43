"""The synthesizer's stages, each alone, on inputs that depend on nothing but the cell."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from inspect import signature
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.harness.record import Cell
from benchmarks.harness.workload import require, require_attribute
from benchmarks.harness.workloads.generation import CAPTION, LYRICS, SAMPLE_RATE

LATENT_RATE = 25
LATENT_CHANNELS = 64
WINDOW_FRAMES = 512


def text_encode(dit: Any, cell: Cell) -> partial[Any]:
    """Tokenize and encode caption and lyrics."""
    encode = require_attribute(dit, "encode_text")
    batch = int(cell["batch"])
    return partial(encode, [CAPTION] * batch, [LYRICS] * batch)


def condition_encode(dit: Any, cell: Cell) -> partial[Any]:
    """Encode text states, exactly `lyric_tokens` of them lyrics, into the condition sequence."""
    encode = require_attribute(dit, "encode_condition")
    batch, tokens = int(cell["batch"]), int(cell["lyric_tokens"])
    words = " ".join(islice(cycle(LYRICS.split()), 4 * tokens))
    text = require_attribute(dit, "encode_text")([CAPTION] * batch, [words] * batch)
    cut = {name: getattr(text, name)[:, :tokens].contiguous() for name in ("lyrics", "lyrics_mask", "lyric_ids")}
    if cut["lyrics"].shape[1] != tokens:
        raise ValueError(f"the lyrics have {cut['lyrics'].shape[1]} tokens instead of {tokens}")
    return partial(encode, replace(text, **cut))


def dit_forward(dit: Any, cell: Cell) -> partial[Any]:
    """Predict the velocity once, half way between noise and data."""
    latents, times, condition, context = denoising(dit, cell)
    if hasattr(dit, "denoiser"):
        return partial(dit.denoiser(condition, context), latents, times)
    return partial(dit.model.decoder, latents, times, times, condition, context, return_dict=False)


def denoising(dit: Any, cell: Cell) -> tuple[Any, Any, Any, Any]:
    """Return latents and times half way between noise and data, and the condition and context of these pieces."""
    import torch

    batch, frames = int(cell["batch"]), LATENT_RATE * int(cell["duration"])
    text = require_attribute(dit, "encode_text")([CAPTION] * batch, [LYRICS] * batch)
    condition, _ = require_attribute(dit, "encode_condition")(text)
    latents = seeded_latents(batch, frames, dit)
    context = torch.cat([latents, torch.ones_like(latents)], dim=-1)
    return latents, torch.full((batch,), 0.5, device=dit.device, dtype=dit.dtype), condition, context


def vae_decode(dit: Any, cell: Cell) -> partial[Any]:
    """Decode latents to a waveform on the CPU, whole or in tiles."""
    decode, tiled = require_attribute(dit, "decode_latents"), bool(cell["tiled"])
    latents = seeded_latents(1, LATENT_RATE * int(cell["duration"]), dit)
    pinned = {"window_frames": WINDOW_FRAMES} if tiled and "window_frames" in signature(decode).parameters else {}
    return partial(decode, latents, tiled=tiled, **pinned)


def audio_save(dit: Any, cell: Cell) -> partial[Any]:  # noqa: ARG001 - every stage is called alike
    """Write a file over the one of the sample before; it goes with the worker's temporary folder."""
    save = require("acestep.audio.write", "save")
    waveform = seeded_waveform(SAMPLE_RATE * int(cell["duration"]))
    return partial(save, waveform, Path(tempfile.mkdtemp()) / "piece", str(cell["format"]))


def seeded_latents(batch: int, frames: int, dit: Any) -> Any:
    """Return seeded latents `[batch, frames, 64]` where and as the models want them."""
    import torch

    noise = torch.randn(batch, frames, LATENT_CHANNELS, generator=torch.Generator().manual_seed(frames))
    return noise.to(device=dit.device, dtype=dit.dtype)


def seeded_waveform(samples: int) -> Any:
    """Return `[2, samples]`: two detuned tones under a little noise, which no codec finds trivial."""
    import torch

    time = torch.arange(samples, dtype=torch.float32) / SAMPLE_RATE
    tones = torch.stack([torch.sin(2 * torch.pi * pitch * time) for pitch in (220.0, 277.2)])
    noise = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    return 0.5 * tones + 0.05 * noise.clamp(-3, 3)
