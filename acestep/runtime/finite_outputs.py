"""Numbers that are not finite: the sign of a damaged checkpoint, looked for in what the models make.

Looking at gigabytes of weights would take seconds at every start. NaN in a weight makes NaN of what depends on it, so
the outputs tell as much, and there are few of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


class NonFiniteOutputError(RuntimeError):
    """Something has made NaN or infinite numbers; the message says what."""

    def __init__(self, maker: str) -> None:
        super().__init__(
            f"{maker} made NaN or infinite numbers: the checkpoint is damaged (download it again), or the number "
            "format is too narrow for it (use float32)."
        )


def is_finite(tensor: Tensor) -> bool:
    """Whether no number of *tensor* is NaN or infinite; where numpy can look, it costs no operator of torch."""
    if tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64):
        return bool(np.isfinite(tensor.numpy()).all())
    return bool(torch.isfinite(tensor).all())


def first_nonfinite_stage(outputs: Mapping[str, Tensor | None]) -> str | None:
    """The first stage whose output is not finite; None if they all are."""
    for stage, output in outputs.items():
        if output is not None and not is_finite(output):
            return stage
    return None
