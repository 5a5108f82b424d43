"""How a planner's weights get into vLLM's model. Importing this imports vLLM."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from torch import nn
from vllm.config import ModelConfig
from vllm.model_executor.model_loader import register_model_loader
from vllm.model_executor.model_loader.base_loader import BaseModelLoader

from acestep.planner.engines.heads import widen, wider_head
from acestep.planner.engines.weights import ARCHITECTURES, read_architecture, read_weights

LOAD_FORMAT: Final = "acestep-planner"


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
