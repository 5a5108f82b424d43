"""What a run has produced, as plain numbers or as words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def numbers(output: Any) -> NDArray[np.float32]:
    """Return the numbers in the tensors and arrays of *output*, which may be in lists, tuples and dataclasses.

    Tensors of integers, such as ids and masks, are left out: they would outweigh all others. Raises TypeError for
    anything else.
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
    """Return the share of places at which there are not the same words in both, of all there are in the longer."""
    places = max(len(words), len(others))
    same = sum(word == other for word, other in zip(words, others, strict=False))
    return (places - same) / places if places else 0.0
