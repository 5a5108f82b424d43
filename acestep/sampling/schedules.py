"""Flow times of a generation: where the network is evaluated, from 1 (noise) downwards.

A schedule is a descending list; the last step always ends at 0 (data), which is not in the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

Time = TypeVar("Time", float, Tensor)

TURBO_MAX_STEPS = 8
"""More steps than this are asked for with explicit timesteps."""
MAX_TIMESTEPS = 20
TURBO_TIMESTEPS = tuple(
    a / b
    for a, b in (
        (1, 1), (21, 22), (14, 15), (9, 10), (7, 8), (6, 7), (5, 6), (10, 13), (3, 4), (2, 3),
        (9, 14), (5, 8), (6, 11), (1, 2), (2, 5), (3, 8), (3, 10), (1, 4), (2, 9), (1, 8),
    )
)  # fmt: skip
"""The times that turbo models were distilled at: the 8-step schedules of shift 1, 2 and 3."""
TURBO_SHIFTS = (1.0, 2.0, 3.0)


def turbo_schedule(steps: int | None, shift: float, timesteps: Sequence[float] | None = None) -> list[float]:
    """The schedule of a distilled model.

    Explicit *timesteps* lose their trailing zeros and are moved to the nearest of `TURBO_TIMESTEPS`; they win over
    *steps* (evenly spaced, at most `TURBO_MAX_STEPS`) and *shift* (``t' = s·t / (1 + (s-1)·t)``). Without *steps*
    it is the distilled one whose shift is nearest. *timesteps* of nothing but zeros are none.
    """
    given = strip_trailing_zeros(timesteps or ())
    if given:
        return [min(TURBO_TIMESTEPS, key=lambda t: abs(t - wanted)) for wanted in given]
    if steps is None:
        steps, shift = TURBO_MAX_STEPS, min(TURBO_SHIFTS, key=lambda known: abs(known - shift))
    count = min(steps, TURBO_MAX_STEPS)
    return [shifted(1 - i / count, shift) for i in range(count)]


def base_schedule(steps: int, shift: float, timesteps: Sequence[float] | None = None) -> list[float]:
    """The schedule of a base or sft model: *timesteps* as they are, else *steps* even ones, shifted.

    The even ones are computed in fp32, as the reference does: guidance makes 1e-4 of a last bit of the time.
    """
    even = torch.linspace(1, 0, steps + 1)[:-1]
    times: list[float] = shifted(even, shift).tolist()
    return strip_trailing_zeros(timesteps or ()) or times


def shifted(time: Time, shift: float) -> Time:
    """*time* moved towards noise (*shift* above 1) or data (below 1): ``s·t / (1 + (s-1)·t)``."""
    return time if shift == 1 else shift * time / (1 + (shift - 1) * time)


def truncate_schedule(schedule: Sequence[float], strength: float) -> list[float]:
    """What is left of *schedule* from the time nearest to ``1 - strength`` on; the first one of equally near ones."""
    nearest = min(range(len(schedule)), key=lambda i: abs(schedule[i] - (1 - strength)))
    return list(schedule[nearest:])


def strip_trailing_zeros(timesteps: Sequence[float]) -> list[float]:
    """*timesteps* without the zeros at the end, which every schedule implies."""
    kept = list(timesteps)
    while kept and kept[-1] == 0:
        kept.pop()
    return kept
