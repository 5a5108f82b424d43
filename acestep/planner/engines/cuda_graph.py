"""Decode steps as a CUDA graph: one launch instead of about twenty small kernels for each layer."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from acestep.planner.engines.cache import Cache, StaticSlot
from acestep.planner.engines.decoder import Decoder

MIN_STEPS: Final = 32
"""Fewest steps for which a graph is recorded; recording takes about as long as some steps."""


class GraphedStep:
    """`Decoder.step` for all rows of a cache, with the same shapes and addresses at every step.

    On CUDA the first call records a graph, which all calls replay. Random numbers stay outside of the graph: logits,
    guidance and sampling follow each step as usual, so the graph need not know any generator.
    """

    def __init__(self, decoder: Decoder, cache: Cache) -> None:
        rows, device = len(cache.keys[0]), decoder.cache_shape.device
        self._decoder, self._cache, self._device = decoder, cache, device
        self._tokens = torch.zeros(rows, dtype=torch.long, device=device)
        self._slot = torch.zeros(1, dtype=torch.long, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._hidden: Tensor | None = None

    def __call__(self, tokens: Tensor) -> Tensor:
        """Hidden states ``(G·N, hidden)`` after one more token of every row; the next call overwrites them."""
        self._tokens.copy_(tokens)
        self._slot.fill_(self._cache.used[0])
        if self._device.type != "cuda":
            self._hidden = self._run()
        elif self._graph is None:
            self._record()
        else:
            self._graph.replay()
        self._cache.advance()
        assert self._hidden is not None
        return self._hidden

    def _run(self) -> Tensor:
        return self._decoder.step_at(self._tokens, self._cache, StaticSlot(self._cache, self._slot))

    def _record(self) -> None:
        """Run the step once on a side stream, as CUDA demands before a recording, then record and replay it.

        All three write the same numbers into the same slot.
        """
        with torch.cuda.device(self._device):
            current, side = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(current)
            with torch.cuda.stream(side):
                self._run()
            current.wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._hidden = self._run()
            self._graph.replay()
