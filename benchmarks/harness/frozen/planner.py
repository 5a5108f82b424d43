"""The weights of the frozen planner, whose greedy text ends after some dozen tokens, as a trained one's.

They are random except in three channels of the residual stream, which no layer reads or writes. Through channel 0 the
end of a line is likelier than any other token; through channels 1 and 2, behind the end of a line, the name of the
field that follows a caption.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from benchmarks.harness.frozen.noise import standard_normal

if TYPE_CHECKING:
    from benchmarks.harness.frozen.weights import Weight

WEIGHT_STD: Final = 0.02
MARKED: Final = 3
"""Number of channels that no layer touches."""
SHARED: Final = 8.0
"""Value of every token's embedding in channel 0. It is most of a hidden state's energy, and so the scale of norms."""
MARK: Final = 2.0
"""Value of the end of a line in channels 1 and 2; the name of the field has it in 1, and its negative in 2."""
LINE_ENDS: Final = ("Ċ", "<|im_end|>")
FIELD: Final = "duration"
"""The field behind the caption."""
LINE_END_BONUS: Final = 3.0
"""How much likelier (nats) the end of a line is than other tokens."""
FIELD_BONUS: Final = 9.0
"""How much likelier (nats) `FIELD` is behind the end of a line."""
SELF_BONUS: Final = 2.0
"""How much likelier (nats) the last token is, whose own embedding is still in the hidden state of a tied model."""


def planner_weight(
    folder: str, key: str, shape: tuple[int, ...], config: Mapping[str, Any], vocabulary: Mapping[str, int]
) -> Weight:
    """Return the weight *key* of the planner in *folder*; *vocabulary* holds the number of each token."""
    if len(shape) == 1:
        return _norm(key, shape[0], config["hidden_size"])
    into_residual = key.endswith(("o_proj.weight", "down_proj.weight"))
    std = WEIGHT_STD / config["num_hidden_layers"] if into_residual else WEIGHT_STD
    weight = standard_normal(f"{folder}/{key}", shape) * std
    if into_residual:
        weight[:MARKED] = 0.0
    elif "embed_tokens" in key:
        newline, end, field = (vocabulary[token] for token in (*LINE_ENDS, FIELD))
        weight[:, 0] = SHARED
        weight[[newline, end], 0] += LINE_END_BONUS
        weight[:, 1:MARKED] = 0.0
        weight[newline, 1:MARKED] = MARK
        weight[field, 1:MARKED] = MARK, -MARK
    return weight


def _norm(key: str, width: int, hidden: int) -> Weight:
    """Return the scale of a norm: it undoes that channel 0 holds most of the energy of what is normalised.

    The root mean square of a hidden state is about ``SHARED / sqrt(hidden)``. Layers see the marked channels as zero.
    The head sees channel 0 as one, so that `LINE_END_BONUS` is in nats, and channels 1 and 2 with opposite signs, so
    that the end of a line favours the field and not itself.
    """
    import numpy as np

    if "layernorm" not in key and not key.endswith("model.norm.weight"):
        return np.ones(width)
    rms = SHARED / math.sqrt(hidden)
    if "layernorm" in key:
        weight = np.full(width, rms * rms / WEIGHT_STD)
        weight[:MARKED] = 0.0
        return weight
    signed = rms * FIELD_BONUS / (2 * MARK * MARK)
    weight = np.full(width, SELF_BONUS * rms / (hidden * WEIGHT_STD * WEIGHT_STD))
    weight[:MARKED] = rms / SHARED, signed, -signed
    return weight
