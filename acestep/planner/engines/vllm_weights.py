"""Loads a planner's configuration and weights into vLLM's model. Importing this module imports vLLM."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from torch import nn
from transformers import PretrainedConfig
from vllm.config import ModelConfig
from vllm.model_executor.model_loader import register_model_loader
from vllm.model_executor.model_loader.base_loader import BaseModelLoader
from vllm.transformers_utils.config import register_config_parser
from vllm.transformers_utils.config_parser_base import ConfigParserBase

from acestep.planner.engines.base import MAX_POSITIONS
from acestep.planner.engines.head_padding import pad_heads, padded_head_dim
from acestep.planner.engines.weights import ARCHITECTURES, read_architecture, read_weights

LOAD_FORMAT: Final = "acestep-planner"
"""Name under which `PlannerLoader` is registered with vLLM."""
CONFIG_FORMAT: Final = "acestep-planner"
"""Name under which `PlannerConfig` is registered with vLLM."""


@register_config_parser(CONFIG_FORMAT)
class PlannerConfig(ConfigParserBase):  # type: ignore[misc]
    """Gives vLLM the checked values of a planner's ``config.json`` and no others."""

    def parse(self, model: str | Path, *_: Any, **__: Any) -> tuple[dict[str, Any], PretrainedConfig]:
        """The configuration of the planner in the folder *model*, as a dictionary and as transformers' object.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or holds another model.
        """
        config = read_architecture(Path(model))
        return config.to_dict(), config


@register_model_loader(LOAD_FORMAT)
class PlannerLoader(BaseModelLoader):  # type: ignore[misc]
    """Fills vLLM's model from a planner's folder."""

    def download_model(self, model_config: ModelConfig) -> None:
        """Do nothing, because planners are local folders."""

    def load_weights(self, model: nn.Module, model_config: ModelConfig) -> None:
        """Fill *model*, whose parameters are on their device already.

        Raises:
            CheckpointError: the folder is incomplete or damaged.
        """
        folder = Path(model_config.model)
        config = read_architecture(folder)
        tensors = read_weights(folder, config)
        if padded_head_dim(config.head_dim) != config.head_dim:
            tensors = pad_heads(tensors, config.head_dim)
        load: Any = model.load_weights
        load(iter(tensors.items()))


def vllm_overrides(folder: Path) -> dict[str, Any]:
    """Values that replace those of ``config.json``.

    They are the model's class, the head dimension, and the number of positions, for which vLLM makes tables.
    """
    config = read_architecture(folder)
    return {
        "architectures": [ARCHITECTURES[config.model_type].__name__],
        "head_dim": padded_head_dim(config.head_dim),
        "max_position_embeddings": min(config.max_position_embeddings, MAX_POSITIONS),
    }
