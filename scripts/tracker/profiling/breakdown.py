"""The breakdown of the mode ``profile``: the time of one generation by component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from scripts.tracker.profiling.text_tables import WIDE, at_columns

COMPONENT, SECONDS, SHARE, SPREAD = 2, 37, 52, 64
RULE = " " * COMPONENT + "─" * 61
NONE = "—"
Stages = Mapping[str, float]
"""Seconds of a generation by series, with ``wall`` and the number of ``steps``; a stage that did not run is absent."""


@dataclass(frozen=True)
class Spread:
    """Median, median absolute deviation, minimum, maximum and number of samples."""

    median: float
    mad: float
    min: float
    max: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of *values*."""
        middle = median(values)
        return cls(middle, median(abs(value - middle) for value in values), min(values), max(values), len(values))


@dataclass(frozen=True)
class BreakdownRow:
    """A row of the breakdown.

    Attributes:
        label: name of the component.
        value: seconds, or a count if *count* is true.
        tenths: share of the wall time in tenths of a percent; None without a share.
        part: whether it is a part of the row above it.
        count: whether the value is a count.
    """

    label: str
    value: float
    tenths: int | None = None
    part: bool = False
    count: bool = False


def rows_of(sample: Stages) -> list[BreakdownRow]:
    """Return all rows of *sample*.

    Rows that are not parts add up to the wall time, and their shares to 100.0 %; the parts of a row add up to it.
    """
    names = ("lm", "condition", "dit", "vae", "save")
    lm, condition, dit, vae, save = (sample.get(name, 0.0) for name in names)
    wall = sample["wall"]
    top = [lm, condition + dit, vae, save, wall - lm - condition - dit - vae - save]
    shares = _tenths(top, wall, 1000)
    rows = [BreakdownRow("LLM Planning (total)", lm, shares[0])]
    if lm:
        parts = [sample.get(name, 0.0) for name in ("lm_tokens", "lm_constrained", "lm_cfg")]
        labels = ("├─ Token generation", "├─ Constrained decoding", "└─ CFG overhead")
        inside = _tenths(parts, wall, shares[0])
        rows += [BreakdownRow(*row, part=True) for row in zip(labels, parts, inside, strict=True)]
    return [
        *rows,
        BreakdownRow("DiT Diffusion (total)", top[1], shares[1]),
        BreakdownRow("├─ Per-step average", sample.get("dit_per_step", 0.0), part=True),
        BreakdownRow("└─ Steps", sample.get("steps", 0.0), part=True, count=True),
        BreakdownRow("VAE Decode", vae, shares[2]),
        BreakdownRow("Audio Save", save, shares[3]),
        BreakdownRow("Other / Overhead", top[4], shares[4]),
        BreakdownRow("Wall Time (total)", wall, 1000),
    ]


def render(samples: Sequence[Stages]) -> str:
    """Return the breakdown of the sample with the median wall time; of several samples, with deviations beside it."""
    middle = sorted(samples, key=lambda sample: sample["wall"])[(len(samples) - 1) // 2]
    columns = zip(*(rows_of({**dict.fromkeys(middle, 0.0), **sample}) for sample in samples), strict=False)
    spreads = {rows[0].label: Spread.of([row.value for row in rows]) for rows in columns}
    several = len(samples) > 1
    title = [(COMPONENT, "Component"), (SECONDS, "Time (s)"), (SHARE, "% of Total")]
    if several:
        title.append((SPREAD, f"± (s, of {len(samples)})"))
    lines = [
        _line(row, f"{spreads[row.label].mad:.2f}" if several and not row.count else "") for row in rows_of(middle)
    ]
    head = ["TIME COSTS BREAKDOWN", "=" * WIDE, at_columns(title), RULE]
    return "\n".join([*head, *lines[:-1], RULE, lines[-1]])


def _line(row: BreakdownRow, spread: str) -> str:
    figure = f"{row.value:.0f}" if row.count else f"{row.value:.2f}"
    share = NONE if row.tenths is None else f"{row.tenths / 10:.1f}%"
    share_at = 53 if row.tenths is None else 57 - len(share)
    cells = [(COMPONENT + 2 * row.part, row.label), (SECONDS, figure), (share_at, share)]
    return at_columns([*cells, (SPREAD, spread)] if spread else cells)


def _tenths(values: Sequence[float], total: float, all_of_them: int) -> list[int]:
    """Return shares of *total* in tenths of a percent that add up to *all_of_them* (largest remainder method)."""
    exact = [1000 * max(0.0, value) / total if total else 0.0 for value in values]
    down = [int(value) for value in exact]
    for index in sorted(range(len(exact)), key=lambda index: down[index] - exact[index])[: all_of_them - sum(down)]:
        down[index] += 1
    return down
