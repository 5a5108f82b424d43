"""Sizes of the released models, so that memory can be predicted without loading or importing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class DitSize:
    """Counts of one size of the diffusion checkpoint.

    Attributes:
        parameters: parameters of the whole checkpoint, condition encoder included.
        quantized_parameters: those that quantization reaches, the weights of the transformer's linear layers.
        condition_token_bytes: keys and values of all layers for one condition token, in 2-byte numbers.
        token_bytes: activations of one token while it passes through a layer, in 2-byte numbers; a fitted value.
    """

    parameters: int
    quantized_parameters: int
    condition_token_bytes: int
    token_bytes: int


DIT_SIZES: Final = {
    "2B": DitSize(2_393_872_518, 1_573_912_576, 98_304, 61_440),
    "XL": DitSize(4_987_310_726, 4_166_778_880, 131_072, 89_088),
}
"""The two sizes of the diffusion checkpoint; their parameters equal those of `acestep.gpu.meta_models`."""
VAE_PARAMETERS: Final = 168_695_426
TEXT_ENCODER_PARAMETERS: Final = 596_000_000
"""Parameters of the text encoder, rounded: there are 595,776,512."""
LM_GB: Final = {"0.6B": 1.235, "1.7B": 3.454, "4B": 7.804}
"""GiB of a planner's weights in 2-byte numbers, by its size."""
KV_TOKEN_BYTES: Final = {"0.6B": 114_688, "1.7B": 114_688, "4B": 147_456}
"""Bytes of one token in a planner's KV cache, by the planner's size."""
KV_TOKENS: Final = 4096
"""Tokens of a sequence that the KV cache has room for."""
