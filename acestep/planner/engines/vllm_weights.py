"""How a planner's weights get into vLLM's model: any key prefix, and heads that its kernels can take."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from vllm.config import ModelConfig
from vllm.model_executor.model_loader import register_model_loader
from vllm.model_executor.model_loader.base_loader import BaseModelLoader

from acestep.planner.engines.weights import ARCHITECTURES, read_architecture, read_weights

LOAD_FORMAT: Final = "acestep-planner"
NARROWEST_HEAD: Final = 32
"""vLLM's attention kernels take no narrower heads; those of tiny checkpoints are."""


@register_model_loader(LOAD_FORMAT)
class PlannerLoader(BaseModelLoader):  # type: ignore[misc]
    """Fills vLLM's model from a planner's folder."""

    def download_model(self, model_config: ModelConfig) -> None:
        """Do nothing: planners are folders on this machine."""

    def load_weights(self, model: nn.Module, model_config: ModelConfig) -> None:
        """Fill *model*, whose parameters are on their device already.

        Raises:
            CheckpointError: the folder is incomplete or damaged.
        """
        folder = Path(model_config.model)
        config = read_architecture(folder)
        tensors = read_weights(folder, config)
        if wider_head(config.head_dim) != config.head_dim:
            tensors = widen(tensors, config.head_dim)
        load: Any = model.load_weights
        load(iter(tensors.items()))


def vllm_overrides(folder: Path) -> dict[str, Any]:
    """What vLLM must take for granted beside ``config.json``: the class of the model, and its heads' width."""
    config = read_architecture(folder)
    return {"architectures": [ARCHITECTURES[config.model_type].__name__], "head_dim": wider_head(config.head_dim)}


def wider_head(head_dim: int) -> int:
    """The head dimension that vLLM runs for *head_dim*: it, doubled until it is wide enough."""
    while head_dim < NARROWEST_HEAD:
        head_dim *= 2
    return head_dim


def widen(tensors: dict[str, Tensor], head_dim: int) -> dict[str, Tensor]:
    """Qwen3 weights that compute the same with wider heads (`wider_head`), whose new channels are 0.

    With heads r times as wide, channel i of either half goes to channel r·i, which rotary embedding turns at the same
    speed. Twice what is in the projections and the keys' norm keeps both norms and the attention's scale as they were:
    √r in the projections makes up for the mean over r times as many channels, 1/√r in the keys' norm for the product.
    """
    wide = wider_head(head_dim)
    ratio = wide // head_dim
    half = torch.arange(head_dim // 2) * ratio
    place = torch.cat((half, half + wide // 2))

    def spread(tensor: Tensor, factor: float) -> Tensor:
        """Heads along the first dimension, each spread over its wider place."""
        heads = tensor.view(-1, head_dim, *tensor.shape[1:])
        wider = heads.new_zeros(len(heads), wide, *tensor.shape[1:])
        wider[:, place] = heads * factor
        return wider.flatten(0, 1)

    factors = {"q_proj": sqrt(ratio), "k_proj": sqrt(ratio), "v_proj": 1.0, "q_norm": 1.0, "k_norm": 1 / sqrt(ratio)}
    widened = dict(tensors)
    for key, tensor in tensors.items():
        part = key.split(".")[-2]
        if part in factors:
            widened[key] = spread(tensor, factors[part])
        elif part == "o_proj":
            widened[key] = spread(tensor.t().contiguous(), 1.0).t()
    return widened
