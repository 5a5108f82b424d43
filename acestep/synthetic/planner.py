"""Synthetic planner checkpoints: seeded Qwen3 weights in the original layout.

``tiny`` ones are built in a fraction of a second, ``full`` ones have the released shapes. The weights are
random except for one residual channel, which no layer reads or writes: through it the end of a line is
likelier than any other token, so that free text written by the model ends after some dozen tokens, as a
trained model's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from acestep.synthetic.tokenizer import Scale, build_full_tokenizer, build_tokenizer, save_tokenizer
from acestep.synthetic.weights import Dtype, Shapes, write_weights

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

PlannerSize = Literal["0.6B", "1.7B", "4B"]

TINY_CODES: Final = 1024
WEIGHT_STD: Final = 0.02
EMBEDDING = "embed_tokens.weight"
LINE_ENDS: Final = ("\n", "<|im_end|>")
SHARED: Final = 8.0
"""What every token's embedding holds in channel 0: most of a hidden state's energy, so the norms' scale."""
MARK: Final = 2.0
"""What a line's end and a field's name hold in channels 1 and 2."""
FIELD_BONUS: Final = 9.0
"""How much likelier (nats) `FIELD` is behind a line's end, where the hidden state is no larger than elsewhere."""
FIELD: Final = "duration"
"""The field behind the caption."""
MARKED: Final = 3
"""Number of channels that no layer touches."""
SELF_BONUS: Final = 2.0
"""How much likelier (nats) a tied model's last token is: its own embedding is still in the hidden state."""


@dataclass(frozen=True)
class Architecture:
    """The numbers that tell Qwen3 sizes apart; a line's end is likelier by *line_end_bonus* nats."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    line_end_bonus: float


ARCHITECTURES: Final[dict[tuple[Scale, PlannerSize], Architecture]] = {
    ("tiny", "0.6B"): Architecture(64, 2, 4, 2, 16, 128, line_end_bonus=3.0),
    ("tiny", "1.7B"): Architecture(96, 2, 6, 2, 16, 192, line_end_bonus=3.0),
    ("tiny", "4B"): Architecture(96, 3, 6, 2, 16, 192, line_end_bonus=3.0),
    ("full", "0.6B"): Architecture(1024, 28, 16, 8, 128, 3072, line_end_bonus=7.5),
    ("full", "1.7B"): Architecture(2048, 28, 16, 8, 128, 6144, line_end_bonus=7.5),
    ("full", "4B"): Architecture(2560, 36, 32, 8, 128, 9728, line_end_bonus=7.5),
}


def write_planner(folder: Path, size: PlannerSize, scale: Scale, seed: int = 0) -> None:
    """Write a planner checkpoint to *folder*: ``config.json``, weights, tokenizer, chat template.

    The weights are float32 (tiny) or bfloat16 (full) normal numbers of standard deviation 0.02 or less; the
    same *seed* gives the same bytes. Keys have the prefix ``model.`` for 0.6B and none for 1.7B and 4B; the
    head is tied to the embedding and not stored. What is larger than `SHARD_BYTES` is written as shards
    with an index. Never more than one tensor is in memory.
    """
    tokenizer = build_full_tokenizer() if scale == "full" else build_tokenizer(TINY_CODES)
    save_tokenizer(tokenizer, folder)
    architecture, vocabulary = ARCHITECTURES[scale, size], tokenizer.get_vocab_size()
    dtype: Dtype = "bfloat16" if scale == "full" else "float32"
    config = _config(architecture, tokenizer, dtype, 40_960 if scale == "full" else 8192)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    shapes = tensor_shapes(architecture, vocabulary)
    prefix = "model." if size == "0.6B" else ""
    stored = {prefix + key: shape for key, shape in shapes.items()}
    write_weights(folder, stored, _tensors(architecture, shapes, tokenizer, dtype, seed), dtype)


def _config(architecture: Architecture, tokenizer: Tokenizer, dtype: str, positions: int) -> dict[str, Any]:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": architecture.hidden,
        "intermediate_size": architecture.intermediate,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": architecture.heads,
        "num_key_value_heads": architecture.kv_heads,
        "head_dim": architecture.head_dim,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "max_position_embeddings": positions,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "dtype": dtype,
        "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
        "pad_token_id": tokenizer.token_to_id("<|endoftext|>"),
    }


def tensor_shapes(architecture: Architecture, vocabulary: int) -> Shapes:
    """Every stored tensor's shape, in file order, by its key without prefix."""
    hidden, inner = architecture.hidden, architecture.intermediate
    queries, keys = architecture.heads * architecture.head_dim, architecture.kv_heads * architecture.head_dim
    shapes: Shapes = {EMBEDDING: (vocabulary, hidden)}
    for layer in range(architecture.layers):
        block: Shapes = {
            "input_layernorm.weight": (hidden,),
            "self_attn.q_proj.weight": (queries, hidden),
            "self_attn.k_proj.weight": (keys, hidden),
            "self_attn.v_proj.weight": (keys, hidden),
            "self_attn.o_proj.weight": (hidden, queries),
            "self_attn.q_norm.weight": (architecture.head_dim,),
            "self_attn.k_norm.weight": (architecture.head_dim,),
            "post_attention_layernorm.weight": (hidden,),
            "mlp.gate_proj.weight": (inner, hidden),
            "mlp.up_proj.weight": (inner, hidden),
            "mlp.down_proj.weight": (hidden, inner),
        }
        shapes |= {f"layers.{layer}.{name}": shape for name, shape in block.items()}
    return shapes | {"norm.weight": (hidden,)}


