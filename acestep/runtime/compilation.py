"""Compiled regions: the operations of the transformer's layers, and the activation of the autoencoder.

A region is compiled once for all layers and all lengths. What is compiled, and that it runs, is counted: a region that
could not be compiled whole is an error.
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

_OF_ITS_OWN: Final[dict[str, Any]] = {"recompile_limit": 64, "isolate_recompiles": True}
"""Where torch can do that, each compiler has its own variants of a region: of one item, of a part, …"""


@dataclass(frozen=True)
class CompileStats:
    """How many graphs there are, and how often one has run."""

    graphs: int = 0
    calls: int = 0


class CompiledRegions:
    """Compiles regions with Inductor.

    Attributes:
        layer: a `LayerOperations` with compiled operations.
        activate: the compiled `snake`.
        stats: what has been compiled, and has run, so far.
    """

    def __init__(self) -> None:
        self.stats = CompileStats()
        self.activate = self._compile(snake)
        operations = [
            name for name, value in vars(LayerOperations).items() if callable(value) and not name.startswith("_")
        ]
        self.layer: type[LayerOperations] = type(
            "CompiledLayer", (LayerOperations,), {n: self._compile(getattr(LayerOperations, n)) for n in operations}
        )

    def check(self, device: str) -> None:
        """Compile something small, and run it.

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
        options = {name: value for name, value in _OF_ITS_OWN.items() if name in known}
        compiled: Any = torch.compile(region, backend=self._backend, dynamic=True, fullgraph=True, **options)
        return compiled  # type: ignore[no-any-return]

    def _backend(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        from torch._inductor.compile_fx import compile_fx

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torchao's tensors are not kept in a cache on disk
            run: Any = compile_fx(graph, inputs)
        self.stats = CompileStats(self.stats.graphs + 1, self.stats.calls)

        def counted(*arguments: Any) -> Any:
            self.stats = CompileStats(self.stats.graphs, self.stats.calls + 1)
            return run(*arguments)

        return counted
