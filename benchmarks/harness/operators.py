"""Counts of the operators that torch runs, and of their floating-point operations: equal on every machine."""

from __future__ import annotations

import functools
from typing import Any


def counting(base: Any) -> Any:
    """Return a subclass of the dispatch mode *base* that counts `operators`, and `flops` where torch has a formula.

    A mode sees only the thread that has entered it. Composite operators are decomposed first, as autograd would do,
    which does not run here.
    """
    formulas = _formulas()

    class Counting(base):  # type: ignore[misc]  # torch must not be imported at the top of the module
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
    """Return a mode that only counts."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Plain(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}))

    return counting(Plain)()


@functools.cache
def _formulas() -> dict[Any, Any]:
    """Return torch's FLOP formulas by operator, and one for the fused attention of CPUs, which torch lacks."""
    import torch
    from torch.utils.flop_counter import flop_registry, sdpa_flop

    return {**flop_registry, torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop}


@functools.cache
def _is_composite(func: Any) -> bool:
    import torch

    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"))
