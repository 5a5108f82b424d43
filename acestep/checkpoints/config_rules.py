"""The rules for each ``config.json`` of a checkpoint: diffusion model, VAE, and Qwen3 (text encoder and planner)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from acestep.checkpoints.config_checks import (
    EPSILON,
    FLAG,
    OBJECT,
    SHARE,
    THETA,
    Count,
    Kind,
    Shapes,
    Size,
    check_groups,
    check_kinds,
    check_sizes,
    exactly,
    whole,
)
from acestep.constants import (
    AUDIO_CHANNELS,
    FRAMES_PER_CODE,
    HOP_SAMPLES,
    MAX_AUDIO_CODE,
    SAMPLE_RATE,
)

EVEN: Final = Kind("an even number from 2 on", lambda value: whole(2).holds(value) and value % 2 == 0)
LAYER_TYPES: Final = Kind(
    "a list of names", lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value)
)
HEADS: Final = ("num_attention_heads", "num_key_value_heads")

MODEL_IDENTITY: Final = {
    "model_type": exactly("acestep"),
    "auto_map": OBJECT.or_null(),
    "is_turbo": FLAG.or_null(),
    "is_lego_sft": FLAG.or_null(),
    "encoder_hidden_size": whole().or_null(),
}
"""What tells the families of diffusion models apart."""
MODEL_KINDS: Final = {
    **dict.fromkeys(("hidden_size", "intermediate_size", *HEADS, "num_hidden_layers"), whole()),
    **dict.fromkeys(("num_lyric_encoder_hidden_layers", "num_timbre_encoder_hidden_layers"), whole()),
    **dict.fromkeys(("num_attention_pooler_hidden_layers", "text_hidden_dim", "patch_size", "fsq_dim"), whole()),
    "head_dim": EVEN,
    "rope_theta": THETA,
    "rms_norm_eps": EPSILON,
    "attention_bias": FLAG,
    "attention_dropout": SHARE,
    "use_sliding_window": FLAG,
    "sliding_window": whole(),
    "layer_types": LAYER_TYPES.or_null(),
    **dict.fromkeys(("in_channels", "audio_acoustic_hidden_dim", "timbre_hidden_dim"), whole()),
    "pool_window_size": exactly(FRAMES_PER_CODE),
    "fsq_input_num_quantizers": exactly(1),
    "fsq_input_levels": Kind(
        f"a list of whole numbers from 2 on whose product is {MAX_AUDIO_CODE + 1}",
        lambda value: whole(2).many().holds(value) and math.prod(value) == MAX_AUDIO_CODE + 1,
    ),
}
VAE_KINDS: Final = {
    "audio_channels": exactly(AUDIO_CHANNELS),
    "sampling_rate": exactly(SAMPLE_RATE),
    "decoder_input_channels": whole(),
    "encoder_hidden_size": whole(),
    "decoder_channels": whole(),
    "channel_multiples": whole().many(),
    "downsampling_ratios": Kind(
        f"a list of even numbers whose product is {HOP_SAMPLES}",
        lambda value: EVEN.many().holds(value) and math.prod(value) == HOP_SAMPLES,
    ),
}
QWEN3_KINDS: Final = {
    **dict.fromkeys(("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", *HEADS), whole()),
    "head_dim": EVEN,
    "max_position_embeddings": whole(),
    "rms_norm_eps": EPSILON,
    "tie_word_embeddings": FLAG.or_null(),
    "hidden_act": exactly("silu").or_null(),
    "rope_theta": THETA.or_null(),
    "rope_scaling": OBJECT.or_null(),
    "rope_parameters": OBJECT.or_null(),
    "attention_dropout": SHARE.or_null(),
    "attention_bias": exactly(False).or_null(),
    "use_sliding_window": exactly(False).or_null(),
    "layer_types": Kind(
        "a list of 'full_attention'",
        lambda value: LAYER_TYPES.holds(value) and all(name == "full_attention" for name in value),
    ).or_null(),
}
ROPE_KINDS: Final = {
    "rope_type": exactly("default").or_null(),
    "type": exactly("default").or_null(),
    "rope_theta": THETA.or_null(),
}


def check_model(config: Mapping[str, Any], xl: bool, shapes: Shapes, source: Path) -> None:
    """See that *config*, defaults included, is that of the diffusion model with *shapes*; *xl* as in `Family`.

    Raises:
        CheckpointError: it is not.
    """
    own = {key: f"encoder_{key}" if xl else key for key in ("hidden_size", "intermediate_size", *HEADS)}
    check_kinds(config, MODEL_KINDS | dict.fromkeys(own.values(), whole()), source)
    check_groups(config, HEADS[0], HEADS[1], source)
    check_groups(config, own[HEADS[0]], own[HEADS[1]], source)
    layers = "encoder.lyric_encoder.layers"
    rules: list[Size | Count] = [
        Count("decoder.layers", "num_hidden_layers"),
        Count(layers, "num_lyric_encoder_hidden_layers"),
        Count("encoder.timbre_encoder.layers", "num_timbre_encoder_hidden_layers"),
        Count("tokenizer.attention_pooler.layers", "num_attention_pooler_hidden_layers"),
        Count("detokenizer.layers", "num_attention_pooler_hidden_layers"),
        Size("decoder.norm_out.weight", 0, ("hidden_size",)),
        Size("decoder.proj_in_conv.weight", 1, ("in_channels",)),
        Size("decoder.proj_in_conv.weight", 1, ("audio_acoustic_hidden_dim",), times=3),
        Size("decoder.proj_in_conv.weight", 2, ("patch_size",)),
        Size("encoder.timbre_encoder.embed_tokens.weight", 1, ("timbre_hidden_dim",)),
        Size("encoder.timbre_encoder.embed_tokens.weight", 1, ("audio_acoustic_hidden_dim",)),
        Size("encoder.text_projector.weight", 0, (own["hidden_size"],)),
        Size("encoder.text_projector.weight", 1, ("text_hidden_dim",)),
        Size("tokenizer.quantizer.project_in.weight", 1, ("fsq_dim",)),
        Size("decoder.layers.0.self_attn.norm_q.weight", 0, ("head_dim",)),
        *_layer("decoder.layers.0", ("to_q", "to_k"), {key: key for key in own}),
        *_layer(f"{layers}.0", ("to_q", "to_k"), own),
    ]
    check_sizes(config, rules, shapes, source)


def check_vae(config: Mapping[str, Any], shapes: Shapes, source: Path) -> None:
    """See that *config* is that of the Oobleck VAE with *shapes*.

    Raises:
        CheckpointError: it is not.
    """
    check_kinds(config, VAE_KINDS, source)
    counts: list[Size | Count] = [
        Count("encoder.block", "downsampling_ratios"),
        Count("decoder.block", "downsampling_ratios"),
        Count("encoder.block", "channel_multiples"),
        Size("encoder.conv1.weight_v", 0, ("encoder_hidden_size",)),
        Size("decoder.conv1.weight_v", 1, ("decoder_input_channels",)),
        Size("decoder.conv2.weight_v", 1, ("decoder_channels",)),
    ]
    check_sizes(config, counts, shapes, source)
    for block in range(len(config["downsampling_ratios"])):
        tensor, multiple = f"encoder.block.{block}.conv1.weight_v", f"channel_multiples[{block}]"
        rules = [
            Size(tensor, 0, ("encoder_hidden_size", multiple)),
            Size(tensor, 2, (f"downsampling_ratios[{block}]",), times=2),
        ]
        check_sizes(config, rules, shapes, source)


def check_qwen3(config: Mapping[str, Any], shapes: Shapes, source: Path) -> dict[str, Any]:
    """See that *config* is that of the Qwen3 model with *shapes*, whose keys have no prefix ``model.``.

    Returns:
        What a model is built from: the values that were checked, and no others.

    Raises:
        CheckpointError: it is not, or the model has what no released one has.
    """
    check_kinds(config, QWEN3_KINDS, source)
    for key in ("rope_scaling", "rope_parameters"):
        check_kinds(config.get(key) or {}, ROPE_KINDS, source)
    check_groups(config, HEADS[0], HEADS[1], source)
    rules: list[Size | Count] = [
        Count("layers", "num_hidden_layers"),
        Size("embed_tokens.weight", 0, ("vocab_size",)),
        Size("embed_tokens.weight", 1, ("hidden_size",)),
        *_layer("layers.0", ("q_proj", "k_proj"), {key: key for key in ("intermediate_size", *HEADS)}),
    ]
    check_sizes(config, rules, shapes, source)
    checked = {key: config[key] for key in QWEN3_KINDS if config.get(key) is not None}
    rope = {key: checked.pop(key) for key in ("rope_scaling", "rope_parameters") if key in checked}
    theta = next((known["rope_theta"] for known in rope.values() if known.get("rope_theta")), None)
    checked.pop("layer_types", None)
    return checked if theta is None else {**checked, "rope_theta": theta}


def _layer(prefix: str, projections: tuple[str, str], keys: Mapping[str, str]) -> list[Size]:
    """The sizes of the transformer layer at *prefix*.

    *projections* are the names of those to queries and keys, *keys* the configuration's names of the sizes.
    """
    projected = [
        Size(f"{prefix}.self_attn.{name}.weight", 0, (keys[heads], "head_dim"))
        for name, heads in zip(projections, HEADS, strict=True)
    ]
    return [Size(f"{prefix}.mlp.gate_proj.weight", 0, (keys["intermediate_size"],)), *projected]
