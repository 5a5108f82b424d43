"""One generation, from prompts and source to waveforms: the synthesizer's stages in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from acestep.audio.levels import item_peaks, limit_peak
from acestep.constants import LATENT_CHANNELS, SAMPLE_RATE, TIMBRE_FRAMES
from acestep.memory.limit import outside_limit
from acestep.memory.stage_estimates import StageEstimates
from acestep.progress import ProgressCallback
from acestep.request import GenerationRequest
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
from acestep.vae.decode import DecodeReport


@dataclass(frozen=True)
class ResolvedRequest:
    """A checked request with what follows from it: audio files read, prompts made, seeds drawn, schedule computed.

    Attributes:
        request: the request.
        source: the source of the task.
        reference: the timbre reference, ``[2, 1440000]`` (30 s), or None.
        caption: the caption prompt.
        text2music_caption: the caption prompt of the last steps if they run without the source.
        lyric: the lyric prompt.
        seeds: the seed of each item.
        retake_seeds: the seed of each item's retake noise.
        schedule: flow times of the steps.
        sampler: the solver and the guidance.
        correction: the DCW correction of each step, or None.
    """

    request: GenerationRequest
    source: SourceAudio
    reference: Tensor | None
    caption: str
    text2music_caption: str
    lyric: str
    seeds: list[int]
    retake_seeds: list[int]
    schedule: list[float]
    sampler: SolverSettings
    correction: DCW | None

    @property
    def spec(self) -> TaskSpec:
        """The task of the request."""
        return TaskSpec(self.request)

    @property
    def batch(self) -> int:
        """The number of items."""
        return len(self.seeds)


def generate(
    synthesizer: Synthesizer, resolved: ResolvedRequest, progress: ProgressCallback, clock: Clock
) -> dict[str, Any]:
    """Run every stage. The items of a batch share their prompts and their source, which are encoded once.

    Returns:
        What `acestep.handler.AceStepHandler.generate_music` returns.

    Raises:
        ValueError: the request contradicts itself or the model.
        RuntimeError: a stage ran out of memory, or its output is not finite or all zero.
    """
    counts_before, transfers = _counts(clock), synthesizer.offload_manager.transfers
    transfers_before = replace(transfers)
    progress(0.51, desc="Preparing inputs...")
    generation = _Generation(synthesizer, resolved, progress, clock)
    generation.encode_text()
    generation.encode_audio()
    generation.encode_condition_and_prepare_latents()
    generation.diffuse()
    progress(0.8, desc="Decoding audio...")
    waveforms, decode_report = generation.decode()
    progress(0.99, desc="Preparing audio data...")
    counts = {name: count - counts_before[name] for name, count in _counts(clock).items()}
    return {
        "audios": [{"tensor": waveform, "sample_rate": SAMPLE_RATE} for waveform in waveforms],
        "status_message": _status(decode_report),
        "extra_outputs": {
            **{name: tensor.cpu() for name, tensor in generation.tensors().items()},
            **_seed_values(resolved),
            "spans": [generation.prepared.span] * resolved.batch,
            "counts": {**counts, "batch": resolved.batch, "latent_frames": generation.length},
            "vae_decode": decode_report.public,
            "transfers": asdict(transfers.since(transfers_before)),
            "options": synthesizer.in_effect(),
        },
        "success": True,
        "error": None,
    }


class _Generation:
    """The stages of one generation; each method fills the attributes that the next ones read."""

    text: TextStates
    text2music_text: TextStates | None
    references: Tensor | None
    encoded_source: Tensor | None
    condition: Tensor
    condition_mask: Tensor
    text2music_condition: Tensor | None
    prepared: PreparedLatents
    latents: Tensor

    def __init__(
        self, synthesizer: Synthesizer, resolved: ResolvedRequest, progress: ProgressCallback, clock: Clock
    ) -> None:
        self._synthesizer, self._resolved, self._progress, self._clock = synthesizer, resolved, progress, clock
        self._stage, self._estimates = StageRunner(synthesizer.models, clock), StageEstimates(synthesizer.models)
        self._hold = synthesizer.offload_manager.hold

    @property
    def length(self) -> int:
        """Latent frames of the longest item."""
        return self.prepared.target.shape[1]

    @property
    def _text_tokens(self) -> int:
        """Tokens of the condition: caption, lyrics and one for the timbre."""
        return self.text.text.shape[1] + self.text.lyrics.shape[1] + 1

    def encode_text(self) -> None:
        """Encode the prompts; those of the last steps too if these run without the source."""
        synthesizer, resolved = self._synthesizer, self._resolved
        with self._hold("text_encoder"), self._stage("text_encode", "text_encoder", self._estimates.text_encode()):
            self.text = synthesizer.encode_text([resolved.caption], [resolved.lyric])
            self.text2music_text = None
            if resolved.source.ends_early(resolved.spec):
                tokens = self.text.text.shape[1]
                self.text2music_text = synthesizer.encode_text([resolved.text2music_caption], [resolved.lyric], tokens)

    def encode_audio(self) -> None:
        """Encode the timbre reference and the source audio, if they are given."""
        with self._hold("vae_encoder"):
            self.references = self._encode_waveform(self._resolved.reference, "reference_encode")
            self.encoded_source = self._encode_waveform(self._resolved.source.waveform, "source_encode")

    def _encode_waveform(self, waveform: Tensor | None, stage: str) -> Tensor | None:
        """Latents ``[T, 64]`` of *waveform* ``[2, samples]``; None without one."""
        if waveform is None:
            return None
        with self._stage(stage, "vae_encoder", self._estimates.audio_encode(waveform.shape[1], ENCODE_FRAMES)):
            self._clock.counts.update(encoded_samples=waveform.shape[1])
            return self._synthesizer.encode_audio(waveform)

    def encode_condition_and_prepare_latents(self) -> None:
        """Encode the conditions and prepare the latents; both stages use the same part of the models."""
        resolved, stage = self._resolved, self._stage
        condition_bytes = self._estimates.condition_encode(self._text_tokens + TIMBRE_FRAMES)
        frames, codes = sum(resolved.source.frames), sum(map(len, resolved.source.codes))
        with self._hold("condition"):
            with stage("condition_encode", "condition", condition_bytes):
                self.condition, self.condition_mask = self._encode_condition(self.text)
                self.text2music_condition = None
                if self.text2music_text is not None:
                    self.text2music_condition, _ = self._encode_condition(self.text2music_text)
            with stage("code_decode", "condition", self._estimates.prepare_latents(frames, codes)):
                self.prepared = prepare_latents(self._synthesizer, resolved.spec, resolved.source, self.encoded_source)

    def _encode_condition(self, text: TextStates) -> tuple[Tensor, Tensor]:
        """The condition sequence and its mask, which all items share."""
        references = owners = None
        if self.references is not None:
            references = self.references.unsqueeze(0)
            owners = torch.zeros(1, dtype=torch.int64, device=self._synthesizer.device)
        states, mask = self._synthesizer.encode_condition(text, references, owners)
        batch = self._resolved.batch
        return states.expand(batch, *states.shape[1:]), mask.expand(batch, *mask.shape[1:])

    def diffuse(self) -> None:
        """Sample the latents, rescale and shift them, and check that they can be decoded."""
        resolved, prepared = self._resolved, self.prepared
        rows = 2 * resolved.batch if resolved.sampler.guidance else resolved.batch
        need_bytes = self._estimates.diffusion(rows, self.length, self._text_tokens)
        with self._stage("diffusion", "decoder", need_bytes):
            latents = self._synthesizer.diffuse(
                self.condition,
                prepared.context,
                resolved.seeds,
                resolved.schedule,
                resolved.correction,
                self._clock,
                self._report_step,
                resolved.sampler,
                self._variation(),
            )
            self.latents = latents * resolved.request.latent_rescale + resolved.request.latent_shift
            self._check_latents()

    def _report_step(self, step: int, total: int) -> None:
        self._progress(0.52 + 0.27 * step / total, desc=f"Diffusion step {step}/{total}")

    def _variation(self) -> SamplerInputs:
        resolved, prepared = self._resolved, self.prepared
        text2music = None
        if self.text2music_condition is not None and prepared.text2music_context is not None:
            text2music = self.text2music_condition, prepared.text2music_context
        return SamplerInputs(
            retake_seeds=resolved.retake_seeds,
            retake_variance=resolved.request.retake_variance,
            source=prepared.source if resolved.source.exists else None,
            source_strength=resolved.request.cover_noise_strength,
            plain=text2music,
            cover_strength=1.0 if text2music is None else resolved.request.audio_cover_strength,
            repaint=prepared.repaint_injection(resolved.spec),
        )

    def _check_latents(self) -> None:
        """Check that the latents can be decoded; the error names the first stage whose output is not finite."""
        if not torch.isfinite(self.latents).all():
            outputs: Mapping[str, Tensor | None] = {
                "text_encode": self.text.text,
                "text_encode (lyrics)": self.text.lyrics,
                "reference_encode": self.references,
                "source_encode": self.encoded_source,
                "condition_encode": self.condition,
                "code_decode": self.prepared.context,
            }
            raise NonFiniteOutputError(f"Stage {first_nonfinite_stage(outputs) or 'diffusion'}")
        if not self.latents.any():
            raise RuntimeError("Generation produced zero latents. Check the checkpoint and latent_rescale.")

    def decode(self) -> tuple[Tensor, DecodeReport]:
        """Waveforms, fp32 ``[B, 2, samples]``, with a peak of at most 1, and how they were decoded."""
        tiled = self._resolved.request.use_tiled_decode
        with self._stage("vae_decode", "vae_decoder", self.latents.nbytes):
            waveforms, decode_report = self._synthesizer.decode(
                self.latents, tiled, announce=lambda text: self._progress(0.8, desc=text)
            )
        with outside_limit(), self._stage("post_process", "", self._estimates.post_process(waveforms.nbytes)):
            peaks = item_peaks(waveforms)
            if not is_finite(peaks):
                raise NonFiniteOutputError("Stage vae_decode")
            return self._spliced(limit_peak(waveforms, peaks)), decode_report

    def _spliced(self, waveforms: Tensor) -> Tensor:
        """*waveforms* with the source's own samples outside the repaint region, if the repaint mode keeps them."""
        source, blend = self._resolved.source, self._resolved.spec.blend_settings
        if source.region is None or source.waveform is None or not blend.keep_source_waveform:
            return waveforms
        return source.region.splice(waveforms, source.waveform, blend.crossfade_samples)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the result, by their public names."""
        prepared = self.prepared
        return {
            "pred_latents": self.latents,
            "target_latents": prepared.target,
            "src_latents": prepared.source,
            "latent_masks": torch.arange(self.length) < torch.tensor(prepared.frames).unsqueeze(1),
            "chunk_masks": prepared.context[..., LATENT_CHANNELS:],
            "encoder_hidden_states": self.condition,
            "encoder_attention_mask": self.condition_mask,
            "context_latents": prepared.context,
            "lyric_token_idss": self.text.lyric_ids.expand(self._resolved.batch, -1),
        }


def _counts(clock: Clock) -> dict[str, int]:
    """What *clock* has counted so far, earlier generations included."""
    counted = ("dit_calls", "dit_rows", "encoded_samples")
    return {name: clock.counts[name] for name in counted} | {"steps": len(clock.durations_s.get("dit_step", ()))}


def _status(decode_report: DecodeReport) -> str:
    message = "Generation completed successfully."
    if decode_report.refused:
        message += f" The VAE decoded {decode_report.strategy}: {decode_report.refused[-1]}."
    return message


def _seed_values(resolved: ResolvedRequest) -> dict[str, Any]:
    values: dict[str, Any] = {"seed_value": ",".join(map(str, resolved.seeds))}
    if resolved.request.retake_variance > 0:
        values["retake_seed_value"] = ",".join(map(str, resolved.retake_seeds))
        values["retake_variance"] = resolved.request.retake_variance
    return values
