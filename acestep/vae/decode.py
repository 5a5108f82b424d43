"""Latents to waveforms within the memory that there is: whole, else in windows, else on the processor.

Decode strategies are tried in order: whole, tiled with smaller and smaller tiles, on the CPU. The first whose estimated
memory fits is used; if it runs out of memory, the next one is tried. Tiles join exactly: each is decoded with its
receptive field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import torch
from torch import Tensor

from acestep.constants import DURATION_MAX_S, HOP_SAMPLES, LATENT_RATE
from acestep.memory.device import OutOfMemoryError, free_bytes, is_out_of_memory, release
from acestep.memory.limit import limit_is_active, outside_limit
from acestep.memory.stage_estimates import vae_decode_bytes
from acestep.memory.units import format_bytes
from acestep.runtime.environment import flag, whole_number
from acestep.runtime.offload import copy_module
from acestep.vae.oobleck import SnakeFunction, decoder_stacks, snake
from acestep.vae.tiling import ConvStack, input_range, run_tiled
from acestep.validation import whole

TILE_FRAMES: Final = (512, 384, 256, 128)
"""Latent frames of a window, without the 9 beside it on either side: a narrower one would waste over 15 %."""
FREE_SHARE: Final = 0.8
"""Of the free memory that a strategy may be expected to take up."""
PINNED_VARIABLE: Final = "ACESTEP_VAE_DECODE_CHUNK_SIZE"
PINNED_FORM: Final = "latent frames, a whole number above 0, as in 256"
ON_CPU_VARIABLE: Final = "ACESTEP_VAE_ON_CPU"
OnFallback = Callable[[str], None]


@dataclass(frozen=True)
class DecodeStrategy:
    """One way of decoding.

    Attributes:
        path: ``whole``, ``tiled`` or ``cpu``, which is tiled as well.
        items: of the batch that are decoded together.
        window: latent frames that are decoded together.
    """

    path: str
    items: int
    window: int

    def __str__(self) -> str:
        together = "" if self.items == 1 else f", {self.items} items together"
        if self.path == "whole":
            return f"whole{together}"
        return f"{'on the CPU ' if self.path == 'cpu' else ''}in windows of {self.window} frames{together}"


@dataclass
class DecodeReport:
    """What was done.

    Attributes:
        strategy: the one that it was done on.
        frames: latent frames that were decoded, those beside a window included.
        needed_frames: latent frames that there are.
        refused: what came before, and why it was not possible.
    """

    strategy: DecodeStrategy
    frames: int = 0
    needed_frames: int = 0
    refused: list[str] = field(default_factory=list)

    @property
    def public(self) -> dict[str, Any]:
        """What a result tells under ``vae_decode``."""
        return {
            "path": self.strategy.path,
            "items": self.strategy.items,
            "window_frames": self.strategy.window,
            "extra_work": self.frames / self.needed_frames - 1,
            "refused": self.refused,
        }


def decode(
    decoder: Any,
    latents: Tensor,
    *,
    activate: SnakeFunction = snake,
    tiled: bool = True,
    window: int | None = None,
    announce: OnFallback | None = None,
) -> tuple[Tensor, DecodeReport]:
    """Waveforms, fp32 ``[B, 2, 1920·T]`` on the CPU, of *latents* ``[B, T, 64]``, and how they came about.

    Args:
        decoder: an `OobleckDecoder` without weight norm.
        latents: on the decoder's device.
        activate: the activation, compiled or not.
        tiled: windows may be used; without them it is the whole or nothing.
        window: latent frames of the windows to use, for which ``$ACESTEP_VAE_DECODE_CHUNK_SIZE`` is another way.
        announce: called with a sentence when a strategy is tried that is not the first, which says why.

    Raises:
        OutOfMemoryError: not even the last strategy fits.
        ValueError: *window* or a variable of the environment is not what it should be.
    """
    whole("window_frames", window, 1, DURATION_MAX_S * LATENT_RATE, or_none=True)
    device, chains = str(latents.device), decoder_stacks(decoder, activate)
    free = free_bytes(device)
    columns = latents.transpose(1, 2).to(decoder.conv1.weight.dtype).contiguous()
    batch, _, frames = columns.shape
    window = window or whole_number(PINNED_VARIABLE, 1, PINNED_FORM)
    ladder = list(decode_strategies(batch, frames, device, tiled, window))
    refused: list[str] = []
    for strategy in ladder:
        why = "" if strategy is ladder[-1] else _misfit(chains, strategy, columns, device)
        if not why:
            if refused and announce:
                announce(f"DecodeReport audio {strategy}: {refused[-1]}")
            decoding = DecodeReport(strategy, refused=refused)
            waveforms = _try(decoder, chains, columns, decoding)
            if waveforms is not None:
                return waveforms, decoding
            why = "ran out of memory"
            release(device)
        refused.append(f"{strategy} {why}")
    raise OutOfMemoryError(
        "vae_decode",
        decode_peak_bytes(chains, ladder[-1], frames, columns.element_size(), device),
        free,
        device,
        "Make shorter pieces"
        + ("." if tiled else ", or leave use_tiled_decode on.")
        + " offload_to_cpu and offload_dit_to_cpu leave it more memory.",
    )


def decode_strategies(
    batch: int, frames: int, device: str, tiled: bool, window: int | None
) -> Iterator[DecodeStrategy]:
    """The ladder, from the top."""
    elsewhere = limit_is_active() or not device.startswith("cpu")
    if not (elsewhere and flag(ON_CPU_VARIABLE, strict=True)):
        items = batch
        while items and (window is None or window >= frames or not tiled):
            yield DecodeStrategy("whole", items, frames)
            items //= 2
        if tiled:
            yield from [
                DecodeStrategy("tiled", 1, each) for each in ([window] if window else TILE_FRAMES) if each < frames
            ]
    if elsewhere:
        yield DecodeStrategy("cpu", 1, min(window or TILE_FRAMES[0], frames))


def decode_peak_bytes(
    chains: list[ConvStack], strategy: DecodeStrategy, frames: int, itemsize: int, device: str
) -> int:
    """About what decoding on *strategy* takes up on *device* at the most."""
    return vae_decode_bytes(chains, strategy.items, strategy.window, frames, itemsize, device)


def _misfit(chains: list[ConvStack], strategy: DecodeStrategy, columns: Tensor, device: str) -> str:
    """Why *strategy* cannot be expected to fit; empty if it can."""
    if strategy.path == "cpu":
        return ""
    need = decode_peak_bytes(chains, strategy, columns.shape[-1], columns.element_size(), device)
    free = free_bytes(device)
    if need <= FREE_SHARE * free:
        return ""
    return f"would take about {format_bytes(need)}, over {FREE_SHARE:.0%} of the {format_bytes(free)} that are free"


def _try(decoder: Any, chains: list[ConvStack], columns: Tensor, decoding: DecodeReport) -> Tensor | None:
    """The waveforms; None if memory runs out."""
    try:
        if decoding.strategy.path != "cpu":
            return _run(chains, columns, decoding)
        with outside_limit():
            host = _host(columns)
            there = copy_module(decoder, host, torch.float32)
            return _run(decoder_stacks(there), columns.to(host, torch.float32), decoding)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None


def _run(chains: list[ConvStack], columns: Tensor, decoding: DecodeReport) -> Tensor:
    """Decode window by window."""
    batch, _, frames = columns.shape
    strategy = decoding.strategy
    with outside_limit():
        waveforms = torch.empty(batch, chains[-1].out_channels, frames * HOP_SAMPLES, device=_host(columns))
    count = -(-frames // strategy.window)
    edges = [frames * index // count for index in range(count + 1)]
    decoding.frames, decoding.needed_frames = 0, batch * frames
    for item in range(0, batch, strategy.items):
        items = slice(item, item + strategy.items)
        for start, end in pairwise(edges):
            output = (start * HOP_SAMPLES, end * HOP_SAMPLES)
            first, last = input_range(chains, output, frames)
            part = columns[items, :, first:last]
            decoding.frames += len(part) * (last - first)
            waveforms[items, :, slice(*output)] = run_tiled(chains, part, output, frames)
    return waveforms


def _host(columns: Tensor) -> str:
    """Where waveforms go: to the processor, but what has no numbers stays without."""
    return "meta" if columns.is_meta else "cpu"
