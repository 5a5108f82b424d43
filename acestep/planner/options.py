"""The decoding options that every request to the planner has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acestep.planner.sampling import Sampling


@dataclass(frozen=True)
class DecodingOptions:
    """How a request writes its tokens.

    Attributes:
        temperature, top_k, top_p, repetition_penalty: see `acestep.planner.sampling.Sampling`.
        constrained: whether text must match its grammar. Codes are valid and counted either way.
        debug: whether the constraint logs which tokens the grammar forced and which were sampled.
    """

    temperature: float = 0.85
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0
    constrained: bool = True
    debug: bool = False

    @property
    def sampling(self) -> Sampling:
        """The sampling options alone.

        Raises:
            PlannerError: one of them is out of range.
        """
        from acestep.planner.sampling import Sampling

        return Sampling(self.temperature, self.top_k, self.top_p, self.repetition_penalty)

    def check(self) -> None:
        """Check the sampling options.

        Raises:
            PlannerError: one of them is out of range.
        """
        _ = self.sampling
