"""Decodes latents to waveforms with a decode strategy that fits into memory.

Decode strategies are tried in order: whole, tiled with smaller and smaller tiles, on the CPU. The first whose estimated
memory fits is used; if it runs out of memory, the next one is tried. Tiles join exactly, because each is decoded with
its receptive field.
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
"""Lengths of tiles that are tried, in latent frames, without the overlap of 9 frames at either end.

Shorter tiles would decode more than 15 % of the frames twice.
"""
FREE_SHARE: Final = 0.8
"""Largest share of the free memory that a strategy may be expected to need."""
TILE_FRAMES_VARIABLE: Final = "ACESTEP_VAE_DECODE_CHUNK_SIZE"
"""Environment variable that sets the length of tiles, in latent frames."""
TILE_FRAMES_FORM: Final = "latent frames, a whole number above 0, as in 256"
"""What an error message says that `TILE_FRAMES_VARIABLE` must hold."""
ON_CPU_VARIABLE: Final = "ACESTEP_VAE_ON_CPU"
"""Environment variable that makes the CPU decode."""

OnFallback = Callable[[str], None]
"""Is called with a sentence that names the strategy that is tried next, and why the one before it was not possible."""


@dataclass(frozen=True)
class DecodeStrategy:
    """One way of decoding.

    Attributes:
        path: ``whole``, ``tiled`` or ``cpu``, which is tiled as well.
        items: items of the batch that are decoded together.
        tile_frames: latent frames that are decoded together, without their overlap.
    """

    path: str
    items: int
    tile_frames: int

    def __str__(self) -> str:
        together = "" if self.items == 1 else f", {self.items} items together"
        if self.path == "whole":
            return f"whole{together}"
        return f"{'on the CPU ' if self.path == 'cpu' else ''}in tiles of {self.tile_frames} frames{together}"


@dataclass
class DecodeReport:
    """How latents were decoded.

    Attributes:
        strategy: the strategy that was used.
        decoded_frames: latent frames that were decoded, with the overlap of tiles.
        frames: latent frames of all items.
        refused: for each strategy before it, a sentence that says why it was not possible.
    """

    strategy: DecodeStrategy
    decoded_frames: int = 0
    frames: int = 0
    refused: list[str] = field(default_factory=list)

    @property
    def public(self) -> dict[str, Any]:
        """The entry ``vae_decode`` of a generation's result."""
        return {
            "path": self.strategy.path,
            "items": self.strategy.items,
            "window_frames": self.strategy.tile_frames,
            "extra_work": self.decoded_frames / self.frames - 1,
            "refused": self.refused,
        }


def decode(
    decoder: Any,
    latents: Tensor,
    *,
    activate: SnakeFunction = snake,
    tiled: bool = True,
    tile_frames: int | None = None,
    on_fallback: OnFallback | None = None,
) -> tuple[Tensor, DecodeReport]:
    """Decode latents ``(batch, frames, 64)`` to waveforms, float32 ``(batch, 2, 1920 · frames)`` on the CPU.

    Args:
        decoder: an `OobleckDecoder` whose weight norms are folded into the weights.
        latents: latents on the decoder's device.
        activate: the snake activation, compiled or not.
        tiled: whether tiles may be used where the whole does not fit.
        tile_frames: always decode in tiles of this many latent frames; None leaves it to
            ``$ACESTEP_VAE_DECODE_CHUNK_SIZE``, and without that to what fits.
        on_fallback: called before a strategy is tried that is not the first.

    Raises:
        OutOfMemoryError: not even the last strategy fits.
        ValueError: *tile_frames* or an environment variable has a value that is not allowed.
    """
    whole("window_frames", tile_frames, 1, DURATION_MAX_S * LATENT_RATE, or_none=True)
    device, stacks = str(latents.device), decoder_stacks(decoder, activate)
    free = free_bytes(device)
    channels_first = latents.transpose(1, 2).to(decoder.conv1.weight.dtype).contiguous()
    batch, _, frames = channels_first.shape
    tile_frames = tile_frames or whole_number(TILE_FRAMES_VARIABLE, 1, TILE_FRAMES_FORM)
    strategies = list(decode_strategies(batch, frames, device, tiled, tile_frames))
    refused: list[str] = []
    for strategy in strategies:
        reason = "" if strategy is strategies[-1] else _reason_against(strategy, stacks, channels_first, device)
        if not reason:
            if refused and on_fallback:
                on_fallback(f"Decoding audio {strategy}: {refused[-1]}")
            report = DecodeReport(strategy, frames=batch * frames, refused=refused)
            waveforms = _try_strategy(decoder, stacks, channels_first, report)
            if waveforms is not None:
                return waveforms, report
            reason = "ran out of memory"
            release(device)
        refused.append(f"{strategy} {reason}")
    need = vae_decode_bytes(stacks, 1, strategies[-1].tile_frames, frames, channels_first.element_size(), device)
    remedy = "Make shorter pieces" + ("." if tiled else ", or leave use_tiled_decode on.")
    remedy += " offload_to_cpu and offload_dit_to_cpu leave it more memory."
    raise OutOfMemoryError("vae_decode", need, free, device, remedy)


