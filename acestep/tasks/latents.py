"""The latents that sampling needs: the source, and the context latents that the diffusion transformer gets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.constants import MIN_LATENT_FRAMES
from acestep.synthesizer import Synthesizer
from acestep.tasks.repaint import RepaintInjection
from acestep.tasks.source import SourceAudio
from acestep.tasks.spec import TaskSpec
from acestep.tasks.task_types import REPAINT


@dataclass(frozen=True)
class PreparedLatents:
    """Latents of a batch; ``T`` is the length of its longest item.

    Attributes:
        frames: latent frames of each item; silence fills the rest up to ``T``.
        target: latents of the whole source, ``[B, T, 64]``.
        source: the same, but for repaint with silence in the repaint region.
        context: context latents of the task, ``[B, T, 128]``.
        text2music_context: context latents of the last steps if they run without the source, else None.
        mask: bool ``[T]``, true in the repaint region; None without one.
    """

    frames: list[int]
    target: Tensor
    source: Tensor
    context: Tensor
    text2music_context: Tensor | None
    mask: Tensor | None

    @property
    def span(self) -> tuple[str, int, int]:
        """What is generated: ``full`` or ``repainting``, the first latent frame, and the one after the last."""
        if self.mask is None:
            return "full", 0, self.target.shape[1]
        inside = self.mask.nonzero()
        return "repainting", int(inside[0]), int(inside[-1]) + 1

    def repaint_injection(self, spec: TaskSpec) -> RepaintInjection | None:
        """How the source is kept outside the repaint region; None if it is not kept."""
        blend = spec.blend_settings
        if self.mask is None or not (blend.crossfade_frames or blend.injection_ratio):
            return None
        mask = self.mask.to(self.target.device).expand(len(self.target), -1)
        return RepaintInjection(mask, self.target, blend.crossfade_frames, blend.injection_ratio)


def prepare_latents(
    synthesizer: Synthesizer, spec: TaskSpec, source: SourceAudio, encoded: Tensor | None
) -> PreparedLatents:
    """Prepare the latents of a generation.

    Args:
        synthesizer: has the models loaded.
        spec: the task.
        source: its source.
        encoded: latents ``[T, 64]`` of the source audio; None takes the source's audio codes, or silence.
    """
    if encoded is None:
        latents, frames = synthesizer.decode_codes(source.codes), source.frames
    else:
        batch = len(source.codes)
        latents, frames = [encoded] * batch, [max(MIN_LATENT_FRAMES, len(encoded))] * batch
    length = max(frames)
    target = synthesizer.filled_latents(latents, length)
    mask = source.region.mask(length) if source.region else None
    masked = target
    if mask is not None and spec.request.task_type == REPAINT:
        silence = synthesizer.filled_latents([target[0, :0]], length)
        masked = torch.where(mask.to(target.device).unsqueeze(-1), silence, target)
    context_source = masked
    if spec.quantizes_source and source.waveform is not None:
        context_source = synthesizer.coarse_latents(masked[:1]).expand_as(masked)
    context_mask = mask if spec.explicit_mask else None
    text2music_context = None
    if source.ends_early(spec):
        text2music_context = synthesizer.context_latents([target[0, :0]] * len(target), length, context_mask)
    context = synthesizer.context_latents(list(context_source), length, context_mask)
    return PreparedLatents(frames, target, masked, context, text2music_context, mask)
