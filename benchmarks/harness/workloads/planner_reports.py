"""Series and work of a call of the planner, from what the call reports."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from benchmarks.harness.record import Scalar
from benchmarks.harness.workload import CellFailed

PLANNER_TIME_COSTS = {
    "token_generation": "token_generation_time",
    "constrained": "constrained_decoding_time",
    "guidance": "cfg_time",
}
"""The entry of ``time_costs`` that each series is; a series without an entry is absent."""


def planner_counts(reported: Mapping[str, Any], error: str | None) -> dict[str, Scalar]:
    """Return the reported counts; raises CellFailed with *error* if the model was never called."""
    counts = dict(reported.get("counts", {}))
    if not counts.get("forwards"):
        raise CellFailed(error or "the planner reports no calls of its model")
    return counts


def planner_series(reported: Mapping[str, Any], wall_s: float) -> dict[str, float]:
    """Return the times in seconds, and the numbers of tokens and of forward passes."""
    costs, counts = reported["time_costs"], reported["counts"]
    tokens = float(counts["cot_tokens"] + counts["code_tokens"])
    return {
        "wall": wall_s,
        **{name: float(costs[entry]) for name, entry in PLANNER_TIME_COSTS.items() if costs.get(entry)},
        "s_per_token": wall_s / tokens,
        "tokens": tokens,
        "forwards": float(counts["forwards"]),
    }


def planner_text(result: Mapping[str, Any]) -> str:
    """Return the metadata and the audio codes that the planner wrote as text, with a word for each code."""
    codes = result["audio_codes"]
    numbers = re.findall(r"\d+", codes if isinstance(codes, str) else " ".join(codes))
    return " ".join([json.dumps(result["metadata"], ensure_ascii=False), *numbers])