def decode_strategies(
    batch: int, frames: int, device: str, tiled: bool, tile_frames: int | None
) -> Iterator[DecodeStrategy]:
    """Yield the strategies in the order in which they are tried; see `decode` for the arguments."""
    cpu_has_more_memory = limit_is_active() or not device.startswith("cpu")
    if not (cpu_has_more_memory and flag(ON_CPU_VARIABLE, strict=True)):
        items = batch
        while items and (tile_frames is None or tile_frames >= frames or not tiled):
            yield DecodeStrategy("whole", items, frames)
            items //= 2
        if tiled:
            lengths = [tile_frames] if tile_frames else TILE_FRAMES
            yield from [DecodeStrategy("tiled", 1, length) for length in lengths if length < frames]
    if cpu_has_more_memory:
        yield DecodeStrategy("cpu", 1, min(tile_frames or TILE_FRAMES[0], frames))


def _reason_against(strategy: DecodeStrategy, stacks: list[ConvStack], latents: Tensor, device: str) -> str:
    """Return why *strategy* is not expected to fit; empty if it is. *latents* are ``(batch, 64, frames)``."""
    if strategy.path == "cpu":
        return ""
    need = vae_decode_bytes(
        stacks, strategy.items, strategy.tile_frames, latents.shape[-1], latents.element_size(), device
    )
    free = free_bytes(device)
    if need <= FREE_SHARE * free:
        return ""
    return f"would take about {format_bytes(need)}, over {FREE_SHARE:.0%} of the {format_bytes(free)} that are free"


def _try_strategy(decoder: Any, stacks: list[ConvStack], latents: Tensor, report: DecodeReport) -> Tensor | None:
    """Return the waveforms of *latents* ``(batch, 64, frames)``; None if memory runs out."""
    try:
        if report.strategy.path != "cpu":
            return _decode_tiles(stacks, latents, report)
        with outside_limit():
            host = _host_device(latents)
            decoder_on_host = copy_module(decoder, host, torch.float32)
            return _decode_tiles(decoder_stacks(decoder_on_host), latents.to(host, torch.float32), report)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None


def _decode_tiles(stacks: list[ConvStack], latents: Tensor, report: DecodeReport) -> Tensor:
    """Decode *latents* ``(batch, 64, frames)`` tile by tile, and count the frames in *report*."""
    batch, _, frames = latents.shape
    strategy = report.strategy
    with outside_limit():
        waveforms = torch.empty(batch, stacks[-1].out_channels, frames * HOP_SAMPLES, device=_host_device(latents))
    tiles = -(-frames // strategy.tile_frames)
    edges = [frames * index // tiles for index in range(tiles + 1)]
    for item in range(0, batch, strategy.items):
        items = slice(item, item + strategy.items)
        for start, end in pairwise(edges):
            output = (start * HOP_SAMPLES, end * HOP_SAMPLES)
            first, last = input_range(stacks, output, frames)
            tile = latents[items, :, first:last]
            report.decoded_frames += len(tile) * (last - first)
            waveforms[items, :, slice(*output)] = run_tiled(stacks, tile, output, frames)
    return waveforms


def _host_device(latents: Tensor) -> str:
    """Return the device of the waveforms: the CPU, but ``meta`` for latents without storage."""
    return "meta" if latents.is_meta else "cpu"