def _tensors(
    architecture: Architecture, shapes: Shapes, tokenizer: Tokenizer, dtype: str, seed: int
) -> Iterator[torch.Tensor]:
    """Each weight in the order of *shapes*, made one at a time."""
    import torch

    kind: torch.dtype = getattr(torch, dtype)
    generator = torch.Generator().manual_seed(seed)
    residual_std = WEIGHT_STD / architecture.layers
    for key, shape in shapes.items():
        if len(shape) == 1:
            yield _norm_weight(key, shape[0], architecture).to(kind)
            continue
        into_residual = key.endswith(("o_proj.weight", "down_proj.weight"))
        std = residual_std if into_residual else WEIGHT_STD
        weight = torch.empty(shape, dtype=kind).normal_(0.0, std, generator=generator)
        if into_residual:
            weight[:MARKED] = 0.0
        elif key == EMBEDDING:
            _mark(weight, tokenizer, architecture.line_end_bonus)
        yield weight


def _mark(embedding: torch.Tensor, tokenizer: Tokenizer, line_end_bonus: float) -> None:
    """Fill the untouched channels of *embedding* ``[vocabulary, hidden]``, see `_norm_weight`."""
    import torch

    newline, end, field = (tokenizer.encode(text).ids[0] for text in (*LINE_ENDS, FIELD))
    embedding[:, 0] = SHARED
    embedding[[newline, end], 0] += line_end_bonus
    embedding[:, 1:MARKED] = 0.0
    embedding[newline, 1:MARKED] = MARK
    embedding[field, 1:MARKED] = torch.tensor([MARK, -MARK], dtype=embedding.dtype)


def _norm_weight(key: str, width: int, architecture: Architecture) -> torch.Tensor:
    """The scale of a norm, undoing that channel 0 holds most of the energy of what is normalised.

    A hidden state has a root mean square of about ``SHARED / sqrt(hidden)``. Layers see the untouched channels as zero
    and project the others to a standard deviation of about 0.2 at every width, which keeps deep models from blowing
    up. The head sees channel 0 as one, so that `Architecture.line_end_bonus` is in nats; channels 1 and 2 with opposite
    signs, so that a line's end favours the field, and neither itself; and the others such that the last token's own
    logit rises by `SELF_BONUS`.
    """
    import torch

    if "layernorm" not in key and key != "norm.weight":
        return torch.ones(width)
    rms, hidden = SHARED / math.sqrt(architecture.hidden), architecture.hidden
    if key == "norm.weight":
        weight = torch.full((width,), SELF_BONUS * rms / (hidden * WEIGHT_STD**2))
        signed = rms * FIELD_BONUS / (2 * MARK**2)
        weight[:MARKED] = torch.tensor([rms / SHARED, signed, -signed])
    else:
        weight = torch.full((width,), rms**2 / WEIGHT_STD)
        weight[:MARKED] = 0.0
    return weight
