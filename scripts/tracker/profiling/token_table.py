"""The table of ``--llm-debug``: tokens and tokens per second of the planner, by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.harness.record import Record
from scripts.tracker.profiling.text_tables import WIDE, at_columns


def generation_tokens(record: Record) -> str:
    """Return the table of a generation."""
    work: Mapping[str, Any] = record.work
    if not work.get("lm_forwards"):
        return "LLM DEBUG\nThe planner did not run: try --thinking or --use-cot-metas."
    samples = record.samples
    return block(
        prompt=work["lm_prompt_tokens"],
        forwards=work["lm_forwards"],
        phases={
            "chain of thought": (work["lm_cot_tokens"], samples.get("lm_phase1", [0.0])),
            "audio codes": (work["lm_code_tokens"], samples.get("lm_phase2", [0.0])),
        },
    )


def block(prompt: int, forwards: int, phases: Mapping[str, tuple[int, Sequence[float]]]) -> str:
    """Return the table; *phases* holds tokens and seconds of the samples. The last row is the total."""
    lines = ["LLM DEBUG", "=" * WIDE, f"  Prompt tokens: {prompt}, forward passes: {forwards}"]
    lines.append(at_columns([(2, "Phase"), (22, "Tokens"), (32, "Time (s)"), (44, "Tokens/s")]))
    phases = {name: phase for name, phase in phases.items() if phase[0]}
    tokens, seconds = sum(phase[0] for phase in phases.values()), sum(median(phase[1]) for phase in phases.values())
    rows = [(name, count, median(times)) for name, (count, times) in phases.items()]
    for name, count, time_s in [*rows, ("all", tokens, seconds)]:
        rate = f"{count / time_s:.1f}" if time_s else "-"
        lines.append(at_columns([(2, name), (22, str(count)), (32, f"{time_s:.3f}"), (44, rate)]))
    return "\n".join(lines)
