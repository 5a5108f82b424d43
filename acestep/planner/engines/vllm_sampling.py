"""Chooses the tokens of vLLM's batch, between vLLM's logits and its own sampler.

vLLM samples greedily here. A sampler of this module leaves one finite logit in each row and sets all others to minus
infinity, so guidance, mask, sampling and generators are the same code as in the PyTorch engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.planner import PlannerError
from acestep.planner.codes import CodeRange
from acestep.planner.constraint import Constraint
from acestep.planner.gpu_timer import StepTimer
from acestep.planner.sampling import TokenSampler, apply_cfg

BatchSampler = Callable[[Tensor, Mapping[int, int]], None]
"""Samples into logits ``(rows, vocabulary)`` in place; the mapping gives the batch row of each request index."""


@dataclass
class SamplerBridge:
    """The connection between an engine and its logits processor inside vLLM.

    Attributes:
        sampler: chooses the tokens of the current requests; None leaves the logits alone.
        forwards: calls of the model so far.
        error: what the sampler raised. The engine raises it again outside of vLLM, which would not survive it.
    """

    sampler: BatchSampler | None = None
    forwards: int = 0
    error: PlannerError | None = None


class TextBatchSampler:
    """Samples the tokens of one text, whose request has index 0.

    Attributes:
        token: the token of the last step.
        largest_logit: the largest logit of the last step, ``(1,)``.
    """

    def __init__(self, sampler: TokenSampler, constraint: Constraint | None, size: int) -> None:
        """Sample among the first *size* tokens of the vocabulary."""
        self.token = -1
        self.largest_logit = torch.zeros(1)
        self._sampler = sampler
        self._constraint = constraint
        self._size = size

    def __call__(self, logits: Tensor, rows: Mapping[int, int]) -> None:
        """Sample one token.

        Raises:
            PlannerError: the constraint failed.
        """
        row = logits[rows[0], None, : self._size]
        self.largest_logit = row.amax(-1)
        if self._constraint:
            allowed = torch.from_numpy(self._constraint.allowed()).to(logits.device)
            row = row.masked_fill(~allowed, -torch.inf)
        self.token = int(self._sampler.sample(row).item())
        logits.fill_(-torch.inf)[rows[0], self.token] = 0.0


class CodesBatchSampler:
    """Samples the codes of N samples.

    Request i is the conditional request of sample i, request N + i its unconditional one; both get the same token.
    Finished samples are removed from the batch.

    Args:
        sampler: samples for N samples.
        samples: N.
        scale: guidance scale; None without guidance.
        codes: the range of the codes in the vocabulary.
        end: the token that ends a sample, except as its first token; None if no sample may end.
        timer: counts the laps ``"model"``, ``"mix"`` and ``"sample"``.

    Attributes:
        largest_logits: the largest logit of each sample in the last step, ``(N,)``.
    """

    def __init__(
        self,
        sampler: TokenSampler,
        samples: int,
        scale: float | None,
        codes: CodeRange,
        end: int | None,
        timer: StepTimer,
    ) -> None:
        self._sampler, self._samples, self._scale = sampler, samples, scale
        self._codes, self._end, self._timer = codes, end, timer
        self._running = set(range(samples))
        self._first = True
        self.largest_logits = torch.zeros(samples)

    def __call__(self, logits: Tensor, rows: Mapping[int, int]) -> None:
        """Sample one token for each sample that has not finished.

        Raises:
            PlannerError: vLLM did not run all requests in this step.
        """
        self._timer.lap("model")
        unconditional = {self._samples + sample for sample in self._running} if self._scale is not None else set()
        if set(rows) != self._running | unconditional:
            raise PlannerError(
                "vLLM ran only some of the samples in a step: its key/value cache is too small for them."
            )
        code_logits = self._code_logits(logits, rows, 0)
        if self._scale is not None:
            code_logits = apply_cfg(code_logits, self._code_logits(logits, rows, self._samples), self._scale)
            self._timer.lap("mix")
        self.largest_logits = code_logits.amax(-1)
        if self._end is not None and self._first:
            code_logits[:, -1] = -torch.inf
        chosen = self._sampler.sample(code_logits)
        tokens = chosen + self._codes.first_id
        if self._end is not None:
            tokens = tokens.where(chosen < self._codes.count, self._end)
        indices = sorted(rows)
        batch_rows = torch.tensor([rows[index] for index in indices], device=logits.device)
        samples = torch.tensor([index % self._samples for index in indices], device=logits.device)
        logits.fill_(-torch.inf)[batch_rows, tokens[samples]] = 0.0
        self._first = False
        if self._end is not None:
            self._running -= {sample for sample, token in enumerate(tokens.tolist()) if token == self._end}
        self._timer.lap("sample")

    def _code_logits(self, logits: Tensor, rows: Mapping[int, int], offset: int) -> Tensor:
        """Logits ``(samples, codes and end)`` of the requests from index *offset* on.

        A finished sample has no row any more; a running sample's row fills its place.
        """
        filler = rows[offset + min(self._running)]
        indices = range(offset, offset + self._samples)
        batch_rows = torch.tensor([rows.get(index, filler) for index in indices], device=logits.device)
        first = self._codes.first_id
        code_logits = logits[:, first : first + self._codes.count][batch_rows]
        if self._end is None:
            return code_logits
        return torch.cat((code_logits, logits[:, self._end, None][batch_rows]), -1)
