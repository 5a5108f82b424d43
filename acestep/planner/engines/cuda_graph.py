"""Decoding steps as a CUDA graph: one launch for what is some twenty small kernels a layer."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from acestep.planner.engines.cache import Cache, FixedSlot
from acestep.planner.engines.decoder import Decoder

FEWEST_STEPS: Final = 32
"""Recording costs about as much as some steps; fewer than these are not worth it."""


class FixedStep:
    """`Decoder.step` for all rows of *cache*, with shapes and addresses that are the same at every step.

    On CUDA the first call records a graph, which every call replays. Everything random stays outside of it: logits,
    guidance and draws follow each step as usual, so that no generator has to be known to the graph.
    """

    def __init__(self, decoder: Decoder, cache: Cache) -> None:
        rows = len(cache.keys[0])
        self._decoder, self._cache = decoder, cache
        self._tokens = torch.zeros(rows, dtype=torch.long, device=decoder.device)
        self._slot = torch.zeros(1, dtype=torch.long, device=decoder.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._hidden: Tensor | None = None

    def __call__(self, tokens: Tensor) -> Tensor:
        """Hidden states ``[G·N, hidden]`` behind one more token of every row; the next call overwrites them."""
        self._tokens.copy_(tokens)
        self._slot.fill_(self._cache.used[0])
        if self._decoder.device.type != "cuda":
            self._hidden = self._work()
        elif self._graph is None:
            self._record()
        else:
            self._graph.replay()
        self._cache.advance()
        assert self._hidden is not None
        return self._hidden

    def _work(self) -> Tensor:
        return self._decoder.step_at(self._tokens, self._cache, FixedSlot(self._cache, self._slot))

    def _record(self) -> None:
        """Run the step once on a stream of its own, as CUDA asks for before a recording, record it and replay it.

        All three write the same numbers into the same slot.
        """
        with torch.cuda.device(self._decoder.device):
            current, side = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(current)
            with torch.cuda.stream(side):
                self._work()
            current.wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._hidden = self._work()
            self._graph.replay()
