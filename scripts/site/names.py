"""How benchmarks, their parameters and their stages are called on the page."""

from __future__ import annotations

import re

GENERATE = "generate.GenerateMusic.track_"

STAGES = {
    "lm": "LM planner",
    "text_encode": "Text encoding",
    "condition": "Condition encoding",
    "code_decode": "Code decoding",
    "dit": "DiT",
    "vae": "VAE decode",
    "post": "Post-processing",
    "save": "Audio save",
    "other": "Other",
}
"""The disjoint stages of one generation, in the order in which they run; together they are the wall time."""

_METRICS = {
    "wall": "Wall time",
    **STAGES,
    "dit_step": "DiT, one step",
    "s_per_audio_s": "Seconds per audio second",
    "peak_memory": "Peak memory",
    "tokens": "Tokens",
    "fingerprint": "Output fingerprint",
}
_ALONE = {
    "LMPrefill": "lm",
    "LMDecodeStep": "lm",
    "TextEncode": "text_encode",
    "ConditionEncode": "condition",
    "DiTForward": "dit",
    "VAEDecode": "vae",
    "AudioSave": "save",
}
"""The stages that the classes of ``stages`` measure alone."""

_SPELLING = {"lm": "LM", "vae": "VAE", "dit": "DiT"}
OUTPUT_UNIT = "fingerprint"
WORK_UNIT = "tokens"
EXACT_UNITS = (OUTPUT_UNIT, WORK_UNIT)
"""Units that do not jitter: any difference is a change."""


def series_label(benchmark: str) -> str:
    """Name of a series for people: ``generate.GenerateMusic.track_vae`` is ``VAE decode``.

    Other classes are called by their own name and, unless it is plain time, their metric; those of ``stages``
    measure a stage of the generation alone.
    """
    if benchmark.startswith(GENERATE):
        metric = benchmark.removeprefix(GENERATE)
        return _METRICS.get(metric, _words(metric))
    module, _, rest = benchmark.partition(".")
    owner, _, method = rest.rpartition(".")
    metric = method.partition("_")[2] or method
    qualities = ["alone"] * (module == "stages") + [_words(metric, first=False)] * (metric != "time")
    return ", ".join([_words(owner or method), *qualities])


def series_order(benchmark: str) -> tuple[bool, int, str]:
    """Sorts series as a reader expects them: whole generations, wall time and stages first, then the others."""
    metrics = list(_METRICS)
    metric = benchmark.removeprefix(GENERATE)
    return not benchmark.startswith(GENERATE), metrics.index(metric) if metric in metrics else len(metrics), benchmark


def stage_label(benchmark: str) -> str:
    """The stage of the generation that a series measures, or what else its class measures."""
    owner = benchmark.rpartition(".")[0]
    if not benchmark.startswith(GENERATE):
        name = owner.rpartition(".")[2]
        return STAGES[_ALONE[name]] if name in _ALONE else owner_label(owner)
    metric = benchmark.removeprefix(GENERATE)
    return STAGES.get("dit" if metric == "dit_step" else metric, owner_label(owner))


def owner_label(owner: str) -> str:
    """Name of a class of benchmarks, ``module.Class``, for people."""
    if GENERATE.startswith(f"{owner}."):
        return "Whole generation"
    return _words(owner.rpartition(".")[2] or owner)


def _words(name: str, *, first: bool = True) -> str:
    """``VAEDecode`` and ``vae_decode`` both become ``VAE decode``."""
    for spelling in _SPELLING.values():
        name = name.replace(spelling, spelling.capitalize())
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name.replace("_", " ")) or [name]
    spelled = [_SPELLING.get(word.lower(), word.lower()) for word in words]
    if first and spelled[0].islower():
        spelled[0] = spelled[0].capitalize()
    return " ".join(spelled)


def parameter_text(name: str, value: str) -> str:
    """One parameter of a cell for people; *value* is the ``repr`` that asv stores."""
    plain = value.strip("'\"")
    match name:
        case "duration":
            return f"{plain} s"
        case "batch":
            return f"batch {plain}"
        case "thinking":
            return "thinking" if plain == "True" else "no thinking"
        case "steps":
            return f"{plain} steps"
        case _:
            spelled = {"True": "on", "False": "off"}.get(plain, plain)
            return f"{name.replace('_', ' ')} {spelled}"
