"""Checks that an engine computes finite numbers."""

from __future__ import annotations

from torch import Tensor

from acestep.planner import PlannerError
from acestep.runtime.finite_outputs import NonFiniteOutputError, is_finite


def check_largest_logits(largest: Tensor) -> None:
    """Check *largest*, the largest logit of each row.

    A NaN counts as the largest logit, and a NaN once in the key/value cache stays there, so checking the last step of a
    run checks all steps before it.

    Raises:
        PlannerError: a value is NaN or infinite.
    """
    if not is_finite(largest):
        raise PlannerError(str(NonFiniteOutputError("The planner")))
