"""What each stage of a generation allocates beside the weights. All estimates of activation memory are here.

There are two kinds of estimates:

* `StageEstimates` and `vae_decode_bytes` are for loaded models. They use the formulas that stand beside the networks
  (`acestep.dit.denoiser`, `acestep.vae.tiling`), choose the decode strategy, and say in an out-of-memory error what
  was needed.
* `released_text_gb`, `released_diffusion_gb` and `released_decode_gb` are for the released shapes in 2-byte numbers and
  need neither models nor torch. Their constants were fitted to the released shapes on the device ``meta``.
  `acestep.memory.predict` adds the weights.

The second kind does not describe this package everywhere, and is kept because its results are published:

* Decoding: it tiles by the reference's rule (`reference_tile_frames`), with the activations of a decoder that is not
  tiled internally. The package decodes the whole audio if that fits, and its internal tiles need less.
* Diffusion: it counts 61,440 bytes a token (2B) and 4 bytes for each pair of tokens. The denoiser's formula counts
  49,152 bytes a token and no pairs, because sliding-window layers attend block by block.
* Text: it counts an amount for each item of the batch. The package encodes the prompts of a batch once.
* Conditions and source audio: it has no estimate of these stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from acestep.constants import FRAMES_PER_CODE, HOP_SAMPLES, LATENT_RATE, MAX_CAPTION_TOKENS
from acestep.memory.units import GIB

if TYPE_CHECKING:  # and inside functions: the estimates of released shapes must run without torch
    import torch

    from acestep.memory.released_sizes import DitSize
    from acestep.vae.tiling import ConvStack

_LATENT_COPIES: Final = 7
"""Copies of the latents that are alive while inputs are prepared: target, source, mask, and two pairs of contexts."""
_SAMPLER_STATES: Final = 6
"""Tensors of the latents' size that the sampler holds: noise, state, velocity, clean estimate, and two for DCW."""
_WAVEFORM_COPIES: Final = 3
"""Copies of the waveforms that are alive while they are normalised."""
MASK_BYTES_PER_PAIR: Final = 16
"""Peak bytes for a (query, key) pair while diffusers builds an attention mask: int64 difference, booleans, the mask."""

RELEASED_TEXT_GB: Final = 0.05
"""GiB that the released text encoder needs for one item."""
RELEASED_LM_FORWARD_GB: Final = 0.3
"""GiB that a planner's forward pass needs."""
RELEASED_VAE_FRAME_BYTES: Final = 2_211_840
"""Bytes that the released VAE needs for a latent frame, with 2-byte weights and no tiling inside the decoder."""
REFERENCE_TILE_FRAMES: Final = ((24, 512), (16, 384), (12, 256), (0, 128))
"""The reference's decode rule: (least free GiB, latent frames of a tile), largest first."""


class Models(Protocol):
    """The loaded models that estimates are made for, such as a `Synthesizer`."""

    @property
    def device(self) -> str:
        """The device that they run on."""

    @property
    def dtype(self) -> torch.dtype:
        """Their number format."""

    @property
    def text_encoder(self) -> Any:
        """The text encoder."""

    @property
    def model(self) -> Any:
        """The diffusion model, condition encoder included."""

    @property
    def vae(self) -> Any:
        """The VAE."""


