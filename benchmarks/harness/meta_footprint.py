"""Memory and work of each stage of a generation at the released shapes, found by running the stages on ``meta``.

Tensors on the device ``meta`` have shapes and no storage, so nothing is computed. Bytes of weights, peak bytes,
floating-point operations and operator calls are exact and equal on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.harness.adapters import probe
from benchmarks.harness.operators import counting
from benchmarks.harness.workloads.synthesizer import LATENT_CHANNELS, LATENT_RATE

CAPTION_TOKENS = 96
LYRIC_TOKENS = 416
UNLIMITED = 1 << 62
"""Memory of a device, in bytes, on which everything fits."""
GUIDANCE_SCALE = 7.0
"""Default guidance scale of a generation; only variants that can be guided use it."""
DCW = ("double", 0.05, 0.02)
"""Default wavelet correction of a generation: mode, scaler and high scaler."""
EXECUTED = 3
"""Number of steps that are run: the first, one that stands for all later ones, and the last, which is not corrected."""


@dataclass(frozen=True)
class FootprintRequest:
    """The generation whose footprint is wanted.

    Attributes:
        family: variant of the diffusion model.
        duration: seconds of audio.
        batch: number of pieces.
        steps: number of steps, of which `EXECUTED` are run.
        quantization: as in `AceStepHandler.initialize_service`.
        offload: whether text encoder and VAE are offloaded between uses.
        offload_dit: whether the diffusion model is.
        caption_tokens: tokens of the caption prompt.
        lyric_tokens: tokens of the lyric prompt; with those of the caption and one of timbre they are the condition.
        resident_bytes: memory that models which are not run, such as a planner, take all the time.
        scale: ``full`` for the released shapes, ``tiny`` for those of the tiny checkpoints.
    """

    family: str = "turbo"
    duration: float = 30
    batch: int = 1
    steps: int = 8
    quantization: str | None = None
    offload: bool = False
    offload_dit: bool = False
    caption_tokens: int = CAPTION_TOKENS
    lyric_tokens: int = LYRIC_TOKENS
    resident_bytes: int = 0
    scale: Literal["tiny", "full"] = "full"


@dataclass
class StageFootprint:
    """Memory and work of one stage.

    Attributes:
        weight_bytes: weights that are on the device while the stage runs.
        peak_bytes: peak of weights and activations together.
        flops: floating-point operations.
        operators: operator calls.
    """

    weight_bytes: int
    peak_bytes: int
    flops: int
    operators: int


@dataclass
class Footprint:
    """Memory and work of a generation.

    Attributes:
        resting_bytes: memory that is in use between stages.
        stages: the stages that were run, by name, in order.
        vae_path: how the VAE decoded: ``whole``, or the path and the latent frames of a tile.
        failed: the stage that ran out of memory, or "".
        reason: the message of its error, or "".
    """

    resting_bytes: int = 0
    stages: dict[str, StageFootprint] = field(default_factory=dict)
    vae_path: str = ""
    failed: str = ""
    reason: str = ""

    @property
    def peak_stage(self) -> str:
        """Name of the stage with the highest peak."""
        return max(self.stages, key=lambda name: self.stages[name].peak_bytes)

    @property
    def peak_bytes(self) -> int:
        """The highest peak of all stages."""
        return self.stages[self.peak_stage].peak_bytes


def footprint(request: FootprintRequest, limit_bytes: int = UNLIMITED, models: Any = None) -> Footprint:
    """Run the stages of *request* on a device with *limit_bytes* of memory; stop at a stage that does not fit.

    *models* are those that `open_models` returns for *request*; None opens them. Raises Unsupported if the commit
    cannot run on ``meta``.
    """
    import torch

    models = models or open_models(request)
    run = _Run(models, limit_bytes, request.resident_bytes)
    with torch.inference_mode():
        _run_stages(request, models, run)
    return run.footprint


def open_models(request: FootprintRequest) -> Any:
    """Return the models of *request* on ``meta``, in bfloat16."""
    return probe.open_shapes(
        request.family,
        quantization=request.quantization,
        offload=request.offload,
        offload_dit=request.offload_dit,
        scale=request.scale,
    )


def _run_stages(request: FootprintRequest, models: Any, run: _Run) -> None:
    import torch

    frames = int(LATENT_RATE * request.duration)
    text = run("text_encode", lambda: probe.encode_text_shapes(models, request.caption_tokens, request.lyric_tokens))
    if text is None:
        return
    states = run("condition_encode", lambda: probe.encode_condition(models, text)[0])
    if states is None:
        return
    condition = states.expand(request.batch, *states.shape[1:])
    context = torch.empty(request.batch, frames, 2 * LATENT_CHANNELS, device="meta", dtype=models.dtype)
    steps = min(request.steps, EXECUTED)
    sample = probe.diffusion(models, steps=steps, shift=3.0, guidance_scale=GUIDANCE_SCALE, dcw=DCW)
    seeds = range(request.batch)
    latents = run("diffusion", lambda: sample(condition, context, seeds, run.end_step), held=(states, context))
    if latents is None:
        return
    run.repeat("diffusion", request.steps - steps)
    run("vae_decode", lambda: probe.decode_latents(models, latents, tiled=True), held=(latents,))
    report = probe.decode_report(models)
    if report is not None:
        tiles = f"{report['path']} {report['window_frames']}"
        run.footprint.vae_path = "whole" if report["path"] == "whole" else tiles


class _Run:
    """Runs stages one after the other and adds them to `footprint`."""

    def __init__(self, models: Any, limit_bytes: int, resident_bytes: int) -> None:
        self._models, self._limit_bytes = models, limit_bytes
        self._resting_bytes = probe.resting_bytes(models) + resident_bytes
        self._counted = counting(probe.memory_limit_class())
        self._limit: Any = None
        self._fused: Any = None
        self._step_ends: list[tuple[int, int]] = []
        self.footprint = Footprint(self._resting_bytes)

    def __call__(self, name: str, work: Callable[[], Any], held: tuple[Any, ...] = ()) -> Any:
        """Run the stage *name*, while the tensors *held* are in memory, too.

        Returns what *work* returns, or None if memory ran out.
        """
        fused, weights = probe.fused_attention(), self._resting_bytes
        limit = self._counted(self._limit_bytes, weights + sum(tensor.nbytes for tensor in held), "meta")
        self._limit, self._fused, self._step_ends = limit, fused, []
        moved = probe.moved_bytes(self._models)
        result = None
        try:
            with fused, limit:
                result = work()
        except Exception as error:
            if not probe.is_out_of_memory(error):
                raise
            self.footprint.failed, self.footprint.reason = name, str(error)
        moved = probe.moved_bytes(self._models) - moved
        self.footprint.stages[name] = StageFootprint(
            weights + moved, limit.peak_bytes, limit.flops + fused.flops, limit.operators
        )
        return result

    def end_step(self, *_progress: int) -> None:
        """Record the work of the running stage at the end of a step."""
        self._step_ends.append((self._limit.flops + self._fused.flops, self._limit.operators))

    def repeat(self, name: str, times: int) -> None:
        """Add the work of the second step of the stage *name*, the last one that ran, *times* more."""
        if times > 0:
            (flops, operators), (next_flops, next_operators) = self._step_ends[:2]
            stage = self.footprint.stages[name]
            stage.flops += times * (next_flops - flops)
            stage.operators += times * (next_operators - operators)
