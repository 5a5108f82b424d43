"""Draws tokens for the rows of vLLM's batch: what happens between its logits and its sampler.

vLLM takes the likeliest token of each row. A draw leaves one token in each row and -inf in all others, so guidance,
mask, sampling and random streams are the same code as in the other engines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.planner import PlannerError
from acestep.planner.codes import CodeRange
from acestep.planner.constraint import Constraint
from acestep.planner.engines.numbers import check_best
from acestep.planner.gpu_timer import Laps
from acestep.planner.sampling import Sampler, guide

Draw = Callable[[Tensor, Mapping[int, int]], None]
"""Changes logits ``[rows, vocabulary]`` in place, given the row of each seat. A seat is a number that a request has."""


@dataclass
class Desk:
    """Where an engine and its logits processor meet.

    Attributes:
        draw: what the requests under way want.
        forwards: calls of the model so far.
        error: what the draw raised; the engine raises it again outside vLLM, which would not survive it.
    """

    draw: Draw | None = None
    forwards: int = 0
    error: PlannerError | None = None


class TextDraw:
    """Draws one text's tokens; it sits at seat 0.

    Attributes:
        token: the last one.
        best: the logit of the likeliest token in the last step, ``[1]``.
    """

    def __init__(self, sampler: Sampler, constraint: Constraint | None, size: int) -> None:
        """Draw among the first *size* tokens."""
        self.token = -1
        self.best = torch.zeros(1)
        self._sampler = sampler
        self._constraint = constraint
        self._size = size

    def __call__(self, logits: Tensor, rows: Mapping[int, int]) -> None:
        """Draw once.

        Raises:
            PlannerError: the logits are no numbers.
        """
        choice = logits[rows[0], None, : self._size]
        self.best = choice.amax(-1)
        if self.token < 0:
            check_best(self.best)
        if self._constraint:
            allowed = torch.from_numpy(self._constraint.allowed()).to(logits.device)
            choice = choice.masked_fill(~allowed, -torch.inf)
        self.token = int(self._sampler.draw(choice).item())
        logits.fill_(-torch.inf)[rows[0], self.token] = 0.0


class CodesDraw:
    """Draws the codes of N samples; sample i sits at seat i, its unconditional twin at seat N + i.

    Both get the same token. A sample that has drawn the end leaves its seats.

    Args:
        sampler: of the N samples.
        samples: N.
        scale: of the guidance; None without it.
        codes: where they are in the vocabulary.
        end: the token that ends a sample, but not as its first one; None if it must not end.
        laps: gets the time for ``"model"``, ``"mix"`` and ``"draw"``.

    Attributes:
        best: the logits of the likeliest tokens in the last step, ``[N]``.
    """

    def __init__(
        self, sampler: Sampler, samples: int, scale: float | None, codes: CodeRange, end: int | None, laps: Laps
    ) -> None:
        self._sampler, self._samples, self._scale = sampler, samples, scale
        self._codes, self._end, self._laps = codes, end, laps
        self._sitting = set(range(samples))
        self._first = True
        self.best = torch.zeros(samples)

    def __call__(self, logits: Tensor, rows: Mapping[int, int]) -> None:
        """Draw once for each sample that still sits.

        Raises:
            PlannerError: vLLM left out a row.
        """
        self._laps.mark("model")
        twins = {self._samples + sample for sample in self._sitting} if self._scale is not None else set()
        if set(rows) != self._sitting | twins:
            raise PlannerError(
                "vLLM ran only some of the samples in a step: its key/value cache is too small for them."
            )
        choices = self._choices(logits, rows, 0)
        if self._scale is not None:
            choices = guide(choices, self._choices(logits, rows, self._samples), self._scale)
            self._laps.mark("mix")
        self.best = choices.amax(-1)
        if self._end is not None and self._first:
            choices[:, -1] = -torch.inf
        drawn = self._sampler.draw(choices)
        tokens = drawn + self._codes.first_id
        if self._end is not None:
            tokens = tokens.where(drawn < self._codes.count, self._end)
        seats = sorted(rows)
        places = torch.tensor([rows[seat] for seat in seats], device=logits.device)
        samples = torch.tensor([seat % self._samples for seat in seats], device=logits.device)
        logits.fill_(-torch.inf)[places, tokens[samples]] = 0.0
        self._first = False
        if self._end is not None:
            self._sitting -= {sample for sample, token in enumerate(tokens.tolist()) if token == self._end}
        self._laps.mark("draw")

    def _choices(self, logits: Tensor, rows: Mapping[int, int], offset: int) -> Tensor:
        """Logits ``[samples, codes and end]`` of the seats from *offset* on; some sample's for one that has ended."""
        anyone = rows[offset + min(self._sitting)]
        places = torch.tensor([rows.get(offset + seat, anyone) for seat in range(self._samples)], device=logits.device)
        first = self._codes.first_id
        choices = logits[:, first : first + self._codes.count][places]
        return choices if self._end is None else torch.cat((choices, logits[:, self._end, None][places]), -1)
