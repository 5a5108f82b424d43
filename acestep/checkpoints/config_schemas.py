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
    DimensionRule,
    LayerCountRule,
    Shapes,
    ValueRule,
    check_head_groups,
    check_sizes,
    check_values,
    equal_to,
    integer_from,
)
from acestep.constants import (
    AUDIO_CHANNELS,
    FRAMES_PER_CODE,
    HOP_SAMPLES,
    MAX_AUDIO_CODE,
    SAMPLE_RATE,
)

EVEN: Final = ValueRule("an even number from 2 on", lambda value: integer_from(2).holds(value) and value % 2 == 0)
LAYER_TYPES: Final = ValueRule(
    "a list of names", lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value)
)
HEADS: Final = ("num_attention_heads", "num_key_value_heads")

VARIANT_RULES: Final = {
    "model_type": equal_to("acestep"),
    "auto_map": OBJECT.or_null(),
    "is_turbo": FLAG.or_null(),
    "is_lego_sft": FLAG.or_null(),
    "encoder_hidden_size": integer_from().or_null(),
}
"""What tells the variants of diffusion models apart."""
DIT_RULES: Final = {
    **dict.fromkeys(("hidden_size", "intermediate_size", *HEADS, "num_hidden_layers"), integer_from()),
    **dict.fromkeys(("num_lyric_encoder_hidden_layers", "num_timbre_encoder_hidden_layers"), integer_from()),
    **dict.fromkeys(("num_attention_pooler_hidden_layers", "text_hidden_dim", "patch_size", "fsq_dim"), integer_from()),
    "head_dim": EVEN,
    "rope_theta": THETA,
    "rms_norm_eps": EPSILON,
    "attention_bias": FLAG,
    "attention_dropout": SHARE,
    "use_sliding_window": FLAG,
    "sliding_window": integer_from(),
    "layer_types": LAYER_TYPES.or_null(),
    **dict.fromkeys(("in_channels", "audio_acoustic_hidden_dim", "timbre_hidden_dim"), integer_from()),
    "pool_window_size": equal_to(FRAMES_PER_CODE),
    "fsq_input_num_quantizers": equal_to(1),
    "fsq_input_levels": ValueRule(
        f"a list of whole numbers from 2 on whose product is {MAX_AUDIO_CODE + 1}",
        lambda value: integer_from(2).many().holds(value) and math.prod(value) == MAX_AUDIO_CODE + 1,
    ),
}
VAE_RULES: Final = {
    "audio_channels": equal_to(AUDIO_CHANNELS),
    "sampling_rate": equal_to(SAMPLE_RATE),
    "decoder_input_channels": integer_from(),
    "encoder_hidden_size": integer_from(),
    "decoder_channels": integer_from(),
    "channel_multiples": integer_from().many(),
    "downsampling_ratios": ValueRule(
        f"a list of even numbers whose product is {HOP_SAMPLES}",
        lambda value: EVEN.many().holds(value) and math.prod(value) == HOP_SAMPLES,
    ),
}
QWEN3_RULES: Final = {
    **dict.fromkeys(("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", *HEADS), integer_from()),
    "head_dim": EVEN,
    "max_position_embeddings": integer_from(),
    "rms_norm_eps": EPSILON,
    "tie_word_embeddings": FLAG.or_null(),
    "hidden_act": equal_to("silu").or_null(),
    "rope_theta": THETA.or_null(),
    "rope_scaling": OBJECT.or_null(),
    "rope_parameters": OBJECT.or_null(),
    "attention_dropout": SHARE.or_null(),
    "attention_bias": equal_to(False).or_null(),
    "use_sliding_window": equal_to(False).or_null(),
    "layer_types": ValueRule(
        "a list of 'full_attention'",
        lambda value: LAYER_TYPES.holds(value) and all(name == "full_attention" for name in value),
    ).or_null(),
}
ROPE_RULES: Final = {
    "rope_type": equal_to("default").or_null(),
    "type": equal_to("default").or_null(),
    "rope_theta": THETA.or_null(),
}


