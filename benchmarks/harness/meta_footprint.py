"""What each stage of a generation takes up and does at the released shapes: computed by running them without storage.

Bytes of weights and peaks, floating-point operations and operator calls are exact, and the same on every machine.
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
GUIDANCE_SCALE = 7.0
"""Default guidance scale of a generation; it matters to variants that can be guided."""
DCW = ("double", 0.05, 0.02)
"""Default wavelet correction of a generation: mode, scaler and high scaler."""
EXECUTED = 3
"""Steps: the first one, one like those that follow it, and the last one, which has no correction."""


@dataclass(frozen=True)
class FootprintRequest:
    """A generation to be run through.

    `family` is that of the diffusion model, `duration` in seconds; `caption_tokens` and `lyric_tokens` make up the
    condition, with one of timbre. Of the `steps` only `EXECUTED` are run: the others are like the second.
    `beside_bytes` are taken up all the time by what is not run, such as a planner.
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
    beside_bytes: int = 0
    scale: Literal["tiny", "full"] = "full"


@dataclass
class Stage:
    """What a stage needs: `weight_bytes` on the device while it runs, `peak_bytes` with them, and its work."""

    weight_bytes: int
    peak_bytes: int
    flops: int
    operators: int


@dataclass
class Footprint:
    """What was found.

    `resting_bytes` are taken up between stages; `vae_path` says how audio was decoded, `failed` which stage ran out of
    memory, and `reason` how.
    """

    resting_bytes: int = 0
    stages: dict[str, Stage] = field(default_factory=dict)
    vae_path: str = ""
    failed: str = ""
    reason: str = ""

    @property
    def peak_stage(self) -> str:
        """The stage that takes up most."""
        return max(self.stages, key=lambda name: self.stages[name].peak_bytes)

    @property
    def peak_bytes(self) -> int:
        """What it takes up."""
        return self.stages[self.peak_stage].peak_bytes


def footprint(asked: FootprintRequest, limit_bytes: int = UNLIMITED, models: Any = None) -> Footprint:
    """Run every stage of *asked*, on a device of *limit_bytes*; what does not fit ends it.

    *models* are those of `open_models`, if they are there already. Raises Unsupported where the commit cannot run
    without storage.
    """
    import torch

    models = models or open_models(asked)
    run = _Run(models, limit_bytes, asked.beside_bytes)
    with torch.inference_mode():
        _stages(asked, models, run)
    return run.found


def open_models(asked: FootprintRequest) -> Any:
    """Return the models that *asked* needs, without storage, in numbers of 2 bytes."""
    return probe.open_shapes(
        asked.family,
        quantization=asked.quantization,
        offload=asked.offload,
        offload_dit=asked.offload_dit,
        scale=asked.scale,
    )


def _stages(asked: FootprintRequest, models: Any, run: _Run) -> None:
    import torch

    frames = int(LATENT_RATE * asked.duration)
    text = run("text_encode", lambda: probe.encode_text_shapes(models, asked.caption_tokens, asked.lyric_tokens))
    if text is None:
        return
    states = run("condition_encode", lambda: probe.encode_condition(models, text)[0])
    if states is None:
        return
    condition = states.expand(asked.batch, *states.shape[1:])
    context = torch.empty(asked.batch, frames, 2 * LATENT_CHANNELS, device="meta", dtype=models.dtype)
    steps = min(asked.steps, EXECUTED)
    sample = probe.diffusion(models, steps=steps, shift=3.0, guidance_scale=GUIDANCE_SCALE, dcw=DCW)
    seeds = range(asked.batch)
    latents = run("diffusion", lambda: sample(condition, context, seeds, run.mark), held=(states, context))
    if latents is None:
        return
    run.repeat("diffusion", asked.steps - steps)
    run("vae_decode", lambda: probe.decode_latents(models, latents, tiled=True), held=(latents,))
    report = probe.decode_report(models)
    if report is not None:
        tiles = f"{report['path']} {report['window_frames']}"
        run.found.vae_path = "whole" if report["path"] == "whole" else tiles


class _Run:
    """Runs stages one after the other, and notes what each took."""

    def __init__(self, models: Any, limit_bytes: int, beside_bytes: int) -> None:
        self._models, self._limit_bytes = models, limit_bytes
        self._always = probe.resting_bytes(models) + beside_bytes
        self._counted = counting(probe.memory_limit_class())
        self._limit: Any = None
        self._fused: Any = None
        self._marks: list[tuple[int, int]] = []
        self.found = Footprint(self._always)

    def __call__(self, name: str, work: Callable[[], Any], held: tuple[Any, ...] = ()) -> Any:
        """What *work* returns beside tensors *held*; None, with the reason noted, if memory ran out."""
        fused, weights = probe.fused_attention(), self._always
        limit = self._counted(self._limit_bytes, weights + sum(tensor.nbytes for tensor in held), "meta")
        self._limit, self._fused, self._marks = limit, fused, []
        moved = probe.moved_bytes(self._models)
        result = None
        try:
            with fused, limit:
                result = work()
        except Exception as error:
            if not probe.is_out_of_memory(error):
                raise
            self.found.failed, self.found.reason = name, str(error)
        moved = probe.moved_bytes(self._models) - moved
        self.found.stages[name] = Stage(weights + moved, limit.peak_bytes, limit.flops + fused.flops, limit.operators)
        return result

    def mark(self, *_progress: int) -> None:
        """Note the work of the running stage so far: it has made a step."""
        self._marks.append((self._limit.flops + self._fused.flops, self._limit.operators))

    def repeat(self, name: str, times: int) -> None:
        """Count the second step of the stage *name*, which has just run, so many times more."""
        if times > 0:
            (flops, operators), (then_flops, then_operators) = self._marks[:2]
            stage = self.found.stages[name]
            stage.flops += times * (then_flops - flops)
            stage.operators += times * (then_operators - operators)
