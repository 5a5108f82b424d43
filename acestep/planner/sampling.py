"""From logits to the next token.

The order is fixed: guidance in float32, mask, repetition penalty, division by the temperature, top-k,
top-p, draw. A draw is a race: each token arrives at a random time, the sooner the likelier it is, and the
first one wins. The times come from a seeded stream of each sample's own, so its tokens do not depend on its
batch; and as no token's time depends on another's probability, a rounding difference between two batch sizes
does not change who wins.
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


def streams(seeds: Sequence[int], phase: int, device: str) -> list[torch.Generator]:
    """A stream of random numbers on *device* for each seed; it depends on that seed and *phase* (1 or 2) alone."""
    return [torch.Generator(device).manual_seed((2 * seed + phase) % 2**63) for seed in seeds]


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: ``unconditional + scale * (conditional - unconditional)`` in float32."""
    return torch.lerp(unconditional.float(), conditional.float(), scale)


class Sampler:
    """Draws one token for each of N samples at a time.

    Args:
        sampling: how.
        streams: one a sample, see `streams`.
        vocabulary: number of columns of the logits.
        device: where the logits are.
    """

    def __init__(self, sampling: Sampling, streams: Sequence[torch.Generator], vocabulary: int, device: str) -> None:
        self._sampling = sampling
        self._streams = streams
        self._arrivals = torch.empty(len(streams), vocabulary, device=device)
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
        self.saw(tokens.unsqueeze(1))
        return tokens

    def _pick(self, logits: Tensor) -> Tensor:
        sampling = self._sampling
        if sampling.temperature <= 0.0:
            return logits.argmax(-1)
        logits = logits / sampling.temperature
        if sampling.top_k is not None and sampling.top_k < logits.shape[-1]:
            least = logits.topk(sampling.top_k).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        probabilities = logits.softmax(-1)
        for row, stream in zip(self._arrivals, self._streams, strict=True):
            row.exponential_(generator=stream)
        if sampling.top_p is None or sampling.top_p >= 1.0:
            return (probabilities / self._arrivals).argmax(-1)
        if logits.device.type == "cpu":
            return _first_in_nucleus(probabilities, self._arrivals, sampling.top_p)
        return (_nucleus(probabilities, sampling.top_p) / self._arrivals).argmax(-1)


def _nucleus(probabilities: Tensor, total: float) -> Tensor:
    """*probabilities* ``[N, V]`` of the likeliest tokens that together reach *total*, and 0 for all others."""
    ordered = probabilities.sort(descending=True).values
    before = ordered.cumsum(-1) - ordered
    least = ordered.masked_fill(before >= total, torch.inf).amin(-1, keepdim=True)
    return probabilities.masked_fill(probabilities < least, 0.0)


def _first_in_nucleus(probabilities: Tensor, arrivals: Tensor, total: float) -> Tensor:
    """Who wins the race among `_nucleus`, without sorting: the first one that belongs to it.

    A token belongs to it if those likelier than it do not reach *total*. Where the first one does not, nobody
    as unlikely does, and the race goes on among the likelier; that takes a look at the result, which only on the
    host costs nothing.
    """
    speeds = probabilities / arrivals
    while True:
        tokens = speeds.argmax(-1)
        chosen = probabilities.gather(1, tokens.unsqueeze(1))
        likelier = probabilities > chosen
        outside = (probabilities * likelier).sum(-1, keepdim=True) >= total
        if not outside.any():
            return tokens
        speeds *= likelier | ~outside
