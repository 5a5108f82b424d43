"""Series that had other names: asv stores values by name, and knows no renaming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_PIECE = ("wall", "text_encode", "condition", "code_decode", "dit", "dit_step", "vae", "post", "save", "other")
_CALL = ("wall", "lm", "token_generation", "constrained")

_TIMES: Mapping[str, Sequence[str]] = {
    "generate.GenerateMusic": (*_PIECE, "lm"),
    "tasks.Types": (*_PIECE, "audio_load", "source_encode", "reference_encode"),
    "tasks.FromCodes": _PIECE,
    "options.Generate": ("wall", "dit_step", "vae", "transfer"),
    "planner.ChainOfThought": ("wall", "token_generation", "constrained"),
    "planner.CodesPhase": ("wall", "token_generation", "guidance"),
    "planner.Constraint": ("compile", "mask"),
    "apis.Understand": _CALL,
    "apis.CreateSample": _CALL,
    "apis.FormatSample": _CALL,
}
"""Times by class that were called `track_vae` and are called `track_time_vae`, as asv's users expect of a time."""

_SHORTFALLS: Mapping[str, str] = {
    "max_duration_lm": "duration_shortfall_lm",
    "max_duration": "duration_shortfall",
    "max_batch_lm": "batch_shortfall_lm",
    "max_batch": "batch_shortfall",
    "lm_choices": "planner_shortfall",
}
"""What a tier allows, which grew as it got better; its values are converted by `Series.value`."""

RENAMED: Mapping[str, str] = {
    **{f"{owner}.track_{time}": f"{owner}.track_time_{time}" for owner, times in _TIMES.items() for time in times},
    **{f"tiers.Resolve.track_{former}": f"tiers.Resolve.track_{name}" for former, name in _SHORTFALLS.items()},
}
"""The names of today by the former ones. A renamed series keeps its version, by which asv tells whether a stored value
is still comparable."""

_FORMER = {name: former for former, name in RENAMED.items()}


def names_of(benchmark: str) -> tuple[str, ...]:
    """The name of today of a series, and its former one if it has one."""
    return (benchmark, _FORMER[benchmark]) if benchmark in _FORMER else (benchmark,)
