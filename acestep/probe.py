"""The stages of one generation as functions, for whoever measures them.

The modules behind these functions may move and be renamed; the functions stay. `PROBE_VERSION` rises when one of them
takes other arguments or returns something else. Importing this module is cheap: a function imports what it needs when
it is called, so call `preload` first where imports must not be timed.

The functions that users call are not repeated here: they are in `acestep.inference`, `acestep.handler`,
`acestep.llm_inference` and `acestep.gpu_config`. Objects that a function returns without a documented attribute are
handles: pass them to the other functions, and read nothing from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.utils._python_dispatch import TorchDispatchMode

    from acestep.handler import AceStepHandler
    from acestep.llm_inference import LLMHandler
    from acestep.memory.predict import ModelSetup
    from acestep.planner.constraint import Constraint
    from acestep.planner.cot_schema import CotSchema
    from acestep.planner.engines import Engine
    from acestep.planner.grammar import Grammar
    from acestep.planner.vocabulary import Vocabulary
    from acestep.synthesizer import Synthesizer
    from acestep.text.encoder import TextStates

PROBE_VERSION: Final = 1
"""Version of the functions below."""

# Loading


def preload() -> None:
    """Import everything that loading models imports, except the engine that the planner then runs on."""
    import acestep.handler
    import acestep.inference
    import acestep.llm_inference
    import acestep.planner.grammar
    import acestep.planner.vocabulary
    import acestep.runtime.load_options  # noqa: F401


def default_dtype(device: str) -> torch.dtype:
    """Return the number format that models compute in on *device* unless another one is asked for."""
    from acestep.runtime import devices

    return devices.default_dtype(device)


def synthetic_checkpoints(
    scale: Literal["tiny", "full"], *, planners: Sequence[Literal["0.6B", "1.7B", "4B"]], variants: Sequence[str]
) -> Path:
    """Return the folder of synthetic checkpoints, which is written when it is asked for the first time.

    Args:
        scale: ``tiny``, or ``full`` for the released shapes, which take gigabytes.
        planners: sizes of the planners.
        variants: variants of the diffusion model, such as ``turbo`` or ``xl-base``.

    Raises:
        ValueError: there is no such variant.
        OSError: the cache folder cannot be written.
    """
    from acestep.synthetic import cached

    return cached(scale, planners, variants)


def check_backend(name: str, device: str) -> None:
    """Check that the planner's backend *name* (``pt``, ``vllm`` or ``mlx``) can run on *device*.

    Raises:
        ValueError: it cannot, and the message says what is missing.
    """
    from acestep.planner.engines import select_backend

    select_backend(name, device=device)


def options_in_effect(handler: AceStepHandler) -> dict[str, Any]:
    """Return what the load options of *handler* have led to.

    The entries are those of ``options`` in the result of a generation: among others ``offloaded`` (names of the parts
    whose weights lie on the host), ``quantized_layers``, ``compiled_graphs`` and ``compiled_calls`` (numbers).
    """
    return handler.in_effect()


def transformer(handler: AceStepHandler) -> nn.Module:
    """Return the diffusion transformer, which is what quantization applies to."""
    module: nn.Module = handler.model.decoder
    return module


def stored_bytes(tensor: Tensor) -> int:
    """Return the bytes that *tensor* occupies; of a tensor subclass such as a quantized one, those of its parts."""
    from acestep.runtime import offload

    return offload.stored_bytes(tensor)


# Stages of the synthesizer


def encode_text(handler: Synthesizer, captions: Sequence[str], lyrics: Sequence[str]) -> TextStates:
    """Tokenize and encode the caption prompts and lyric prompts of a batch; return a handle of their states."""
    return handler.encode_text(captions, lyrics)


def cut_lyrics(text: TextStates, tokens: int) -> TextStates:
    """Return *text* with the first *tokens* tokens of each lyric prompt.

    Raises:
        ValueError: the lyric prompts are shorter.
    """
    from dataclasses import replace

    if text.lyrics.shape[1] < tokens:
        raise ValueError(f"the lyrics have {text.lyrics.shape[1]} tokens instead of {tokens}")
    return replace(
        text,
        lyrics=text.lyrics[:, :tokens].contiguous(),
        lyrics_mask=text.lyrics_mask[:, :tokens].contiguous(),
        lyric_ids=text.lyric_ids[:, :tokens].contiguous(),
    )


def encode_condition(handler: Synthesizer, text: TextStates) -> tuple[Tensor, Tensor]:
    """Return the condition sequence ``(batch, tokens, hidden)`` of *text* and a silent timbre reference, and its mask.

    The mask is ``(batch, tokens)``.
    """
    return handler.encode_condition(text)


def denoiser(
    handler: Synthesizer, condition: Tensor, context: Tensor, *, guided: bool = False
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function that runs the diffusion transformer once; what all steps share is computed here.

    The function takes latents ``(rows, frames, 64)`` and timesteps ``(rows,)`` and returns velocities in the shape of
    the latents. With *guided*, a batch is doubled, and its second half is computed without the condition.

    Args:
        handler: holds the models.
        condition: the condition sequence ``(batch, tokens, hidden)``.
        context: the context latents ``(batch, frames, 128)``.
        guided: whether rows come in pairs for classifier-free guidance.
    """
    return handler.denoiser(condition, context, guided=guided)


