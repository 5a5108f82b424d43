"""Labels of benchmarks, their parameters and their stages for people."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
"""Labels of the stages of one generation, in the order in which they run; their times add up to the wall time."""

_METRICS = {
    "wall": "Wall time",
    **STAGES,
    "dit_step": "DiT, one step",
    "s_per_audio_s": "Seconds per audio second",
    "peak_memory": "Peak memory",
    "tokens": "Tokens",
    "forwards": "Planner forwards",
    "fingerprint": "Output fingerprint",
    "operators": "Operator calls",
    "flop": "Floating-point operations",
    "allocated_bytes": "Bytes allocated",
    "distance": "Distance to the reference",
}
_ALONE = {
    "TextEncode": "text_encode",
    "ConditionEncode": "condition",
    "DiTForward": "dit",
    "DiTStep": "dit",
    "VAEDecode": "vae",
    "VAEWindows": "vae",
    "AudioSave": "save",
}
"""For classes of the module ``stages``, the stage that each measures alone."""
_APIS = {"Understand": "understand_music", "CreateSample": "create_sample", "FormatSample": "format_sample"}
"""For classes of the module ``apis``, the function that each calls."""
_OWNERS = {
    "generate.GenerateMusic": "Whole generation",
    "tasks.Types": "Task",
    "tasks.FromCodes": "Task from audio codes",
    "options.Generate": "Options",
    "footprint.Shapes": "Released shapes",
    "tiers.Resolve": "Tier",
    "tiers.Estimators": "Estimate",
    "tiers.MemoryModel": "Predicted",
    "tiers.Boundary": "Tier boundary",
    "tiers.BatchBoundary": "Batch boundary",
    "tiers.Run": "Tier at released shapes",
}
"""Labels of classes whose name is not enough."""
_QUALITIES = {
    "wall": "wall time",
    "lm": "planner",
    "audio_load": "reading audio",
    "source_encode": "encoding the source",
    "reference_encode": "encoding the reference",
    "text_encode": "text encoding",
    "condition": "condition encoding",
    "code_decode": "code decoding",
    "dit_step": "DiT, one step",
    "vae": "VAE decode",
    "post": "post-processing",
    "save": "audio save",
    "s_per_audio_s": "seconds per audio second",
    "fingerprint": "output fingerprint",
    "operators": "operator calls",
    "flop": "floating-point operations",
    "allocated_bytes": "bytes allocated",
    "distance": "distance to the reference",
    "transfer": "moving weights",
    "transfers": "times that weights are moved",
    "transfer_bytes": "bytes of moved weights",
    "weight_bytes": "bytes of DiT weights",
    "plain_layers": "layers not quantized",
    "graphs": "compiled graphs",
    "extra_work": "share decoded again",
    "token_generation": "model and sampling",
    "constrained": "grammar and masks",
    "s_per_token": "seconds per token",
    "chosen_share": "share of chosen tokens",
    "mask": "mask, per chosen token",
    "tier_index": "index of the tier",
    "duration_shortfall_lm": "longest audio with a planner, short of 600 s",
    "duration_shortfall": "longest audio, short of 600 s",
    "batch_shortfall_lm": "largest batch with a planner, short of 8",
    "batch_shortfall": "largest batch, short of 8",
    "planner_shortfall": "planners not listed",
    "over_budget": "beyond what there is",
    "misfits": "does not fit",
    "too_large": "allowed, but too large",
    "unused": "fits, but is not allowed",
    "min_gb_default": "least size, as tiers load",
    "min_gb_no_quant": "least size without quantization",
    "min_gb_no_offload": "least size without offload",
}
"""Labels of metrics of other classes whose name is not enough."""

GROUPS = {
    "generate": "Whole generation",
    "tasks": "Tasks",
    "options": "Options",
    "stages": "Stages alone",
    "planner": "Planner",
    "apis": "APIs",
    "footprint": "Released shapes",
    "tiers": "GPU tiers",
    "startup": "Start-up",
}
"""Labels of the modules of benchmarks, in the order of the page."""

_GENERATIONS = ("generate", "tasks", "options")
"""Modules whose series are the stages of whole generations."""
_SPELLING = {"lm": "LM", "vae": "VAE", "dit": "DiT"}


def metric_of(benchmark: str) -> str:
    """Return the metric of a benchmark: ``vae`` for ``x.Y.track_time_vae``, ``time`` for ``x.Y.track_time``."""
    return benchmark.rpartition(".")[2].removeprefix("track_").removeprefix("time_")


def series_label(benchmark: str) -> str:
    """Return the label of a series: ``VAE decode`` for ``generate.GenerateMusic.track_time_vae``.

    Series of other classes have the label of the class and, unless it is plain time, of the metric. Those of ``stages``
    are marked as measured alone; those of ``apis`` have the name of the function.
    """
    metric = metric_of(benchmark)
    if benchmark.startswith(GENERATE):
        return _METRICS.get(metric, _words(metric))
    module, _, rest = benchmark.partition(".")
    owner, _, method = rest.rpartition(".")
    qualities = ["alone"] * (module == "stages")
    if metric != "time":
        qualities.append(_QUALITIES.get(metric, _words(metric, first=False)))
    return ", ".join([owner_label(f"{module}.{owner or method}"), *qualities])


def series_order(benchmark: str) -> tuple[int, int, str]:
    """Return a sort key: by `GROUPS`, then whole generations in the order of their metrics, then by name."""
    metrics = list(_METRICS) if benchmark.startswith(GENERATE) else []
    metric = metric_of(benchmark)
    modules = list(GROUPS)
    module = benchmark.partition(".")[0]
    place = modules.index(module) if module in modules else len(modules)
    return place, metrics.index(metric) if metric in metrics else len(metrics), benchmark


def stage_label(benchmark: str) -> str:
    """Return the label of the stage that a series measures; of its class if that is not a stage."""
    owner = benchmark.rpartition(".")[0]
    module, _, name = owner.partition(".")
    if module == "planner":
        return STAGES["lm"]
    if module == "apis":
        return GROUPS[module]
    if module not in _GENERATIONS:
        return STAGES[_ALONE[name]] if name in _ALONE else owner_label(owner)
    metric = metric_of(benchmark)
    return STAGES.get("dit" if metric == "dit_step" else metric, GROUPS[module])


def owner_label(owner: str) -> str:
    """Return the label of a class of benchmarks, ``module.Class``."""
    if owner in _OWNERS:
        return _OWNERS[owner]
    module, _, name = owner.rpartition(".")
    if module == "planner":
        return f"Planner: {_words(name, first=False)}"
    return _APIS.get(name, _words(name)) if module == "apis" else _words(name)


def group_label(benchmark: str) -> str:
    """Return the label of the group that a series belongs to, one of `GROUPS` if its module is known."""
    module = benchmark.partition(".")[0]
    return GROUPS.get(module, _words(module))


def _words(name: str, *, first: bool = True) -> str:
    """Return *name* as words: ``VAEDecode`` and ``vae_decode`` both become ``VAE decode``."""
    for spelling in _SPELLING.values():
        name = name.replace(spelling, spelling.capitalize())
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name.replace("_", " ")) or [name]
    spelled = [_SPELLING.get(word.lower(), word.lower()) for word in words]
    if first and spelled[0].islower():
        spelled[0] = spelled[0].capitalize()
    return " ".join(spelled)


def parameter_text(name: str, value: str) -> str:
    """Return the text of one parameter of a cell; *value* is the ``repr`` that asv stores."""
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
        case "engine" | "phase" | "task" | "family" | "loaded" | "variant" | "dit":
            return plain
        case "reference":
            return "with reference" if plain == "True" else "no reference"
        case "offload":
            return {"none": "no offload", "models": "encoder and VAE offloaded"}.get(plain, f"{plain} offloaded")
        case "quantization":
            return "not quantized" if plain == "none" else plain
        case "compile":
            return "compiled" if plain == "True" else "not compiled"
        case "window":
            return "whole" if plain == "0" else f"windows of {plain} frames"
        case "prompt_tokens":
            return f"prompt of {plain} tokens"
        case "codes_s":
            return f"codes of {plain} s"
        case "lyric_lines":
            return f"{plain} lines of lyrics"
        case "vram_gb":
            return f"{plain} GB"
        case "lm":
            return {"none": "no planner", "tier": "the tier's planner"}.get(plain, f"planner {plain}")
        case "new":
            return "nothing new" if plain == "nothing" else f"new {plain}"
        case _:
            spelled = {"True": "on", "False": "off"}.get(plain, plain)
            return f"{name.replace('_', ' ')} {spelled}"


def cell_text(cell: Iterable[tuple[str, str]]) -> str:
    """Return the parameters of a cell, (name, ``repr``) pairs, on one line; "" without parameters."""
    return " · ".join(parameter_text(name, value) for name, value in cell)
