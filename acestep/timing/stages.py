"""The stages of a generation: their time, apart from that of moving weights, and what it means if memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from acestep.constants import FRAMES_PER_CODE, HOP_SAMPLES, MAX_CAPTION_TOKENS
from acestep.dit.denoiser import denoiser_peak_bytes
from acestep.memory.device import OutOfMemoryError, free_bytes, is_out_of_memory, release
from acestep.synthesizer import ENCODE_FRAMES, Synthesizer
from acestep.timing.clock import Clock
from acestep.vae.oobleck import encoder_stacks
from acestep.vae.tiling import peak_activation_elements

TRANSFER: Final = "transfer"
"""The stage of moving weights to the device."""
_SMALLER: Final = {
    "text_encode": ("a shorter caption",),
    "condition_encode": ("shorter lyrics",),
    "reference_encode": ("a shorter reference",),
    "source_encode": ("a shorter source",),
}
"""What makes a stage need less; the others work on the whole batch."""
_LAID_OUT: Final = 7
"""Times that latents are there while they are laid out: target, source, mask, and twice the context of two."""
_STATES: Final = 6
"""Of the sampler at once: noise, state, velocity, the clean state and what corrects it."""
MASK_BYTES: Final = 16
"""For a pair of tokens, while diffusers makes a mask: differences as int64, booleans, the mask itself."""


class StageRunner:
    """Runs the stages of one generation of *models* by *clock*."""

    def __init__(self, models: Synthesizer, clock: Clock) -> None:
        self._models, self._clock = models, clock

    @contextmanager
    def __call__(self, name: str, part: str, need_bytes: int) -> Iterator[None]:
        """Count the time inside the ``with`` block as stage *name*, but for that of moving weights.

        Raises:
            OutOfMemoryError: memory ran out inside; it tells the stage, and what that needs: by *need_bytes*, and the
                weights of *part* if they were to be moved.
        """
        transfers, clock = self._models.offload_manager.transfers, self._clock
        free = free_bytes(self._models.device)
        moved, start = transfers.seconds, clock.now()
        try:
            yield
        except Exception as error:
            if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
                raise
            need = need_bytes + self._models.offload_manager.moved_bytes(part)
            raise OutOfMemoryError(name, need, free, self._models.device, self._remedy(name)) from None
        finally:
            moved = transfers.seconds - moved
            clock.add(name, clock.now() - start - moved)
            if moved:
                clock.add(TRANSFER, moved)

    def _remedy(self, stage: str) -> str:
        """What makes room, of what is not done already."""
        release(self._models.device)
        options = self._models.options
        ways = list(_SMALLER.get(stage, ("a smaller batch_size", "a shorter duration")))
        if options is not None and not options.offload:
            ways.append("offload_to_cpu")
        if options is not None and not options.offload_dit:
            ways.append("offload_dit_to_cpu")
        if options is not None and not options.quantization and stage == "diffusion":
            ways.append("quantization='int8_weight_only'")
        return f"Try {' or '.join([', '.join(ways[:-1]), ways[-1]] if ways[1:] else ways)}."

    def text_bytes(self) -> int:
        """About what the text encoder needs for the longest caption."""
        config = self._models.text_encoder.config
        return _layer_bytes(MAX_CAPTION_TOKENS, config.hidden_size, config.intermediate_size, self._itemsize)

    def condition_bytes(self, tokens: int) -> int:
        """About what the condition encoder needs for *tokens* of caption, lyrics and timbre, masks included."""
        config = self._models.model.config
        width = config.get("encoder_hidden_size") or config["hidden_size"]
        inner = config.get("encoder_intermediate_size") or config["intermediate_size"]
        return _layer_bytes(tokens, width, inner, self._itemsize) + MASK_BYTES * tokens**2

    def layout_bytes(self, frames: int, codes: int) -> int:
        """About what laying out latent *frames* needs, some of which come from *codes*."""
        config = self._models.model.config
        kept = _LAID_OUT * frames * int(config["audio_acoustic_hidden_dim"]) * self._itemsize
        return kept + self.condition_bytes(1) * FRAMES_PER_CODE * codes

    def encode_bytes(self, samples: int) -> int:
        """About what encoding a waveform of *samples* needs."""
        chains = encoder_stacks(self._models.vae.encoder)
        frames = min(ENCODE_FRAMES, samples // HOP_SAMPLES)
        return self._itemsize * peak_activation_elements(chains, 1, (0, frames), samples, self._models.device)

    def diffusion_bytes(self, rows: int, frames: int, tokens: int) -> int:
        """About what diffusing *rows* of *frames* under a condition of *tokens* needs."""
        network = self._models.model.decoder
        channels = int(self._models.model.config["audio_acoustic_hidden_dim"])
        states = _STATES * rows * frames * channels * self._itemsize
        return states + denoiser_peak_bytes(network, rows, frames, tokens, self._models.device, self._itemsize)

    @property
    def _itemsize(self) -> int:
        return self._models.dtype.itemsize


def _layer_bytes(tokens: int, width: int, inner: int, itemsize: int) -> int:
    """What is there at once while *tokens* go through a transformer layer: residual, heads, gated unit."""
    return itemsize * tokens * (6 * width + 3 * inner)
