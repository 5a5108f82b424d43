"""Former names of series; asv stores values by name and cannot rename."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_STAGE_TIMES = ("wall", "text_encode", "condition", "code_decode", "dit", "dit_step", "vae", "post", "save", "other")
_CALL_TIMES = ("wall", "lm", "token_generation", "constrained")

_TIMES: Mapping[str, Sequence[str]] = {
    "generate.GenerateMusic": (*_STAGE_TIMES, "lm"),
    "tasks.Types": (*_STAGE_TIMES, "audio_load", "source_encode", "reference_encode"),
    "tasks.FromCodes": _STAGE_TIMES,
    "options.Generate": ("wall", "dit_step", "vae", "transfer"),
    "planner.ChainOfThought": ("wall", "token_generation", "constrained"),
    "planner.CodesPhase": ("wall", "token_generation", "guidance"),
    "planner.Constraint": ("compile", "mask"),
    "apis.Understand": _CALL_TIMES,
    "apis.CreateSample": _CALL_TIMES,
    "apis.FormatSample": _CALL_TIMES,
}
"""Times by class whose series were called `track_<time>` and are called `track_time_<time>`."""

_SHORTFALLS: Mapping[str, str] = {
    "max_duration_lm": "duration_shortfall_lm",
    "max_duration": "duration_shortfall",
    "max_batch_lm": "batch_shortfall_lm",
    "max_batch": "batch_shortfall",
    "lm_choices": "planner_shortfall",
}
"""Limits of a tier by former name, with the shortfall that replaced each; `Series.value` converts the values."""

RENAMED: Mapping[str, str] = {
    **{f"{owner}.track_{time}": f"{owner}.track_time_{time}" for owner, times in _TIMES.items() for time in times},
    **{f"tiers.Resolve.track_{former}": f"tiers.Resolve.track_{name}" for former, name in _SHORTFALLS.items()},
}
"""Present names by former names. A renamed series keeps its version, by which asv knows that stored values are still
comparable."""

_FORMER = {name: former for former, name in RENAMED.items()}


def names_of(benchmark: str) -> tuple[str, ...]:
    """Return the present name of a series, and its former one if it has one."""
    return (benchmark, _FORMER[benchmark]) if benchmark in _FORMER else (benchmark,)
