"""Building modules without storage, and loading the tensors of a checkpoint into them.

Loading is strict: a tensor that is missing, unexpected or of another shape is a `CheckpointError` that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acestep.checkpoints.errors import CheckpointError, first_names

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def build_on_meta(factory: Callable[[], nn.Module]) -> Any:
    """The module that *factory* makes, its parameters without storage (buffers are real)."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return factory()


def check_keys_and_shapes(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], source: Path) -> None:
    """See that *tensors*, read from *source*, have the keys and shapes of *wanted*.

    Raises:
        CheckpointError: they have not; the message names keys and *source*.
    """
    missing = sorted(set(wanted) - set(tensors))
    if missing:
        raise CheckpointError(f"{source} lacks {first_names(missing)}: it is not a complete checkpoint of this model.")
    unexpected = sorted(set(tensors) - set(wanted))
    if unexpected:
        raise CheckpointError(f"{source} has unexpected {first_names(unexpected)}: it is another model's checkpoint.")
    for key, slot in wanted.items():
        if slot.shape != tensors[key].shape:
            raise CheckpointError(
                f"{source}: {key} has shape {list(tensors[key].shape)}, config.json asks for {list(slot.shape)}."
            )


def load_tensors(
    module: nn.Module, tensors: Mapping[str, Tensor], source: Path, *, device: str, dtype: torch.dtype
) -> None:
    """Give *module* its parameters: exactly the keys and shapes of its state dict, cast and moved.

    Raises:
        CheckpointError: keys are missing or unexpected, or a shape differs; the message names them and *source*.
    """
    import torch

    check_keys_and_shapes(module.state_dict(), tensors, source)
    placed = {
        key: tensor.to(device, dtype if tensor.is_floating_point() else None, copy=True)
        for key, tensor in tensors.items()
    }
    module.load_state_dict(placed, strict=True, assign=True)
    for buffer_owner in module.modules():
        for name, buffer in buffer_owner.named_buffers(recurse=False):
            setattr(buffer_owner, name, buffer.to(device))
    module.eval().requires_grad_(False)
    if any(parameter.device == torch.device("meta") for parameter in module.parameters()):
        raise CheckpointError(f"{source}: some parameters share storage that the checkpoint does not hold.")