def check_dit_config(config: Mapping[str, Any], xl: bool, shapes: Shapes, source: Path) -> None:
    """See that *config*, defaults included, is that of the diffusion model with *shapes*; *xl* as in `ModelVariant`.

    Raises:
        CheckpointError: it is not.
    """
    own = {key: f"encoder_{key}" if xl else key for key in ("hidden_size", "intermediate_size", *HEADS)}
    check_values(config, DIT_RULES | dict.fromkeys(own.values(), integer_from()), source)
    check_head_groups(config, HEADS[0], HEADS[1], source)
    check_head_groups(config, own[HEADS[0]], own[HEADS[1]], source)
    layers = "encoder.lyric_encoder.layers"
    rules: list[DimensionRule | LayerCountRule] = [
        LayerCountRule("decoder.layers", "num_hidden_layers"),
        LayerCountRule(layers, "num_lyric_encoder_hidden_layers"),
        LayerCountRule("encoder.timbre_encoder.layers", "num_timbre_encoder_hidden_layers"),
        LayerCountRule("tokenizer.attention_pooler.layers", "num_attention_pooler_hidden_layers"),
        LayerCountRule("detokenizer.layers", "num_attention_pooler_hidden_layers"),
        DimensionRule("decoder.norm_out.weight", 0, ("hidden_size",)),
        DimensionRule("decoder.proj_in_conv.weight", 1, ("in_channels",)),
        DimensionRule("decoder.proj_in_conv.weight", 1, ("audio_acoustic_hidden_dim",), times=3),
        DimensionRule("decoder.proj_in_conv.weight", 2, ("patch_size",)),
        DimensionRule("encoder.timbre_encoder.embed_tokens.weight", 1, ("timbre_hidden_dim",)),
        DimensionRule("encoder.timbre_encoder.embed_tokens.weight", 1, ("audio_acoustic_hidden_dim",)),
        DimensionRule("encoder.text_projector.weight", 0, (own["hidden_size"],)),
        DimensionRule("encoder.text_projector.weight", 1, ("text_hidden_dim",)),
        DimensionRule("tokenizer.quantizer.project_in.weight", 1, ("fsq_dim",)),
        DimensionRule("decoder.layers.0.self_attn.norm_q.weight", 0, ("head_dim",)),
        *_layer("decoder.layers.0", ("to_q", "to_k"), {key: key for key in own}),
        *_layer(f"{layers}.0", ("to_q", "to_k"), own),
    ]
    check_sizes(config, rules, shapes, source)


def check_vae_config(config: Mapping[str, Any], shapes: Shapes, source: Path) -> None:
    """See that *config* is that of the Oobleck VAE with *shapes*.

    Raises:
        CheckpointError: it is not.
    """
    check_values(config, VAE_RULES, source)
    counts: list[DimensionRule | LayerCountRule] = [
        LayerCountRule("encoder.block", "downsampling_ratios"),
        LayerCountRule("decoder.block", "downsampling_ratios"),
        LayerCountRule("encoder.block", "channel_multiples"),
        DimensionRule("encoder.conv1.weight_v", 0, ("encoder_hidden_size",)),
        DimensionRule("decoder.conv1.weight_v", 1, ("decoder_input_channels",)),
        DimensionRule("decoder.conv2.weight_v", 1, ("decoder_channels",)),
    ]
    check_sizes(config, counts, shapes, source)
    for block in range(len(config["downsampling_ratios"])):
        tensor, multiple = f"encoder.block.{block}.conv1.weight_v", f"channel_multiples[{block}]"
        rules = [
            DimensionRule(tensor, 0, ("encoder_hidden_size", multiple)),
            DimensionRule(tensor, 2, (f"downsampling_ratios[{block}]",), times=2),
        ]
        check_sizes(config, rules, shapes, source)


def check_qwen3_config(config: Mapping[str, Any], shapes: Shapes, source: Path) -> dict[str, Any]:
    """See that *config* is that of the Qwen3 model with *shapes*, whose keys have no prefix ``model.``.

    Returns:
        What a model is built from: the values that were checked, and no others.

    Raises:
        CheckpointError: it is not, or the model has what no released one has.
    """
    check_values(config, QWEN3_RULES, source)
    for key in ("rope_scaling", "rope_parameters"):
        check_values(config.get(key) or {}, ROPE_RULES, source)
    check_head_groups(config, HEADS[0], HEADS[1], source)
    rules: list[DimensionRule | LayerCountRule] = [
        LayerCountRule("layers", "num_hidden_layers"),
        DimensionRule("embed_tokens.weight", 0, ("vocab_size",)),
        DimensionRule("embed_tokens.weight", 1, ("hidden_size",)),
        *_layer("layers.0", ("q_proj", "k_proj"), {key: key for key in ("intermediate_size", *HEADS)}),
    ]
    check_sizes(config, rules, shapes, source)
    checked = {key: config[key] for key in QWEN3_RULES if config.get(key) is not None}
    rope = {key: checked.pop(key) for key in ("rope_scaling", "rope_parameters") if key in checked}
    theta = next((known["rope_theta"] for known in rope.values() if known.get("rope_theta")), None)
    checked.pop("layer_types", None)
    return checked if theta is None else {**checked, "rope_theta": theta}


def _layer(prefix: str, projections: tuple[str, str], keys: Mapping[str, str]) -> list[DimensionRule]:
    """The sizes of the transformer layer at *prefix*.

    *projections* are the names of those to queries and keys, *keys* the configuration's names of the sizes.
    """
    projected = [
        DimensionRule(f"{prefix}.self_attn.{name}.weight", 0, (keys[heads], "head_dim"))
        for name, heads in zip(projections, HEADS, strict=True)
    ]
    return [DimensionRule(f"{prefix}.mlp.gate_proj.weight", 0, (keys["intermediate_size"],)), *projected]
