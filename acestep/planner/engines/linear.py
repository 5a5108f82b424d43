"""Linear layers for few rows, whose time is that of reading the weight.

MKL reads a float32 weight faster if it is the left factor of the product: with the shapes of the 0.6B planner and one
thread of an AMD EPYC, 4 rows take 51 % of the time, 8 rows 73 %, 16 rows 75 %. The rule is fixed rather than timed at
load, so that results and operator calls do not differ from run to run.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

WEIGHT_FIRST_ROWS: Final = range(4, 33)
"""Numbers of rows for which the weight is the left factor."""
LARGE_WEIGHT_BYTES: Final = 1 << 20
"""Smallest weight that is the left factor, in bytes; smaller ones stay in the processor's cache."""


def linear(rows: Tensor, weight: Tensor) -> Tensor:
    """*rows* ``(n, in)`` times the transpose of *weight* ``(out, in)``."""
    if _weight_first(rows, weight):
        return torch.mm(weight, rows.t()).t().contiguous()
    return functional.linear(rows, weight)


def add_linear(base: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    """*base* ``(n, out)`` plus `linear` of *rows* and *weight*."""
    if _weight_first(rows, weight):
        return torch.addmm(base.t(), weight, rows.t()).t().contiguous()
    return torch.addmm(base, rows, weight.t())


def linear_float32(rows: Tensor, weight: Tensor) -> Tensor:
    """`linear` of *rows* and *weight* as float32; on CUDA the products are never rounded to the weight's dtype."""
    if rows.is_cuda and rows.dtype != torch.float32:
        return torch.mm(rows, weight.t(), out_dtype=torch.float32)
    return linear(rows, weight).float()


def _weight_first(rows: Tensor, weight: Tensor) -> bool:
    return (
        len(rows) in WEIGHT_FIRST_ROWS
        and weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and weight.nbytes >= LARGE_WEIGHT_BYTES
        and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    )
