"""Sampling in MLX, by the rules and in the order of `acestep.planner.sampling`."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
from mlx_lm.sample_utils import apply_top_k, apply_top_p

from acestep.planner.sampling import Sampling


def make_keys(seeds: Sequence[int], phase: int) -> list[mx.array]:
    """One key of MLX's random numbers for each seed; it depends only on that seed and *phase* (1 or 2)."""
    return [mx.random.key((2 * seed + phase) % 2**63) for seed in seeds]


class MlxTokenSampler:
    """Samples one token for each of N samples at a time.

    Args:
        sampling: the options.
        keys: one for each sample, see `make_keys`.
        columns: number of columns of the logits.
    """

    def __init__(self, sampling: Sampling, keys: Sequence[mx.array], columns: int) -> None:
        self._sampling = sampling
        self._keys = list(keys)
        penalised = sampling.repetition_penalty != 1.0
        self._seen = mx.zeros((len(keys), columns), dtype=mx.bool_) if penalised else None

    def update_seen(self, tokens: mx.array) -> None:
        """Count *tokens* ``(N, n)`` as seen before, for the repetition penalty."""
        if self._seen is not None:
            self._seen = mx.put_along_axis(self._seen, tokens, mx.array(True), axis=1)

    def sample(self, logits: mx.array) -> mx.array:
        """The next token of each sample, ``(N,)``, from masked float32 *logits* ``(N, columns)``."""
        if self._seen is not None:
            penalty = self._sampling.repetition_penalty
            penalised = mx.where(logits > 0, logits / penalty, logits * penalty)
            logits = mx.where(self._seen, penalised, logits)
        tokens = self._choose(logits)
        self.update_seen(tokens[:, None])
        return tokens

    def _choose(self, logits: mx.array) -> mx.array:
        sampling = self._sampling
        if sampling.temperature <= 0.0:
            return mx.argmax(logits, axis=-1)
        logits = logits / sampling.temperature
        if sampling.top_k is not None and sampling.top_k < logits.shape[-1]:
            logits = apply_top_k(logits, sampling.top_k)
        if sampling.top_p is not None and sampling.top_p < 1.0:
            logits = apply_top_p(logits - mx.logsumexp(logits, axis=-1, keepdims=True), sampling.top_p)
        pairs = [mx.random.split(key) for key in self._keys]
        self._keys = [pair[0] for pair in pairs]
        return mx.stack([mx.random.categorical(row, key=pair[1]) for row, pair in zip(logits, pairs, strict=True)])
