"""Regions that torch.compile compiles: the operations of the transformer's layers, and the VAE's activation.

Each region is compiled once, for all layers and all lengths. A region that cannot be compiled as a whole is an error,
and graphs and their calls are counted, so that compilation is known to have taken effect.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any, Final, TypeVar

import torch

from acestep.dit.block_ops import LayerOperations
from acestep.vae.oobleck import snake

Region = TypeVar("Region", bound=Callable[..., Any])

LAYER_REGIONS: Final = (
    "modulation",
    "keys_values",
    "queries",
    "add_self_attention",
    "cross_queries",
    "add_cross_attention",
    "add_feed_forward",
    "cross_keys_values",
    "null_cross_attention",
)
"""Methods of `LayerOperations` that are compiled."""
_RECOMPILE_OPTIONS: Final[dict[str, Any]] = {"recompile_limit": 64, "isolate_recompiles": True}
"""Options of torch.compile, for versions of torch that have them: each `CompiledRegions` has compiled variants of its
own, for example for a batch of one item or for a tile of a sequence, up to this limit."""


@dataclass(frozen=True)
class CompileStats:
    """How many graphs were compiled, and how often they ran."""

    graphs: int = 0
    calls: int = 0


class CompiledRegions:
    """The regions, compiled with Inductor when they first run.

    Attributes:
        layer: a `LayerOperations` whose `LAYER_REGIONS` are compiled.
        activate: the compiled `snake`.
        stats: what was compiled and ran so far.
    """

    def __init__(self) -> None:
        self.stats = CompileStats()
        self.activate = self._compile(snake)
        operations = {name: self._compile(getattr(LayerOperations, name)) for name in LAYER_REGIONS}
        self.layer: type[LayerOperations] = type("CompiledLayer", (LayerOperations,), operations)

    def check(self, device: str) -> None:
        """Compile and run a small input, to find out whether *device* can.

        Raises:
            ValueError: nothing can be compiled here; the message says why.
        """
        ones = torch.ones(1, 2, 8, device=device)
        try:
            with torch.inference_mode():
                self.activate(ones, ones[..., :1], ones[..., :1])
        except Exception as error:
            reason = str(getattr(error, "inner_exception", error)).strip().splitlines()[0]
            raise ValueError(
                f"compile_model=True, but torch.compile does not work here: {reason} It needs a C++ compiler on the "
                "CPU and Triton on CUDA; install that, or leave compile_model out."
            ) from error

    def _compile(self, region: Region) -> Region:
        known = signature(torch.compile).parameters
        options = {name: value for name, value in _RECOMPILE_OPTIONS.items() if name in known}
        compiled: Any = torch.compile(region, backend=self._backend, dynamic=True, fullgraph=True, **options)
        return compiled  # type: ignore[no-any-return]

    def _backend(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        from torch._inductor.compile_fx import compile_fx

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Inductor cannot cache torchao's tensors on disk
            run: Any = compile_fx(graph, inputs)
        self.stats = CompileStats(self.stats.graphs + 1, self.stats.calls)

        def counted(*arguments: Any) -> Any:
            self.stats = CompileStats(self.stats.graphs, self.stats.calls + 1)
            return run(*arguments)

        return counted
