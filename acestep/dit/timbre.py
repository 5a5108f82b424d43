"""The timbre encoder of XL models, where it is not diffusers'."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.pipelines.ace_step.modeling_ace_step import AceStepTimbreEncoder
from torch import Tensor, nn


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
