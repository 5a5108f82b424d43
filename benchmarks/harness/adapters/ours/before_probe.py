"""Where commits that are older than `acestep.probe` have what its functions do.

`BEFORE_PROBE` has an entry for each function of `acestep.probe`. Benchmarks measure every commit with today's code, so
an entry may be removed only with the history that it serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from typing import Any, Protocol

from benchmarks.harness.adapters.lookup import attribute, find, find_first, require_keywords
from benchmarks.harness.workload import Unsupported


class Entry(Protocol):
    """Where a commit has what a function of `acestep.probe` does."""

    def find(self) -> Any:
        """Return it; raises Unsupported if the commit does not have it."""


@dataclass(frozen=True, init=False)
class At:
    """It is a function or class, in the first of these places that exists."""

    places: tuple[str, ...]

    def __init__(self, *places: str) -> None:
        object.__setattr__(self, "places", places)

    def find(self) -> Any:
        """Return it."""
        return find_first(*self.places)


@dataclass(frozen=True)
class Method:
    """It is a method of the first argument."""

    name: str

    def find(self) -> Any:
        """Return a function that calls the method."""
        return lambda owner, *arguments, **keywords: attribute(owner, self.name)(*arguments, **keywords)


@dataclass(frozen=True)
class Attribute:
    """It is an attribute of the only argument, or of its attribute, and so on."""

    path: str

    def find(self) -> Any:
        """Return a function that reads the attribute."""
        return self._read

    def _read(self, owner: Any) -> Any:
        for name in self.path.split("."):
            owner = attribute(owner, name)
        return owner


@dataclass(frozen=True, init=False)
class Written:
    """It is written below, with the help of what is in each of these places, its first arguments."""

    function: Callable[..., Any]
    places: tuple[At, ...]

    def __init__(self, function: Callable[..., Any], *places: At) -> None:
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "places", places)

    def find(self) -> Any:
        """Return the function with its first arguments."""
        return partial(self.function, *(place.find() for place in self.places))


LOADING_MODULES = (
    "acestep.inference",
    "acestep.handler",
    "acestep.llm_inference",
    "acestep.planner.vocabulary",
    "acestep.planner.grammar",
    "acestep.options",
    "acestep.runtime.load_options",
)
"""The modules that loading models imports, at one commit or another."""


def _preload() -> None:
    for module in LOADING_MODULES:
        with suppress(Unsupported):
            find(module)


def _synthetic_checkpoints(cached: Any, scale: str, *, planners: Sequence[str], variants: Sequence[str]) -> Any:
    if tuple(variants) == ("turbo",):
        return cached(scale)
    require_keywords(cached, "dits")
    return cached(scale, planners=planners, dits=variants)


def _check_backend(choose: Any, name: str, device: str) -> None:
    require_keywords(choose, "device")
    choose(name, device=device)


def _options_in_effect(_options: Any, handler: Any) -> Any:
    return attribute(handler, "in_effect")()


def _cut_lyrics(text: Any, tokens: int) -> Any:
    cut = {name: getattr(text, name)[:, :tokens].contiguous() for name in ("lyrics", "lyrics_mask", "lyric_ids")}
    if cut["lyrics"].shape[1] != tokens:
        raise ValueError(f"the lyrics have {cut['lyrics'].shape[1]} tokens instead of {tokens}")
    return replace(text, **cut)


def _denoiser(handler: Any, condition: Any, context: Any, **guided: bool) -> Any:
    """Return the denoiser of *handler*; where it has none, a call of the transformer, if guidance is not asked about.

    Such a call repeats what a denoiser computes once for all steps, so it is no step of a generation.
    """
    if guided or hasattr(handler, "denoiser"):
        denoiser = attribute(handler, "denoiser")
        require_keywords(denoiser, *guided)
        return denoiser(condition, context, **guided)

    def velocity(latents: Any, times: Any) -> Any:
        return handler.model.decoder(latents, times, times, condition, context, return_dict=False)

    return velocity


def _decode_latents(handler: Any, latents: Any, *, tiled: bool, tile_frames: int | None = None) -> Any:
    """Decode *latents*; a commit that cannot pin the size of tiles chooses it itself."""
    decode = attribute(handler, "decode_latents")
    pinned = {"window_frames": tile_frames} if tile_frames and "window_frames" in signature(decode).parameters else {}
    return decode(latents, tiled=tiled, **pinned)


def _decode_report(handler: Any) -> Any:
    require_keywords(attribute(handler, "decode_latents"), "window_frames")
    decoding = attribute(handler, "decoding")
    return None if decoding is None else decoding.public


def _planner_engine(_engine: Any, handler: Any) -> Any:
    return getattr(getattr(handler, "_planner", None), "engine", None)


def _text_writer(
    request_class: Any,
    sampling_class: Any,
    engine: Any,
    prompt: list[int],
    *,
    tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
) -> Any:
    sampling = sampling_class(temperature=temperature, top_p=top_p)
    request = request_class(
        prompt=prompt, constraint=None, sampling=sampling, seed=seed, limit=tokens, stops=frozenset()
    )

    def write() -> tuple[Any, Any]:
        run = engine.write_text(request)
        return run.tokens, run.forwards

    return write


def _code_writer(
    request_class: Any,
    sampling_class: Any,
    engine: Any,
    prompt: list[int],
    *,
    unconditional: list[int] | None,
    guidance_scale: float,
    codes: int,
    temperature: float,
    top_p: float,
    seeds: Sequence[int],
) -> Any:
    request = request_class(
        prompt=prompt,
        unconditional=unconditional,
        scale=guidance_scale,
        count=codes,
        limit=codes,
        sampling=sampling_class(temperature=temperature, top_p=top_p),
        seeds=seeds,
    )

    def write() -> tuple[Any, Any]:
        run = engine.write_codes(request)
        return run.codes, run.forwards

    return write


def _vocabulary_copy(vocabulary: Any, number: int) -> Any:
    twin = copy(vocabulary)
    twin.grammar_json = vocabulary.grammar_json + " " * number
    return twin


def _control_tokens(vocabulary: Any) -> frozenset[int]:
    return frozenset(vocabulary.controls.values())


def _cot_schema(form: Any, *, caption: bool, language: bool, max_duration_s: int | None = None) -> Any:
    longest = {} if max_duration_s is None else {"max_duration_s": max_duration_s}
    return form.of({}, caption=caption, language=language, **longest)


def _open_shapes(
    open_shapes: Any,
    family_named: Any,
    options_class: Any,
    variant: str,
    *,
    quantization: str | None = None,
    offload: bool = False,
    offload_dit: bool = False,
    scale: str = "full",
) -> Any:
    import torch

    options = options_class("meta", torch.bfloat16, "sdpa", False, quantization, offload, offload_dit)
    return open_shapes(family_named(variant), options, scale)


def _resting_bytes(stored_bytes: Any, models: Any) -> int:
    offloaded = models.residence.offloaded
    resting = [module for name, part in models.parts().items() if name not in offloaded for module in part]
    return sum(stored_bytes(tensor) for module in resting for tensor in (*module.parameters(), *module.buffers()))


def _diffusion(
    sampler_class: Any,
    correction_class: Any,
    guidance_class: Any,
    models: Any,
    *,
    steps: int,
    shift: float,
    guidance_scale: float,
    dcw: tuple[str, float, float],
) -> Any:
    schedule, correction = models.family.schedule(steps, shift), correction_class(*dcw)
    sampler = sampler_class(guidance=guidance_class(guidance_scale)) if models.family.guided else sampler_class()

    def sample(condition: Any, context: Any, seeds: Sequence[int], on_step: Callable[[int, int], None]) -> Any:
        return models.diffuse(condition, context, seeds, schedule, correction, None, on_step, sampler)

    return sample


def _memory_limit_class(memory_limit: Any) -> Any:
    return memory_limit


def _tier_setup(
    setup_class: Any, get_gpu_config: Any, vram_gb: float, *, planner: bool, variant: str = "default"
) -> Any:
    return setup_class.of(get_gpu_config(vram_gb), with_lm=planner).variant(variant)


def _tier_options(planner_gb: Any, setup: Any) -> dict[str, Any]:
    return {
        "quantized": setup.quantized,
        "offload": setup.offload,
        "offload_dit": setup.offload_dit,
        "resident_planner_gb": planner_gb(setup, 1) if setup.planner_stays else 0.0,
    }


def _predict_memory(
    predict: Any, request_class: Any, vram_gb: float, setup: Any, duration_s: float = 30
) -> dict[str, Any]:
    predicted = predict(vram_gb, setup, request_class(duration_s))
    return {
        "peak_gb": predicted.peak_gb,
        "budget_gb": predicted.budget_gb,
        "peak_stage": predicted.peak_stage,
        "fits": predicted.fits(),
    }


_OPTIONS = At("acestep.options:Options", "acestep.runtime.load_options:Options")
_SAMPLING = At("acestep.planner.sampling:Sampling")
_STORED_BYTES = At("acestep.residence:stored_bytes", "acestep.runtime.offload:stored_bytes")
_PREDICT = At("acestep.memory_model:predict", "acestep.memory.predict:predict")

BEFORE_PROBE: Mapping[str, Entry] = {
    # Loading
    "preload": Written(_preload),
    "default_dtype": At("acestep.devices:default_dtype", "acestep.runtime.devices:default_dtype"),
    "synthetic_checkpoints": Written(_synthetic_checkpoints, At("acestep.synthetic:cached")),
    "check_backend": Written(_check_backend, At("acestep.planner.engines:choose")),
    "options_in_effect": Written(_options_in_effect, _OPTIONS),
    "transformer": Attribute("model.decoder"),
    "stored_bytes": _STORED_BYTES,
    # Stages of the synthesizer
    "encode_text": Method("encode_text"),
    "cut_lyrics": Written(_cut_lyrics),
    "encode_condition": Method("encode_condition"),
    "denoiser": Written(_denoiser),
    "decode_latents": Written(_decode_latents),
    "decode_report": Written(_decode_report),
    "encode_audio": Method("encode_audio"),
    "save_audio": At("acestep.audio:save", "acestep.audio.write:save"),
    # The planner
    "planner_engine": Written(_planner_engine, At("acestep.planner.engines.pt:PtEngine")),
    "text_writer": Written(_text_writer, At("acestep.planner.engines.base:TextRequest"), _SAMPLING),
    "code_writer": Written(_code_writer, At("acestep.planner.engines.base:CodesRequest"), _SAMPLING),
    "read_vocabulary": At("acestep.planner.vocabulary:Vocabulary"),
    "vocabulary_copy": Written(_vocabulary_copy),
    "control_tokens": Written(_control_tokens),
    "tokenize": Method("encode_text"),
    "detokenize": Method("decode"),
    "open_grammar": At("acestep.planner.grammar:Grammar"),
    "cot_schema": Written(_cot_schema, At("acestep.planner.grammar:Form")),
    "start_constraint": Method("constraint"),
    "forced_tokens": Method("forced"),
    "allowed_tokens": Method("allowed"),
    "accept_token": Method("accept"),
    "is_complete": Attribute("done"),
    # Generations at the released shapes, without storage
    "open_shapes": Written(
        _open_shapes,
        At("acestep.shapes:open_shapes", "acestep.gpu.meta_models:open_shapes"),
        At("acestep.families:family_named", "acestep.checkpoints.variants:family_named"),
        _OPTIONS,
    ),
    "resting_bytes": Written(_resting_bytes, _STORED_BYTES),
    "moved_bytes": Attribute("residence.transfers.moved_bytes"),
    "encode_text_shapes": At("acestep.shapes:text_states", "acestep.gpu.meta_models:text_states"),
    "diffusion": Written(
        _diffusion,
        At("acestep.diffusion:Sampler", "acestep.sampling.sample:Sampler"),
        At("acestep.diffusion:Correction", "acestep.sampling.sample:Correction"),
        At("acestep.guidance:Guidance", "acestep.sampling.guidance:Guidance"),
    ),
    "fused_attention": At("acestep.shapes:FusedAttention", "acestep.gpu.meta_models:FusedAttention"),
    "memory_limit_class": Written(
        _memory_limit_class, At("acestep.memory:MemoryLimit", "acestep.memory.device:MemoryLimit")
    ),
    "is_out_of_memory": At("acestep.memory:is_out_of_memory", "acestep.memory.device:is_out_of_memory"),
    # Predictions for GPU tiers
    "tier_setup": Written(
        _tier_setup,
        At("acestep.memory_model:Setup", "acestep.memory.predict:Setup"),
        At("acestep.gpu_config:get_gpu_config"),
    ),
    "tier_options": Written(_tier_options, At("acestep.memory_model:planner_gb", "acestep.memory.predict:planner_gb")),
    "predict_memory": Written(
        _predict_memory, _PREDICT, At("acestep.memory_model:Request", "acestep.memory.predict:Request")
    ),
    "largest_batch": At("acestep.memory_model:largest_batch", "acestep.memory.predict:largest_batch"),
    "budget_gb": At("acestep.gpu_memory:budget_gb", "acestep.gpu.probe:budget_gb"),
}
"""An entry for each function of `acestep.probe`, by its name. Second places are those of the commits just before it."""