def decode_latents(handler: Synthesizer, latents: Tensor, *, tiled: bool, tile_frames: int | None = None) -> Tensor:
    """Decode latents ``(batch, frames, 64)`` to waveforms, float32 ``(batch, 2, 1920 * frames)`` on the CPU.

    Args:
        handler: holds the models.
        latents: on the handler's device.
        tiled: decode tile by tile where the whole does not fit into memory; without it, the whole must fit.
        tile_frames: always decode tile by tile, with this many latent frames a tile.
    """
    return handler.decode_latents(latents, tiled=tiled, window_frames=tile_frames)


def decode_report(handler: Synthesizer) -> Mapping[str, Any] | None:
    """Return how the handler last decoded latents; None before the first time.

    The entries are those of ``vae_decode`` in the result of a generation: ``path`` (``whole``, ``tiled`` or ``cpu``),
    ``items`` and ``window_frames`` (pieces and latent frames that were decoded together) and ``extra_work`` (latent
    frames that were decoded more than once, as a share of all).
    """
    return None if handler.decoding is None else handler.decoding.public


def encode_audio(handler: Synthesizer, waveform: Tensor) -> Tensor:
    """Encode a waveform ``(2, samples)`` at 48 kHz to latents ``(samples // 1920, 64)``."""
    return handler.encode_audio(waveform)


def save_audio(waveform: Tensor, path: Path, audio_format: str) -> None:
    """Write a waveform ``(2, samples)`` at 48 kHz to *path*; ``wav32`` is 32-bit float, the only format not clipped."""
    from acestep.audio.write import save

    save(waveform, path, audio_format)


# The planner


def planner_engine(handler: LLMHandler) -> Engine | None:
    """Return the handle of the engine that runs the loaded planner; None if no planner is loaded."""
    return None if handler._planner is None else handler._planner.engine


def text_writer(
    engine: Engine, prompt: list[int], *, tokens: int, temperature: float, top_p: float, seed: int
) -> Callable[[], tuple[list[int], int]]:
    """Return a function that continues *prompt* with *tokens* tokens of any kind, without a grammar.

    The function returns their ids and the number of forward passes.
    """
    from acestep.planner.engines.base import TextRequest
    from acestep.planner.sampling import Sampling

    sampling = Sampling(temperature=temperature, top_p=top_p)
    request = TextRequest(prompt, None, sampling, seed, limit=tokens, stops=frozenset())

    def write() -> tuple[list[int], int]:
        run = engine.write_text(request)
        return run.tokens, run.forwards

    return write


def code_writer(
    engine: Engine,
    prompt: list[int],
    *,
    unconditional: list[int] | None,
    guidance_scale: float,
    codes: int,
    temperature: float,
    top_p: float,
    seeds: Sequence[int],
) -> Callable[[], tuple[list[list[int]], int]]:
    """Return a function that continues *prompt* with audio codes, once for each seed.

    The function returns the codes of each sample and the number of forward passes.

    Args:
        engine: the planner's engine.
        prompt: token ids.
        unconditional: token ids of the unconditional prompt; None without guidance.
        guidance_scale: strength of classifier-free guidance.
        codes: number of codes of each sample.
        temperature: divides the logits.
        top_p: share of the probability that nucleus sampling keeps.
        seeds: the seed of each sample.
    """
    from acestep.planner.engines.base import CodesRequest
    from acestep.planner.sampling import Sampling

    sampling = Sampling(temperature=temperature, top_p=top_p)
    request = CodesRequest(prompt, unconditional, guidance_scale, codes, codes, sampling, seeds)

    def write() -> tuple[list[list[int]], int]:
        run = engine.write_codes(request)
        return run.codes, run.forwards

    return write


