"""Whether what an engine computes are numbers."""

from __future__ import annotations

from torch import Tensor

from acestep.planner import PlannerError
from acestep.runtime.finite_outputs import NonFiniteOutputError, is_finite


def check_best(best: Tensor) -> None:
    """See that *best*, the logits of the likeliest tokens in a step, are finite.

    One NaN among the logits is the largest, and keys and values keep what has once been NaN. So a run's last step tells
    of all steps before; the first one is looked at too where a constraint could not follow what NaN chooses.

    Raises:
        PlannerError: one is not.
    """
    if not is_finite(best):
        raise PlannerError(str(NonFiniteOutputError("The planner")))
