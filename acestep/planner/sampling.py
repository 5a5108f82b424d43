"""From logits to the next token.

The order is fixed: guidance in float32, mask, repetition penalty, division by the temperature, top-k,
top-p, draw. A draw inverts the cumulative distribution at a number that each sample takes from its own
seeded stream; the streams are drawn up front, so a sample's tokens do not depend on its batch and nothing
waits for the host.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.planner import PlannerError

LARGEST_UNIFORM = 1.0 - 1e-6
"""Keeps a draw below the total, whatever way float32 rounds it."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: divides the logits; 0 or less takes the likeliest token. top_k: keep this many of the
        likeliest tokens; None keeps all. top_p: keep the likeliest tokens that together reach this
        probability; None or 1 keeps all. repetition_penalty: HF's rule: positive logits of tokens seen
        before are divided by it, negative multiplied.
    """

    temperature: float = 0.85
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.temperature):
            raise PlannerError(f"temperature {self.temperature} is not a finite number; 0 means greedy.")
        if self.top_k is not None and self.top_k < 1:
            raise PlannerError(f"top_k {self.top_k} is not positive; use None to keep all tokens.")
        if self.top_p is not None and not 0.0 < self.top_p <= 1.0:
            raise PlannerError(f"top_p {self.top_p} is not in (0, 1]; use None to keep all tokens.")
        if not self.repetition_penalty > 0.0:
            raise PlannerError(f"repetition_penalty {self.repetition_penalty} is not positive; 1 switches it off.")


def uniforms(seeds: Sequence[int], count: int, phase: int) -> Tensor:
    """*count* numbers in [0, 1) for each seed, float32 ``[len(seeds), count]`` on the CPU.

    A row depends on its seed and on *phase* (1 or 2) alone.
    """
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed((2 * seed + phase) % 2**63)
        rows.append(torch.rand(count, generator=generator))
    return torch.stack(rows).clamp_(max=LARGEST_UNIFORM)


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: ``unconditional + scale * (conditional - unconditional)`` in float32."""
    return torch.lerp(unconditional.float(), conditional.float(), scale)


class Sampler:
    """Draws one token for each of N samples at a time.

    Args:
        sampling: how.
        streams: ``[N, steps]``, see `uniforms`; moved to *device*.
        vocabulary: number of columns of the logits.
        device: where the logits are.
    """

    def __init__(self, sampling: Sampling, streams: Tensor, vocabulary: int, device: str) -> None:
        self._sampling = sampling
        self._columns = streams.to(device).unsqueeze(2).unbind(1)
        self._turn = 0
        penalised = sampling.repetition_penalty != 1.0
        self._seen = torch.zeros(len(streams), vocabulary, dtype=torch.bool, device=device) if penalised else None

    def saw(self, tokens: Tensor) -> None:
        """Count *tokens* ``[N, n]`` as seen before, for the repetition penalty."""
        if self._seen is not None:
            self._seen.scatter_(1, tokens, True)

    def draw(self, logits: Tensor) -> Tensor:
        """The next token of each sample, ``[N]``, from masked float32 *logits* ``[N, vocabulary]``."""
        if self._seen is not None:
            penalty = self._sampling.repetition_penalty
            penalised = torch.where(logits > 0, logits / penalty, logits * penalty)
            logits = torch.where(self._seen, penalised, logits)
        tokens = self._pick(logits)
        self._turn += 1
        self.saw(tokens.unsqueeze(1))
        return tokens

    def _pick(self, logits: Tensor) -> Tensor:
        sampling = self._sampling
        if sampling.temperature <= 0.0:
            return logits.argmax(-1)
        logits = logits / sampling.temperature
        uniform = self._columns[self._turn]
        nucleus = sampling.top_p if sampling.top_p is not None and sampling.top_p < 1.0 else None
        if sampling.top_k is None and nucleus is None:
            return _invert(logits.softmax(-1), uniform).squeeze(1)
        if sampling.top_k is not None:
            logits, order = logits.topk(min(sampling.top_k, logits.shape[-1]))
        else:
            logits, order = logits.sort(descending=True)
        probabilities = logits.softmax(-1)
        if nucleus is not None:
            before = probabilities.cumsum(-1) - probabilities
            probabilities = probabilities * (before < nucleus)
        return order.gather(1, _invert(probabilities, uniform)).squeeze(1)


def _invert(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Column at which the cumulative *probabilities* pass *uniform* ``[N, 1]`` of their total, ``[N, 1]``."""
    cumulative = probabilities.cumsum(-1)
    return torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
