"""What was measured in one cell of a matrix, and under which circumstances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

Scalar = bool | int | float | str
"""A parameter or a fact: plain data that JSON and asv both keep unchanged."""
Cell = Mapping[str, Scalar]
"""Parameter names and values of one cell, in the order of the matrix."""
Status = Literal["ok", "oom", "fail", "timeout", "skip"]
"""`skip`: the commit does not have what the cell needs; asv shows it as n/a. The other three are failures."""
UNCOUNTED = "uncounted"
"""In place of the exact metrics: the reason why a cell could not be counted."""


@dataclass(frozen=True)
class Record:
    """Samples of one cell, or the reason why there are none.

    `samples` maps a series to its values, one a sample; a series that makes no sense in this cell is absent.
    `work` is what a sample did (tokens, steps, batch), equal in all of them. `exact` is what else does not differ from
    run to run, of `exact.EXACT`; or, under UNCOUNTED, the reason why it is not known. `host` holds machine, versions,
    device, threads and dtype.

    `contention` is the run-queue wait of each timed sample in seconds, `contended` whether that is too much of its
    time; None where it is unknown.

    The seconds of the cell are those of the timed regions of its samples (`timed_s`), of runs for exact metrics alone
    (`exact_s`), of the warm-up (`warmup_s`), and all others (`untimed_s`): preparing, collecting garbage, checking
    outputs, and all of a cell that failed. None is counted twice. `ended_unix` is seconds since the epoch.
    """

    matrix: str
    cell: Cell
    status: Status
    reason: str = ""
    samples: Mapping[str, list[float]] = field(default_factory=dict)
    work: Mapping[str, Scalar] = field(default_factory=dict)
    exact: Mapping[str, Scalar] = field(default_factory=dict)
    host: Mapping[str, Scalar] = field(default_factory=dict)
    contention: list[float | None] = field(default_factory=list)
    contended: list[bool | None] = field(default_factory=list)
    timed_s: float = 0.0
    exact_s: float = 0.0
    warmup_s: float = 0.0
    untimed_s: float = 0.0
    ended_unix: float = 0.0

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(f"status is {self.status!r}, must be one of {', '.join(get_args(Status))}")
        for series, values in self.samples.items():
            if not values:
                raise ValueError(f"series {series} has no samples; leave a series out that was not measured")
            if not all(type(value) is float and math.isfinite(value) for value in values):
                raise ValueError(f"series {series} must hold finite Python floats, has {values}")

    @property
    def complete(self) -> bool:
        """Whether the cell has its samples, and its exact metrics if there are any."""
        return self.status == "ok" and UNCOUNTED not in self.exact

    @property
    def failed(self) -> bool:
        """Whether something that the commit can do was not measured."""
        return self.status in ("oom", "fail", "timeout") or UNCOUNTED in self.exact

    @property
    def spent_s(self) -> float:
        """Seconds that the cell took, all together."""
        return self.timed_s + self.exact_s + self.warmup_s + self.untimed_s

    def with_host(self, host: Mapping[str, Scalar]) -> Record:
        """Return the same record, measured on *host*."""
        return replace(self, host=host)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` and `pickle` take; `from_dict` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """Build the record that `to_dict` took apart; raises TypeError or ValueError for anything else."""
        return cls(**data)
