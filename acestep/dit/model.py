"""The diffusion model of a checkpoint: diffusers' ACE-Step modules under the original checkpoint's keys.

`AceStepModel` holds the four parts that users of ACE-Step reach for (``decoder``, ``encoder``, ``tokenizer``,
``detokenizer``) and the silence latent; `load_model` fills them from a folder in the original layout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.transformers.ace_step_transformer import AceStepTransformer1DModel
from diffusers.pipelines.ace_step.modeling_ace_step import (
    AceStepAudioTokenDetokenizer,
    AceStepAudioTokenizer,
    AceStepConditionEncoder,
    AceStepTimbreEncoder,
)
from torch import Tensor, nn

from acestep.checkpoints.config_checks import check_values
from acestep.checkpoints.config_schemas import VARIANT_RULES, check_dit_config
from acestep.checkpoints.dit_files import config_source, read_dit_config, read_dit_shapes, read_dit_tensors
from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.load import build_on_meta, load_tensors
from acestep.checkpoints.variants import ENCODER_FIELDS, ModelVariant, variant_of
from acestep.constants import LATENT_CHANNELS

_LAYER_FIELDS = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "rope_theta",
    "attention_bias",
    "attention_dropout",
    "rms_norm_eps",
    "sliding_window",
)
CONFIG_DEFAULTS: dict[str, Any] = {
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "rope_theta": 1_000_000,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "rms_norm_eps": 1e-6,
    "use_sliding_window": True,
    "sliding_window": 128,
    "layer_types": None,
    "text_hidden_dim": 1024,
    "num_lyric_encoder_hidden_layers": 8,
    "num_timbre_encoder_hidden_layers": 4,
    "timbre_hidden_dim": LATENT_CHANNELS,
    "audio_acoustic_hidden_dim": LATENT_CHANNELS,
    "in_channels": 3 * LATENT_CHANNELS,
    "patch_size": 2,
    "pool_window_size": 5,
    "num_attention_pooler_hidden_layers": 2,
    "fsq_dim": 2048,
    "fsq_input_levels": [8, 8, 8, 5, 5, 5],
    "fsq_input_num_quantizers": 1,
}
"""What a ``config.json`` that leaves a field out means: the released 2B model."""


class XLTimbreEncoder(AceStepTimbreEncoder):  # type: ignore[misc]
    """Pools each reference with its learned token, put in front of the first frame.

    diffusers' encoder holds that token and never uses it: it pools the first frame, which is what 2B models do.
    """

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.embed_tokens.register_forward_hook(self._prepend)

    def _prepend(self, _module: nn.Module, _inputs: tuple[Tensor, ...], frames: Tensor) -> Tensor:
        """Embedded *frames* ``[N, R, H]`` behind the token: ``[N, R + 1, H]``."""
        return torch.cat([self.special_token.to(frames.dtype).expand(len(frames), -1, -1), frames], dim=1)


class AceStepModel(nn.Module):
    """The parts of one checkpoint.

    Attributes:
        decoder: diffusion transformer; predicts the velocity ``noise - data`` of latents ``[B, T, 64]``.
        encoder: condition encoder; packs lyrics, timbre and caption into one sequence ``[B, S, H]``.
        tokenizer: 25 Hz latents ``[B, T, 64]`` to 5 Hz codes.
        detokenizer: 5 Hz embeddings ``[B, n, H]`` to 25 Hz latents ``[B, 5n, 64]``.
        silence_latent: the latents of silence, ``[1, T, 64]``.
        config: the checkpoint's ``config.json`` over `CONFIG_DEFAULTS`.
        variant: what kind of checkpoint it is.
    """

    silence_latent: Tensor

    def __init__(self, config: dict[str, Any], variant: ModelVariant) -> None:
        super().__init__()
        self.config = CONFIG_DEFAULTS | config | {"is_turbo": variant.turbo}
        self.variant = variant
        inner = self.config | {name.removeprefix("encoder_"): config[name] for name in ENCODER_FIELDS if variant.xl}
        channels = "audio_acoustic_hidden_dim"
        pooler = ("pool_window_size", "num_attention_pooler_hidden_layers")
        fsq = ("fsq_dim", "fsq_input_levels", "fsq_input_num_quantizers")
        timbre = ("timbre_hidden_dim", "num_timbre_encoder_hidden_layers")
        lyrics = ("text_hidden_dim", "num_lyric_encoder_hidden_layers")
        self.decoder = AceStepTransformer1DModel(
            **_pick(self.config, "num_hidden_layers", "in_channels", channels, "patch_size"),
            encoder_hidden_size=inner["hidden_size"],
            is_turbo=variant.turbo,
        )
        self.encoder = AceStepConditionEncoder(**_pick(inner, *lyrics, *timbre))
        del self.encoder.silence_latent  # it is the model's, wherever the checkpoint keeps it
        if variant.xl:
            self.encoder.timbre_encoder = XLTimbreEncoder(**_pick(inner, *timbre))
        self.tokenizer = AceStepAudioTokenizer(**_pick(inner, channels, *pooler, *fsq))
        self.detokenizer = AceStepAudioTokenDetokenizer(**_pick(inner, channels, *pooler))


def _pick(config: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: config[name] for name in (*_LAYER_FIELDS, *names)}


def load_model(folder: Path, *, device: str, dtype: torch.dtype) -> AceStepModel:
    """Load a checkpoint folder of any variant, in the original's or diffusers' layout; see `checkpoints.key_map`.

    Raises:
        CheckpointError: the folder is incomplete or damaged, or holds a model that cannot be run.
    """
    config, source = read_dit_config(folder), config_source(folder)
    check_values(config, VARIANT_RULES, source)
    variant = variant_of(config, folder)
    check_dit_config(CONFIG_DEFAULTS | config, variant.xl, read_dit_shapes(folder), source)
    _check_supported(config, folder)
    stored = read_dit_tensors(folder, (CONFIG_DEFAULTS | config)["audio_acoustic_hidden_dim"])
    model: AceStepModel = build_on_meta(lambda: AceStepModel(config, variant))
    load_tensors(model, stored.tensors, folder, device=device, dtype=dtype)
    model.register_buffer("silence_latent", stored.silence.contiguous().to(device, dtype), persistent=False)
    return model


def _check_supported(config: dict[str, Any], folder: Path) -> None:
    merged = CONFIG_DEFAULTS | config
    alternating = [("sliding_attention", "full_attention")[i % 2] for i in range(merged["num_hidden_layers"])]
    if (merged["layer_types"] or alternating) != alternating or not merged["use_sliding_window"]:
        raise CheckpointError(f"{folder}: only alternating sliding and full attention layers are supported.")
