"""The tables are those of the benchmark guide, to the column."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from acestep.gpu_config import get_gpu_config
from benchmarks.harness.record import Record
from scripts.tracker.profiling.benchmark import HEADER, Result, clip, matrix, table
from scripts.tracker.profiling.breakdown import render, rows_of
from scripts.tracker.profiling.generation import Configuration
from scripts.tracker.profiling.options import parse
from scripts.tracker.profiling.text_tables import at_columns, display_width

BREAKDOWN = """\
TIME COSTS BREAKDOWN
====================================================================================================
  Component                          Time (s)       % of Total
  ─────────────────────────────────────────────────────────────
  LLM Planning (total)               2.91           45.2%
    ├─ Token generation              2.45           38.1%
    ├─ Constrained decoding          0.31            4.8%
    └─ CFG overhead                  0.15            2.3%
  DiT Diffusion (total)              1.89           29.4%
    ├─ Per-step average              0.24            —
    └─ Steps                         8               —
  VAE Decode                         0.52            8.1%
  Audio Save                         0.12            1.9%
  Other / Overhead                   0.99           15.4%
  ─────────────────────────────────────────────────────────────
  Wall Time (total)                  6.43          100.0%"""
SAMPLE = {
    "wall": 6.43,
    "lm": 2.91,
    "lm_tokens": 2.45,
    "lm_constrained": 0.31,
    "lm_cfg": 0.15,
    "condition": 0.05,
    "dit": 1.84,
    "dit_per_step": 0.24,
    "steps": 8.0,
    "vae": 0.52,
    "save": 0.12,
}
MATRIX = """\
Duration   Batch   Think   Steps   Wall(s)    LM(s)      DiT(s)     VAE(s)     Status
--------------------------------------------------------------------------------------------------------------------------
30         1       False   8       3.21       0.45       1.89       0.52       OK
30         1       True    8       5.67       2.91       1.89       0.52       OK
60         2       False   16      12.34      0.48       9.12       1.85       OK"""


def result(duration: float, batch: int, thinking: bool, steps: int, *seconds: list[float] | float) -> Result:
    names = ("wall", "lm", "dit", "vae")
    samples = {name: value if isinstance(value, list) else [value] for name, value in zip(names, seconds, strict=True)}
    asked = Configuration(duration, batch, thinking, steps)
    return Result(asked, Record("benchmark", asked.cell, "ok", samples=samples))


def test_the_breakdown_of_the_guide() -> None:
    assert render([SAMPLE]) == BREAKDOWN


def test_shares_add_up_and_parts_add_up_to_what_they_are_part_of() -> None:
    for lm, vae, tokens in product((0.1, 1.0, 7.77), (0.3, 2.345), (0.05, 0.09)):
        rows = rows_of({"wall": 13.0, "lm": lm, "lm_tokens": tokens, "lm_cfg": lm - tokens, "vae": vae, "dit": 1 / 3})
        shares: dict[str, Any] = {row.label: row.tenths for row in rows}
        parts = [row.tenths for row in rows if row.part and row.tenths is not None]
        assert sum(parts) == shares["LLM Planning (total)"]
        whole = [row.tenths for row in rows[:-1] if not row.part and row.tenths is not None]
        assert sum(whole) == 1000


def test_without_a_planner_its_parts_are_left_out_and_repeats_have_a_spread() -> None:
    text = render([{"wall": 1.0, "dit": 0.5, "steps": 8.0}, {"wall": 1.2, "dit": 0.7}, {"wall": 4.0, "dit": 0.6}])
    assert "Token generation" not in text
    assert "  LLM Planning (total)               0.00            0.0%" in text
    line = next(line for line in text.splitlines() if "DiT Diffusion" in line)
    assert line.split()[-3:] == ["0.70", "58.3%", "0.10"]
    assert "of 3" in text


def test_the_matrix_of_the_guide() -> None:
    rows = [
        result(30, 1, False, 8, 3.21, 0.45, 1.89, 0.52),
        result(30, 1, True, 8, 5.67, 2.91, 1.89, 0.52),
        result(60, 2, False, 16, 12.34, 0.48, 9.12, 1.85),
    ]
    assert table(rows) == MATRIX


def test_a_failed_row_has_no_figures_and_its_reason_stands_below() -> None:
    asked = Configuration(240, 4, True, 16)
    failed = Result(asked, Record("benchmark", asked.cell, "oom", "Out of memory in vae_decode"), "16 became 8")
    text = table([result(30, 1, False, 8, [1.0, 1.1, 1.5], 0.0, 0.5, 0.2), failed])
    lines = text.splitlines()
    assert lines[2].startswith("30         1       False   8       1.10±0.10  0.00       0.50")
    assert lines[3] == "240        4       True    16      -          -          -          -          OOM"
    assert lines[5].startswith("Note: 16 became 8")
    assert lines[6] == "OOM 240 s, batch 4, thinking True, 16 steps: Out of memory in vae_decode"


def test_other_forms_of_the_matrix() -> None:
    rows = [result(30, 1, False, 8, 3.21, 0.45, 1.89, 0.52)]
    assert table(rows, "csv") == ",".join(HEADER) + "\n30,1,False,8,3.21,0.45,1.89,0.52,OK"
    markdown = table(rows, "markdown").splitlines()
    assert markdown[0].startswith("| Duration | Batch |")
    assert markdown[2] == "| 30 | 1 | False | 8 | 3.21 | 0.45 | 1.89 | 0.52 | OK |"


def test_the_default_matrix_and_its_order() -> None:
    cells = matrix(parse(["--mode", "benchmark"], {}))
    expected = product((30.0, 60.0, 120.0, 240.0), (1, 2, 4), (False, True), (8, 16))
    assert cells == [Configuration(*values) for values in expected]
    assert len(cells) == 48
    fewer = matrix(parse("--mode benchmark --duration 30 45 --batch-size 3 --thinking --inference-steps 4".split(), {}))
    assert fewer == [Configuration(30, 3, True, 4), Configuration(45, 3, True, 4)]


@pytest.mark.parametrize(
    ("size", "without", "with_lm"),
    [(4, 8, 0), (6, 8, 0), (7, 16, 16), (8, 24, 16), (12, 24, 24), (16, 24, 24), (20, 24, 24), (24, 24, 24)],
)
def test_what_a_tier_leaves_of_the_matrix(size: float, without: int, with_lm: int) -> None:
    everything = matrix(parse(["--mode", "benchmark"], {}))
    kept, dropped = clip(everything, get_gpu_config(size), limited=True)
    assert sum(not one.thinking for one in kept) == without
    assert sum(one.thinking for one in kept) == with_lm
    assert bool(dropped) == (len(kept) < 48)
    assert clip(everything, get_gpu_config(size), limited=False) == (everything, [])


def test_columns_are_those_of_a_terminal() -> None:
    assert display_width("✅ 分片") == 7
    assert at_columns([(0, "分片"), (6, "x"), (7, "yz")]) == "分片  x yz"