def read_vocabulary(folder: Path) -> Vocabulary:
    """Read the tokenizer of the planner in *folder*; return its handle.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    from acestep.planner.vocabulary import Vocabulary

    return Vocabulary(folder)


def vocabulary_copy(vocabulary: Vocabulary, number: int) -> Vocabulary:
    """Return a copy of *vocabulary* that `open_grammar` has to compile anew, unless it was made for *number* before."""
    from copy import copy

    twin = copy(vocabulary)
    twin.grammar_json = vocabulary.grammar_json + " " * number
    return twin


def control_tokens(vocabulary: Vocabulary) -> frozenset[int]:
    """Return the ids of the control tokens."""
    return vocabulary.control_ids


def tokenize(vocabulary: Vocabulary, text: str) -> list[int]:
    """Return the token ids of *text*, in which nothing is a control token."""
    return vocabulary.encode_text(text)


def detokenize(vocabulary: Vocabulary, tokens: Sequence[int]) -> str:
    """Return the text of *tokens*, control tokens included."""
    return vocabulary.decode(tokens)


def open_grammar(vocabulary: Vocabulary) -> Grammar:
    """Compile the tokenizer for constrained decoding, or find it compiled; return the handle."""
    from acestep.planner.grammar import Grammar

    return Grammar(vocabulary)


def cot_schema(*, caption: bool, language: bool, max_duration_s: int | None = None) -> CotSchema:
    """Return the schema of a chain of thought for a request that leaves all metadata to the planner.

    Args:
        caption: whether the chain of thought has a caption.
        language: whether it has a language.
        max_duration_s: longest duration that it may name; None is the planner's own limit.
    """
    from acestep.planner.cot_schema import CotSchema

    longest = {} if max_duration_s is None else {"max_duration_s": max_duration_s}
    return CotSchema.for_phase1({}, caption=caption, language=language, **longest)


def start_constraint(grammar: Grammar, schema: CotSchema) -> Constraint:
    """Compile *schema*, or find it compiled; return the handle of a constraint at the beginning of an output."""
    return grammar.constraint(schema)


def forced_tokens(constraint: Constraint) -> list[int]:
    """Return the tokens that must follow, and go on behind them."""
    return constraint.forced()


def allowed_tokens(constraint: Constraint) -> NDArray[np.bool_]:
    """Return whether each token may follow, ``(vocabulary,)``."""
    return constraint.allowed()


def accept_token(constraint: Constraint, token: int) -> None:
    """Go on behind *token*, which must be an allowed one."""
    constraint.accept(token)


def is_complete(constraint: Constraint) -> bool:
    """Return whether the output is complete, so that nothing may follow."""
    return constraint.done


# Generations at the released shapes, without storage


def open_shapes(
    variant: str,
    *,
    quantization: str | None = None,
    offload: bool = False,
    offload_dit: bool = False,
    scale: Literal["tiny", "full"] = "full",
) -> Synthesizer:
    """Return a handler in bfloat16 on the device ``meta``: its stages run, but compute and store nothing.

    The stages `encode_condition` and `decode_latents` take it; the text encoder's is `encode_text_shapes`, and the
    diffusion's `diffusion`. It has the attribute ``dtype``.

    Args:
        variant: variant of the diffusion model, such as ``turbo`` or ``xl-base``.
        quantization: as in `AceStepHandler.initialize_service`.
        offload: whether text encoder and VAE lie on the host between uses.
        offload_dit: whether the diffusion model does.
        scale: ``full`` for the released shapes, ``tiny`` for those of the tiny checkpoints.

    Raises:
        ValueError: there is no such variant or quantization.
    """
    import torch

    from acestep.checkpoints.variants import variant_named
    from acestep.gpu import meta_models
    from acestep.runtime.load_options import LoadOptions

    options = LoadOptions("meta", torch.bfloat16, "sdpa", False, quantization, offload, offload_dit)
    return meta_models.build_meta_models(variant_named(variant), options, scale)


def resting_bytes(models: Synthesizer) -> int:
    """Return the bytes of the weights that are on the device between stages."""
    offloaded = models.offload_manager.offloaded
    resting = [module for name, part in models.parts().items() if name not in offloaded for module in part]
    return sum(stored_bytes(tensor) for module in resting for tensor in (*module.parameters(), *module.buffers()))


def moved_bytes(models: Synthesizer) -> int:
    """Return the bytes of weights that were moved to the device so far, each time that a part was used."""
    return models.offload_manager.transfers.moved_bytes


def encode_text_shapes(models: Synthesizer, caption_tokens: int, lyric_tokens: int) -> TextStates:
    """Run the text encoder of `open_shapes` on one caption and one lyric prompt of this many tokens."""
    from acestep.gpu.meta_models import meta_text_states

    return meta_text_states(models, caption_tokens, lyric_tokens)


def diffusion(
    models: Synthesizer, *, steps: int, shift: float, guidance_scale: float, dcw: tuple[str, float, float]
) -> Callable[[Tensor, Tensor, Sequence[int], Callable[[int, int], None]], Tensor]:
    """Return a function that samples latents ``(batch, frames, 64)`` with the Euler solver.

    The function takes the condition sequence ``(batch, tokens, hidden)``, the context latents ``(batch, frames, 128)``,
    the seed of each piece, and a function that it calls after each step with its number and that of all steps.

    Args:
        models: holds the models.
        steps: number of steps.
        shift: of the schedule of timesteps.
        guidance_scale: strength of the guidance, of a variant that can be guided.
        dcw: mode, scaler and high scaler of the wavelet correction.
    """
    from acestep.sampling.dcw import DCW
    from acestep.sampling.guidance import Guidance
    from acestep.sampling.solver import SolverSettings

    assert models.variant is not None
    sampler = SolverSettings(guidance=Guidance(guidance_scale)) if models.variant.guided else SolverSettings()
    schedule, correction = models.variant.schedule(steps, shift), DCW(*dcw)

    def sample(condition: Tensor, context: Tensor, seeds: Sequence[int], on_step: Callable[[int, int], None]) -> Tensor:
        return models.diffuse(condition, context, seeds, schedule, correction, None, on_step, sampler)

    return sample


def fused_attention() -> Any:
    """Return a context in which attention on ``meta`` allocates its output alone, as a fused kernel does.

    Its attribute ``flops`` counts the floating-point operations of attention, two for each product of two numbers.
    """
    from acestep.gpu.meta_models import FusedAttention

    return FusedAttention()


def memory_limit_class() -> type[TorchDispatchMode]:
    """Return the class of contexts that limit and count the memory of a device.

    It is called with the bytes of the device, the bytes that are in use already, and the kind of device, such as
    ``meta``. Its attribute ``peak_bytes`` is the most that was in use at once. What does not fit raises an error that
    `is_out_of_memory` recognizes.
    """
    from acestep.memory.limit import MemoryLimit

    return MemoryLimit


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether *error* says that memory ran out."""
    from acestep.memory import device

    return device.is_out_of_memory(error)


