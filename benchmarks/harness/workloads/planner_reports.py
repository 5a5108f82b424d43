"""What a call of the planner reports about itself, as series and as work."""

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
"""Series and the entry of `time_costs` they come from; what was not done has no series."""


def planner_counts(reported: Mapping[str, Any], error: str | None) -> dict[str, Scalar]:
    """Return the counts of what was done; CellFailed, with *error*, where nothing was."""
    counts = dict(reported.get("counts", {}))
    if not counts.get("forwards"):
        raise CellFailed(error or "the planner reports no calls of its model")
    return counts


def planner_series(reported: Mapping[str, Any], wall_s: float) -> dict[str, float]:
    """Return times in seconds, and the tokens and forwards that they were spent on."""
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
    """Return the metadata and the audio codes that the planner wrote, the codes as a word each."""
    codes = result["audio_codes"]
    numbers = re.findall(r"\d+", codes if isinstance(codes, str) else " ".join(codes))
    return " ".join([json.dumps(result["metadata"], ensure_ascii=False), *numbers])
