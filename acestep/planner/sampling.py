"""Sampling: from logits to the next token.

The order is fixed: guidance in float32, grammar mask, repetition penalty, division by the temperature, top-k, top-p,
random choice. The choice is an exponential race (the Gumbel-max trick in another form): each probability is divided by
an exponential random number, and the largest quotient wins. Each sample has a seeded generator of its own, so its
tokens do not depend on its batch. No token's random number depends on another's probability, so a rounding difference
between two batch sizes rarely changes the winner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.planner import PlannerError


@dataclass(frozen=True)
class Sampling:
    """Sampling options.

    Attributes:
        temperature: divides the logits; 0 or less takes the most likely token.
        top_k: number of most likely tokens that are kept; None keeps all.
        top_p: the most likely tokens that together reach this probability are kept; None or 1 keeps all.
        repetition_penalty: positive logits of tokens seen before are divided by it, negative ones multiplied, as in
            transformers.
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


def make_generators(seeds: Sequence[int], phase: int, device: str) -> list[torch.Generator]:
    """One generator on *device* for each seed; its numbers depend only on that seed and *phase* (1 or 2)."""
    return [torch.Generator(device).manual_seed((2 * seed + phase) % 2**63) for seed in seeds]


def apply_cfg(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: ``unconditional + scale * (conditional - unconditional)`` in float32."""
    return torch.lerp(unconditional.float(), conditional.float(), scale)


class TokenSampler:
    """Samples one token for each of N samples at a time.

    Args:
        sampling: the options.
        generators: one for each sample, see `make_generators`.
        columns: number of columns of the logits.
        device: device of the logits.
    """

    def __init__(self, sampling: Sampling, generators: Sequence[torch.Generator], columns: int, device: str) -> None:
        self._sampling = sampling
        self._generators = generators
        self._exponentials = torch.empty(len(generators), columns, device=device)
        penalised = sampling.repetition_penalty != 1.0
        self._seen = torch.zeros(len(generators), columns, dtype=torch.bool, device=device) if penalised else None

    def update_seen(self, tokens: Tensor) -> None:
        """Count *tokens* ``(N, n)`` as seen before, for the repetition penalty."""
        if self._seen is not None:
            self._seen.scatter_(1, tokens, True)

    def sample(self, logits: Tensor) -> Tensor:
        """The next token of each sample, ``(N,)``, from masked float32 *logits* ``(N, columns)``."""
        if self._seen is not None:
            penalty = self._sampling.repetition_penalty
            penalised = torch.where(logits > 0, logits / penalty, logits * penalty)
            logits = torch.where(self._seen, penalised, logits)
        tokens = self._choose(logits)
        self.update_seen(tokens.unsqueeze(1))
        return tokens

    def _choose(self, logits: Tensor) -> Tensor:
        sampling = self._sampling
        if sampling.temperature <= 0.0:
            return logits.argmax(-1)
        logits = logits / sampling.temperature
        if sampling.top_k is not None and sampling.top_k < logits.shape[-1]:
            smallest = logits.topk(sampling.top_k).values[:, -1:]
            logits = logits.masked_fill(logits < smallest, -torch.inf)
        probabilities = logits.softmax(-1)
        for row, generator in zip(self._exponentials, self._generators, strict=True):
            row.exponential_(generator=generator)
        if sampling.top_p is None or sampling.top_p >= 1.0:
            return (probabilities / self._exponentials).argmax(-1)
        if logits.device.type == "cpu":
            return _winner_in_nucleus(probabilities, self._exponentials, sampling.top_p)
        return (_nucleus(probabilities, sampling.top_p) / self._exponentials).argmax(-1)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """*probabilities* ``(N, V)`` of the most likely tokens that together reach *top_p*; all others are 0."""
    ordered = probabilities.sort(descending=True).values
    before = ordered.cumsum(-1) - ordered
    smallest = ordered.masked_fill(before >= top_p, torch.inf).amin(-1, keepdim=True)
    return probabilities.masked_fill(probabilities < smallest, 0.0)


def _winner_in_nucleus(probabilities: Tensor, exponentials: Tensor, top_p: float) -> Tensor:
    """The winner of the exponential race within `_nucleus`, ``(N,)``, found without sorting.

    A token is in the nucleus if the tokens likelier than it do not reach *top_p* together. If the winner is outside,
    so is every token at most as likely: these are masked, and the race is repeated. Each repetition needs the result
    on the host, so this is for the CPU only.
    """
    quotients = probabilities / exponentials
    while True:
        tokens = quotients.argmax(-1)
        chosen = probabilities.gather(1, tokens.unsqueeze(1))
        likelier = probabilities > chosen
        outside = (probabilities * likelier).sum(-1, keepdim=True) >= top_p
        if not outside.any():
            return tokens
        quotients *= likelier | ~outside