# Predictions for GPU tiers, in GiB


class MemoryPrediction(TypedDict):
    """Predicted memory of a generation on a GPU."""

    peak_gb: float
    """Peak of the stage that needs the most."""
    budget_gb: float
    """Memory that is available to the package."""
    peak_stage: str
    """Name of the stage that needs the most."""
    fits: bool
    """Whether the peak is within the budget."""


class TierOptions(TypedDict):
    """How a GPU tier loads its models."""

    quantized: bool
    offload: bool
    offload_dit: bool
    resident_planner_gb: float
    """Memory of the planner for one piece while other stages run; 0 if it is offloaded or there is none."""


def tier_setup(
    vram_gb: float, *, planner: bool, variant: Literal["default", "no-quant", "no-offload"] = "default"
) -> ModelSetup:
    """Return a handle of how the tier of a GPU of *vram_gb* loads its models.

    Args:
        vram_gb: size of the GPU.
        planner: whether the tier's planner is loaded, too.
        variant: ``default``; ``no-quant`` without quantization; ``no-offload`` without offloading either.
    """
    from acestep.gpu_config import get_gpu_config
    from acestep.memory.predict import ModelSetup

    return ModelSetup.from_config(get_gpu_config(vram_gb), with_lm=planner).variant(variant)


def tier_options(setup: ModelSetup) -> TierOptions:
    """Return what *setup* loads."""
    from acestep.memory.predict import planner_gb

    return {
        "quantized": setup.quantized,
        "offload": setup.offload,
        "offload_dit": setup.offload_dit,
        "resident_planner_gb": planner_gb(setup, 1) if setup.planner_stays else 0.0,
    }


def predict_memory(vram_gb: float, setup: ModelSetup, duration_s: float = 30) -> MemoryPrediction:
    """Predict the memory of generating one piece of *duration_s* seconds on a GPU of *vram_gb*."""
    from acestep.memory.predict import predict
    from acestep.memory.stage_estimates import GenerationShape

    predicted = predict(vram_gb, setup, GenerationShape(duration_s))
    return {
        "peak_gb": predicted.peak_gb,
        "budget_gb": predicted.budget_gb,
        "peak_stage": predicted.peak_stage,
        "fits": predicted.fits(),
    }


def largest_batch(vram_gb: float, setup: ModelSetup) -> int:
    """Return the largest batch of 1, 2, 4 and 8 pieces of 30 seconds that is predicted to fit; 0 if none does."""
    from acestep.memory import predict

    return predict.largest_batch(vram_gb, setup)


def budget_gb(vram_gb: float) -> float:
    """Return the memory that a GPU of *vram_gb* leaves to the package, without the driver's own."""
    from acestep.gpu import probe

    return probe.budget_gb(vram_gb)
