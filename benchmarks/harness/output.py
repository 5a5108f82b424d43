"""Outputs of samples, as arrays of numbers or as words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def numbers(output: Any) -> NDArray[np.float32]:
    """Return the numbers of all tensors and arrays in *output*, which may be nested in lists, tuples and dataclasses.

    Integer tensors, such as ids and masks, are left out because they would outweigh all others. Raises TypeError for
    other types.
    """
    import numpy as np

    return np.concatenate([np.empty(0, np.float32), *_arrays(output)])


def _arrays(output: Any) -> Iterator[NDArray[np.float32]]:
    import numpy as np
    import torch

    if output is None or (isinstance(output, torch.Tensor) and not output.is_floating_point()):
        return
    if isinstance(output, torch.Tensor):
        yield output.detach().to("cpu", torch.float32).numpy().reshape(-1)
    elif isinstance(output, np.ndarray):
        yield output.astype(np.float32, copy=False).reshape(-1)
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _arrays(part)
    elif is_dataclass(output):
        for field in fields(output):
            yield from _arrays(getattr(output, field.name))
    else:
        raise TypeError(f"an output holds a {type(output).__name__}, which is no tensor")


def differing_share(words: list[str], others: list[str]) -> float:
    """Return the share of positions at which the words differ, relative to the longer list."""
    positions = max(len(words), len(others))
    same = sum(word == other for word, other in zip(words, others, strict=False))
    return (positions - same) / positions if positions else 0.0
