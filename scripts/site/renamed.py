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

RENAMED: Mapping[str, str] = {
    f"{owner}.track_{time}": f"{owner}.track_time_{time}" for owner, times in _TIMES.items() for time in times
}
"""The names of today by the former ones. A series keeps its version when it is renamed, so that asv goes on comparing
its values; where numbers before and after are not comparable, the version must be raised, as ever."""

_FORMER = {name: former for former, name in RENAMED.items()}


def names_of(benchmark: str) -> tuple[str, ...]:
    """The name of today of a series, and its former one if it has one."""
    return (benchmark, _FORMER[benchmark]) if benchmark in _FORMER else (benchmark,)
