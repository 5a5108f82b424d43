"""The models of one checkpoint after loading, and how to load them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderOobleck
from torch import Tensor, nn

from acestep.checkpoints.dit_files import config_source
from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.variants import ModelVariant
from acestep.constants import LATENT_CHANNELS
from acestep.dit.block_ops import LayerOperations
from acestep.dit.model import AceStepModel, load_model
from acestep.runtime.load_options import LoadOptions
from acestep.runtime.offload import OffloadManager
from acestep.runtime.quantization import QuantizationReport, quantize
from acestep.text.encoder import load_text_encoder
from acestep.vae.model import load_vae
from acestep.vae.oobleck import SnakeFunction, snake

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Qwen3Model

    from acestep.runtime.compilation import CompiledRegions


@dataclass(frozen=True)
class LoadedModels:
    """The models of the synthesizer and how they run.

    Attributes:
        model: the diffusion transformer, condition encoder, audio tokenizer and detokenizer.
        vae: the Oobleck autoencoder.
        text_encoder: the Qwen3 text encoder.
        text_tokenizer: the tokenizer of the text encoder.
        options: the load options.
        quantized: what quantization did; None if it was not asked for.
        compiled: the compiled regions, whose calls are counted; None if compilation was not asked for.
    """

    model: AceStepModel
    vae: AutoencoderOobleck
    text_encoder: Qwen3Model
    text_tokenizer: PreTrainedTokenizerBase
    options: LoadOptions
    quantized: QuantizationReport | None = None
    compiled: CompiledRegions | None = None

    @property
    def device(self) -> str:
        """The device that the models run on."""
        return self.options.device

    @property
    def dtype(self) -> torch.dtype:
        """The number format that the models compute in."""
        return self.options.dtype

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the checkpoint, see `AceStepModel`."""
        return self.model.config

    @property
    def variant(self) -> ModelVariant:
        """The variant of the checkpoint."""
        return self.model.variant

    @property
    def silence_latent(self) -> Tensor:
        """Latents of silence, ``[1, T, 64]``."""
        return self.model.silence_latent

    def silence(self, frames: int) -> Tensor:
        """Latents of silence, ``[1, frames, 64]``; the stored ones are repeated if they are shorter."""
        stored = self.silence_latent.shape[1]
        return self.silence_latent.repeat(1, -(-frames // stored), 1)[:, :frames]

    @property
    def parts(self) -> dict[str, list[nn.Module]]:
        """The modules that are offloaded together, by the name of the part."""
        return {
            "text_encoder": [self.text_encoder],
            "condition": [self.model.encoder, self.model.tokenizer, self.model.detokenizer],
            "decoder": [self.model.decoder],
            "vae_encoder": [self.vae.encoder],
            "vae_decoder": [self.vae.decoder],
        }

    @cached_property
    def offload_manager(self) -> OffloadManager:
        """Moves the offloaded parts to the device while they are used."""
        return OffloadManager(self.parts, self.device, self.options.offloaded)

    @property
    def layer_class(self) -> type[LayerOperations]:
        """The operations of a transformer layer, compiled or not."""
        return self.compiled.layer if self.compiled else LayerOperations

    @property
    def activation(self) -> SnakeFunction:
        """The activation function of the VAE, compiled or not."""
        return self.compiled.activate if self.compiled else snake

    def in_effect(self) -> dict[str, Any]:
        """What the load options have led to; compiled graphs, calls and quantized layers are counted."""
        stats = self.compiled.stats if self.compiled else None
        return {
            "device": self.device,
            "dtype": str(self.dtype).removeprefix("torch."),
            "attention": self.options.attention,
            "offloaded": list(self.options.offloaded),
            "compiled_graphs": stats.graphs if stats else 0,
            "compiled_calls": stats.calls if stats else 0,
            "quantization": self.quantized.method if self.quantized else None,
            "quantized_layers": self.quantized.layers if self.quantized else 0,
            "quantization_saved_bytes": self.quantized.saved_bytes if self.quantized else 0,
        }


def load_models(model_folder: Path, vae_folder: Path, text_folder: Path, options: LoadOptions) -> LoadedModels:
    """Load every model and apply *options*: quantization first, then compilation.

    Raises:
        CheckpointError: a folder is incomplete or damaged, or the models do not fit together.
        ValueError: an option cannot be honoured on this machine.
    """
    dtype, quantized, compiled = options.dtype, None, None
    model = load_model(model_folder, device=options.load_device("decoder"), dtype=dtype)
    model.silence_latent = model.silence_latent.to(options.device)
    if options.quantization:
        quantized = quantize(model.decoder, options.quantization, options.device)
    vae = load_vae(vae_folder, device=options.load_device("vae_decoder"), dtype=dtype)
    text_encoder, tokenizer = load_text_encoder(text_folder, device=options.load_device("text_encoder"), dtype=dtype)
    for source, name, found, expected in (
        (
            config_source(model_folder),
            "audio_acoustic_hidden_dim",
            model.config["audio_acoustic_hidden_dim"],
            LATENT_CHANNELS,
        ),
        (vae_folder / "config.json", "decoder_input_channels", vae.config.decoder_input_channels, LATENT_CHANNELS),
        (text_folder / "config.json", "hidden_size", text_encoder.config.hidden_size, model.config["text_hidden_dim"]),
    ):
        if found != expected:
            raise CheckpointError(
                f"{source}: {name} is {found}, but the other models expect {expected}. Use models of one release."
            )
    if options.compile:
        from acestep.runtime.compilation import CompiledRegions

        compiled = CompiledRegions()
        compiled.check(options.device)
    return LoadedModels(model, vae, text_encoder, tokenizer, options, quantized, compiled)
