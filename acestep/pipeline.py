"""One generation, from prompts and source to waveforms: the synthesizer's stages in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from acestep.audio.levels import item_peaks, limit_peak
from acestep.constants import LATENT_CHANNELS, SAMPLE_RATE, TIMBRE_FRAMES
from acestep.memory.limit import outside_limit
from acestep.memory.stage_estimates import StageEstimates
from acestep.runtime.finite_outputs import NonFiniteOutputError, first_nonfinite_stage, is_finite
from acestep.sampling.dcw import DCW
from acestep.sampling.inputs import SamplerInputs
from acestep.sampling.solver import SolverSettings
from acestep.synthesizer import ENCODE_FRAMES, Synthesizer
from acestep.tasks.latents import PreparedLatents, prepare_latents
from acestep.tasks.source import SourceAudio
from acestep.tasks.spec import TaskSpec
from acestep.text.encoder import TextStates
from acestep.timing.clock import Clock
from acestep.timing.stages import StageRunner

Progress = Callable[..., None]
"""Called as ``progress(fraction, desc=text)``."""


@dataclass(frozen=True)
class Request:
    """One checked generation.

    Attributes:
        spec: what to make of what.
        source: what it starts from.
        reference: 30 s of the timbre reference, ``[2, 1440000]``, or None.
        caption: the caption prompt.
        plain_caption: the one of the steps after the cover part.
        lyric: the lyric prompt.
        seeds: one an item.
        retake_seeds: one an item, of the other noise.
        schedule: flow times.
        sampler: how the flow is integrated.
        correction: wavelet correction, or None.
        latent_shift: added to the final latents, after the rescale.
        latent_rescale: multiplies the final latents.
        tiled: decode in windows.
    """

    spec: TaskSpec
    source: SourceAudio
    reference: Tensor | None
    caption: str
    plain_caption: str
    lyric: str
    seeds: list[int]
    retake_seeds: list[int]
    schedule: list[float]
    sampler: SolverSettings
    correction: DCW | None
    latent_shift: float
    latent_rescale: float
    tiled: bool


def generate(models: Synthesizer, request: Request, report: Progress, clock: Clock) -> dict[str, Any]:
    """Run every stage; items of a batch share their prompts, so these are encoded once.

    Returns:
        What `acestep.handler.AceStepHandler.generate_music` returns.

    Raises:
        ValueError: the request contradicts itself or the model.
        RuntimeError: the latents are of no use.
    """
    batch, before, moved = len(request.seeds), _work(clock), replace(models.offload_manager.transfers)
    report(0.51, desc="Preparing inputs...")
    stage, estimates = StageRunner(models, clock), StageEstimates(models)
    with models.offload_manager.hold("text_encoder"), stage("text_encode", "text_encoder", estimates.text_encode()):
        text = models.encode_text([request.caption], [request.lyric])
        plain_text = _plain_text(models, request, text)
    with models.offload_manager.hold("vae_encoder"):
        references = _encode(models, request.reference, "reference_encode", stage, clock)
        encoded = _encode(models, request.source.waveform, "source_encode", stage, clock)
    tokens = text.text.shape[1] + text.lyrics.shape[1] + 1
    with models.offload_manager.hold("condition"):
        with stage("condition_encode", "condition", estimates.condition_encode(tokens + TIMBRE_FRAMES)):
            condition, mask = _condition(models, text, references, batch)
            plain = None if plain_text is None else _condition(models, plain_text, references, batch)[0]
        frames, codes = sum(request.source.frames), sum(map(len, request.source.codes))
        with stage("code_decode", "condition", estimates.prepare_latents(frames, codes)):
            prepared = prepare_latents(models, request.spec, request.source, encoded)
    length = prepared.target.shape[1]
    rows = 2 * batch if request.sampler.guidance else batch
    with stage("diffusion", "decoder", estimates.diffusion(rows, length, tokens)):
        latents = models.diffuse(
            condition,
            prepared.context,
            request.seeds,
            request.schedule,
            request.correction,
            clock,
            lambda step, total: _report_step(report, step, total),
            request.sampler,
            _variation(request, prepared, plain),
        )
        latents = latents * request.latent_rescale + request.latent_shift
        _check_latents(
            latents,
            {
                "text_encode": text.text,
                "text_encode (lyrics)": text.lyrics,
                "reference_encode": references,
                "source_encode": encoded,
                "condition_encode": condition,
                "code_decode": prepared.context,
            },
        )
    report(0.8, desc="Decoding audio...")
    with stage("vae_decode", "vae_decoder", latents.nbytes):
        waveforms = models.decode_latents(latents, request.tiled, announce=lambda text: report(0.8, desc=text))
    with outside_limit(), stage("post_process", "", estimates.post_process(waveforms.nbytes)):
        peaks = item_peaks(waveforms)
        if not is_finite(peaks):
            raise NonFiniteOutputError("Stage vae_decode")
        waveforms = _spliced(limit_peak(waveforms, peaks), request)
    report(0.99, desc="Preparing audio data...")
    outputs = {
        "pred_latents": latents,
        "target_latents": prepared.target,
        "src_latents": prepared.source,
        "latent_masks": torch.arange(length) < torch.tensor(prepared.frames).unsqueeze(1),
        "chunk_masks": prepared.context[..., LATENT_CHANNELS:],
        "encoder_hidden_states": condition,
        "encoder_attention_mask": mask,
        "context_latents": prepared.context,
        "lyric_token_idss": text.lyric_ids.expand(batch, -1),
    }
    work = {name: count - before[name] for name, count in _work(clock).items()}
    return {
        "audios": [{"tensor": waveform, "sample_rate": SAMPLE_RATE} for waveform in waveforms],
        "status_message": "Generation completed successfully.",
        "extra_outputs": {
            **{name: tensor.cpu() for name, tensor in outputs.items()},
            **_seed_values(request),
            "spans": [prepared.span] * batch,
            "counts": {**work, "batch": batch, "latent_frames": length},
            "vae_decode": models.decoding.public if models.decoding else {},
            "transfers": asdict(models.offload_manager.transfers.since(moved)),
            "options": models.in_effect(),
        },
        "success": True,
        "error": None,
    }


def _work(clock: Clock) -> dict[str, int]:
    """What *clock* has counted so far, also in generations before."""
    counted = ("dit_calls", "dit_rows", "encoded_samples")
    return {name: clock.counts[name] for name in counted} | {"steps": len(clock.durations_s.get("dit_step", ()))}


def _encode(models: Synthesizer, waveform: Tensor | None, name: str, stage: StageRunner, clock: Clock) -> Tensor | None:
    """Latents ``[T, 64]`` of *waveform* ``[2, samples]``, if there is one."""
    if waveform is None:
        return None
    with stage(name, "vae_encoder", StageEstimates(models).audio_encode(waveform.shape[1], ENCODE_FRAMES)):
        clock.counts.update(encoded_samples=waveform.shape[1])
        return models.encode_audio(waveform)


def _plain_text(models: Synthesizer, request: Request, text: TextStates) -> TextStates | None:
    """What the steps after the cover part read; None if it never ends."""
    if not request.source.ends_early(request.spec):
        return None
    return models.encode_text([request.plain_caption], [request.lyric], text.text.shape[1])


def _condition(models: Synthesizer, text: TextStates, references: Tensor | None, batch: int) -> tuple[Tensor, Tensor]:
    """Condition sequence and mask of *batch* items that share them."""
    owners = None if references is None else torch.zeros(1, dtype=torch.int64, device=models.device)
    clips = None if references is None else references.unsqueeze(0)
    states, mask = models.encode_condition(text, clips, owners)
    return states.expand(batch, *states.shape[1:]), mask.expand(batch, *mask.shape[1:])


def _variation(request: Request, prepared: PreparedLatents, plain_condition: Tensor | None) -> SamplerInputs:
    spec = request.spec
    plain = None
    if plain_condition is not None and prepared.text2music_context is not None:
        plain = plain_condition, prepared.text2music_context
    return SamplerInputs(
        retake_seeds=request.retake_seeds,
        retake_variance=spec.retake_variance,
        source=prepared.source if request.source.exists else None,
        source_strength=spec.cover_noise_strength,
        plain=plain,
        cover_strength=1.0 if plain is None else spec.audio_cover_strength,
        repaint=prepared.repaint_injection(spec),
    )


def _spliced(waveforms: Tensor, request: Request) -> Tensor:
    """*waveforms* with the source's own samples outside the window, where they are to be kept."""
    source, blend = request.source, request.spec.blend_settings
    if source.region is None or source.waveform is None or not blend.keep_source_waveform:
        return waveforms
    return source.region.splice(waveforms, source.waveform, blend.crossfade_samples)


def _seed_values(request: Request) -> dict[str, Any]:
    values: dict[str, Any] = {"seed_value": ",".join(map(str, request.seeds))}
    if request.spec.retake_variance > 0:
        values["retake_seed_value"] = ",".join(map(str, request.retake_seeds))
        values["retake_variance"] = request.spec.retake_variance
    return values


def _report_step(report: Progress, step: int, total: int) -> None:
    report(0.52 + 0.27 * step / total, desc=f"Diffusion step {step}/{total}")


def _check_latents(latents: Tensor, inputs: Mapping[str, Tensor | None]) -> None:
    """See that *latents* can be decoded; if not, blame the first stage of *inputs* whose output is of no use either."""
    if not torch.isfinite(latents).all():
        raise NonFiniteOutputError(f"Stage {first_nonfinite_stage(inputs) or 'diffusion'}")
    if not latents.any():
        raise RuntimeError("Generation produced zero latents. Check the checkpoint and latent_rescale.")