class StageEstimates:
    """Estimates, in bytes, of what the stages of a generation allocate with the loaded *models*."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def text_encode(self) -> int:
        """Encoding the longest caption."""
        config = self._models.text_encoder.config
        return _layer_bytes(MAX_CAPTION_TOKENS, config.hidden_size, config.intermediate_size, self._itemsize)

    def condition_encode(self, tokens: int) -> int:
        """Encoding *tokens* tokens of caption, lyrics and timbre, attention masks included."""
        config = self._models.model.config
        width = config.get("encoder_hidden_size") or config["hidden_size"]
        inner = config.get("encoder_intermediate_size") or config["intermediate_size"]
        return _layer_bytes(tokens, width, inner, self._itemsize) + MASK_BYTES_PER_PAIR * tokens**2

    def prepare_latents(self, frames: int, codes: int) -> int:
        """Preparing source and context latents of *frames* latent frames, for which *codes* audio codes are decoded."""
        copies = _LATENT_COPIES * frames * self._channels * self._itemsize
        return copies + self.condition_encode(1) * FRAMES_PER_CODE * codes

    def audio_encode(self, samples: int, tile_frames: int) -> int:
        """Encoding a waveform of *samples* audio samples in tiles of *tile_frames* latent frames."""
        from acestep.vae.oobleck import encoder_stacks
        from acestep.vae.tiling import peak_activation_elements

        tile = (0, min(tile_frames, samples // HOP_SAMPLES))
        elements = peak_activation_elements(
            encoder_stacks(self._models.vae.encoder), 1, tile, samples, self._models.device
        )
        return self._itemsize * elements

    def diffusion(self, rows: int, frames: int, condition_tokens: int) -> int:
        """Diffusing *rows* rows of *frames* latent frames; guidance doubles the rows of a batch."""
        from acestep.dit.denoiser import denoiser_peak_bytes

        states = _SAMPLER_STATES * rows * frames * self._channels * self._itemsize
        network, device = self._models.model.decoder, self._models.device
        return states + denoiser_peak_bytes(network, rows, frames, condition_tokens, device, self._itemsize)

    def post_process(self, waveform_bytes: int) -> int:
        """Normalising and splicing waveforms of *waveform_bytes* bytes."""
        return _WAVEFORM_COPIES * waveform_bytes

    @property
    def _itemsize(self) -> int:
        return self._models.dtype.itemsize

    @property
    def _channels(self) -> int:
        return int(self._models.model.config["audio_acoustic_hidden_dim"])


def vae_decode_bytes(
    stacks: Sequence[ConvStack], items: int, tile_frames: int, frames: int, itemsize: int, device: str
) -> int:
    """Bytes that decoding allocates on *device*.

    Args:
        stacks: the stacks of the decoder.
        items: items of the batch that are decoded together.
        tile_frames: latent frames that are decoded together.
        frames: latent frames of an item.
        itemsize: bytes of a number.
        device: the device that decodes.
    """
    from acestep.vae.tiling import peak_activation_elements

    start = (frames - tile_frames) // 2 * HOP_SAMPLES
    return itemsize * peak_activation_elements(
        stacks, items, (start, start + tile_frames * HOP_SAMPLES), frames, device
    )


def _layer_bytes(tokens: int, width: int, inner: int, itemsize: int) -> int:
    """Activations of *tokens* tokens in a transformer layer: residual, attention heads and gated feed-forward."""
    return itemsize * tokens * (6 * width + 3 * inner)


@dataclass(frozen=True)
class GenerationShape:
    """The size of a generation.

    Attributes:
        duration_s: seconds of audio.
        batch: items generated at once.
        condition_tokens: tokens of the condition sequence.
        guided: whether every step also runs without the condition (classifier-free guidance).
    """

    duration_s: float = 30
    batch: int = 1
    condition_tokens: int = 1024
    guided: bool = False

    @property
    def frames(self) -> int:
        """Latent frames of an item."""
        return int(-(-LATENT_RATE * self.duration_s // 1))


def released_text_gb(shape: GenerationShape) -> float:
    """GiB that encoding the prompts needs with the released text encoder."""
    return RELEASED_TEXT_GB * shape.batch


def released_diffusion_gb(dit: DitSize, shape: GenerationShape) -> float:
    """GiB that the released transformer needs for a step, under fused attention."""
    rows, tokens = shape.batch * (2 if shape.guided else 1), -(-shape.frames // 2)
    activations = rows * (dit.condition_token_bytes * shape.condition_tokens + dit.token_bytes * tokens)
    return (activations + 4 * tokens**2) / GIB


def released_decode_gb(tile_frames: int) -> float:
    """GiB that the released VAE needs to decode a tile of *tile_frames* latent frames."""
    return RELEASED_VAE_FRAME_BYTES * tile_frames / GIB


def reference_tile_frames(free_gb: float, frames: int) -> int:
    """Latent frames that the reference decodes at once: a tile that depends on the free GiB, at most all *frames*."""
    rule = next(tile for least_gb, tile in REFERENCE_TILE_FRAMES if free_gb >= least_gb or not least_gb)
    return min(rule, frames)
