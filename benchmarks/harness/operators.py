"""Operators that torch runs, and the floating-point operations that it has a formula for: equal on every machine."""

from __future__ import annotations

import functools
from typing import Any


def counting(base: Any) -> Any:
    """Return the dispatch mode *base*, extended: it counts `operators`, and in them `flops`.

    A mode sees the thread that has entered it. Operators that are made of others are taken apart first, as autograd
    does, which does not run here.
    """
    formulas = _formulas()

    class Counting(base):  # type: ignore[misc]  # torch is there when a commit has been chosen
        operators = 0
        flops = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            formula = formulas.get(func._overloadpacket)
            if formula is None and _is_composite(func):
                with self:
                    return func.decompose(*args, **(kwargs or {}))
            out = super().__torch_dispatch__(func, types, args, kwargs)
            self.operators += 1
            if formula is not None:
                self.flops += formula(*args, **(kwargs or {}), out_val=out)
            return out

    return Counting


def counter() -> Any:
    """Return a mode that does nothing but count."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Plain(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}))

    return counting(Plain)()


@functools.cache
def _formulas() -> dict[Any, Any]:
    """Return torch's formulas, by operator, and the same for the fused attention of a CPU, which it leaves out."""
    import torch
    from torch.utils.flop_counter import flop_registry, sdpa_flop

    return {**flop_registry, torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop}


@functools.cache
def _is_composite(func: Any) -> bool:
    import torch

    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"))
