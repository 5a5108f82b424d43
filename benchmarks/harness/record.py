"""The record of one cell: what was measured, and on which host."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

Scalar = bool | int | float | str
"""Value of a parameter or of a fact: plain data, which JSON and asv store unchanged."""
Cell = Mapping[str, Scalar]
"""Parameters of a cell by their names, in the order of the matrix."""
Status = Literal["ok", "oom", "fail", "timeout", "skip"]
"""`skip`: the commit lacks a feature that the cell needs; asv shows n/a. `oom`, `fail` and `timeout` are failures."""
UNCOUNTED = "uncounted"
"""Key in `Record.exact` of the reason why the exact metrics of a cell could not be counted."""


@dataclass(frozen=True)
class Record:
    """Samples of one cell, or the reason why there are none.

    No second is counted in two of `timed_s`, `exact_s`, `warmup_s` and `untimed_s`.

    Attributes:
        matrix: name of the cell's matrix.
        cell: the cell.
        status: ``ok``, or why there are no samples.
        reason: a sentence, if the status is not ``ok``.
        samples: the values of each series, one a sample. A series that the cell does not have is absent.
        work: what a sample did, such as tokens, steps and pieces; every sample did the same.
        exact: the cell's exact metrics, some of `exact.EXACT_METRICS`; or, under `UNCOUNTED`, why they are missing.
        host: machine, versions, device, threads and dtype.
        contention: run-queue wait of each timed sample in seconds; None where it is unknown.
        contended: whether that is too large a share of the sample's time; None where it is unknown.
        timed_s: seconds in the timed regions of the samples.
        exact_s: seconds in runs that only count exact metrics.
        warmup_s: seconds of the warm-up.
        untimed_s: all other seconds: preparing, garbage collection, checking outputs, and those of a failed cell.
        ended_unix: when the cell was finished, in seconds since the epoch.
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
        """Whether the cell has its samples, and counting its exact metrics did not fail."""
        return self.status == "ok" and UNCOUNTED not in self.exact

    @property
    def failed(self) -> bool:
        """Whether something that the commit supports could not be measured."""
        return self.status in ("oom", "fail", "timeout") or UNCOUNTED in self.exact

    @property
    def spent_s(self) -> float:
        """All seconds that the cell took."""
        return self.timed_s + self.exact_s + self.warmup_s + self.untimed_s

    def with_host(self, host: Mapping[str, Scalar]) -> Record:
        """Return the same record with the facts of *host*."""
        return replace(self, host=host)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` and `pickle` take; `from_dict` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """Build the record that `to_dict` took apart; raises TypeError or ValueError for anything else."""
        return cls(**data)
