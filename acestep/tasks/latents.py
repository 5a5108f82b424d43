"""The latents that a generation starts from: its source, the part that is made, and what the network sees of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.audio.read import read_audio
from acestep.constants import DEFAULT_DURATION_S, FRAMES_PER_CODE, HOP_SAMPLES, MIN_LATENT_FRAMES, SAMPLE_RATE
from acestep.synthesizer import Synthesizer
from acestep.tasks.repaint_injection import Repaint
from acestep.tasks.repaint_region import Window
from acestep.tasks.spec import Assignment


@dataclass(frozen=True)
class Source:
    """What the caller gave to start from.

    Attributes:
        waveform: of the source, lengthened to hold the window, ``[2, samples]``; None without one.
        duration_s: seconds of the audio file, or the length that was asked for; None leaves it open.
        codes: of each item, or none.
        window: the part that is made; None is all of it.
    """

    waveform: Tensor | None
    duration_s: float | None
    codes: Sequence[Sequence[int]]
    window: Window | None

    @classmethod
    def read(cls, assignment: Assignment, codes: Sequence[Sequence[int]], duration_s: float | None) -> Source:
        """The source of *assignment*, whose codes are *codes*.

        Raises:
            ValueError: its audio cannot be used, or the window does not fit it.
        """
        if assignment.src_audio is None:
            samples = HOP_SAMPLES * FRAMES_PER_CODE * max(map(len, codes))
            return cls(None, duration_s, codes, assignment.window(samples))
        waveform = read_audio(assignment.src_audio, "src_audio")
        window = assignment.window(waveform.shape[1])
        duration_s = waveform.shape[1] / SAMPLE_RATE
        return cls(window.lengthen(waveform) if window else waveform, duration_s, codes, window)

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return self.waveform is not None or any(self.codes)

    @property
    def frames(self) -> list[int]:
        """Latent frames of each item: those of its codes, else of the duration; never below the minimum."""
        seconds = round(DEFAULT_DURATION_S if self.duration_s is None else self.duration_s, 1)
        plain = int(seconds * SAMPLE_RATE) // HOP_SAMPLES
        return [max(MIN_LATENT_FRAMES, FRAMES_PER_CODE * len(codes) or plain) for codes in self.codes]

    def is_left(self, assignment: Assignment) -> bool:
        """Whether the last steps are made without it."""
        return self.given and assignment.audio_cover_strength < 1


@dataclass(frozen=True)
class Material:
    """Latents of a batch.

    Attributes:
        frames: length of each item; what is above it up to ``T`` is silence.
        target: the whole source, ``[B, T, 64]``.
        source: the same without the part that is made anew.
        context: what the network sees, ``[B, T, 128]``.
        plain_context: what it sees after the cover part, if it ends before the last step.
        mask: true where the window is, bool ``[T]``; None without one.
    """

    frames: list[int]
    target: Tensor
    source: Tensor
    context: Tensor
    plain_context: Tensor | None
    mask: Tensor | None

    @property
    def span(self) -> tuple[str, int, int]:
        """What is made, and its first frame and the one after the last."""
        if self.mask is None:
            return "full", 0, self.target.shape[1]
        inside = self.mask.nonzero()
        return "repainting", int(inside[0]), int(inside[-1]) + 1

    def repaint(self, assignment: Assignment) -> Repaint | None:
        """How the source is kept outside the window; None if nothing is."""
        joints = assignment.joints
        if self.mask is None or not (joints.crossfade_frames or joints.injection_ratio):
            return None
        mask = self.mask.to(self.target.device).expand(len(self.target), -1)
        return Repaint(mask, self.target, joints.crossfade_frames, joints.injection_ratio)


def prepare(models: Synthesizer, assignment: Assignment, source: Source, encoded: Tensor | None) -> Material:
    """Lay out the latents of the generation from codes, or from the source's *encoded* latents ``[T, 64]``."""
    if encoded is None:
        return _lay_out(models, assignment, source, models.decode_codes(source.codes), source.frames)
    batch = len(source.codes)
    frames = [max(MIN_LATENT_FRAMES, len(encoded))] * batch
    return _lay_out(models, assignment, source, [encoded] * batch, frames)


def _lay_out(
    models: Synthesizer, assignment: Assignment, source: Source, latents: list[Tensor], frames: list[int]
) -> Material:
    length = max(frames)
    target = models.filled_latents(latents, length)
    mask = source.window.mask(length) if source.window else None
    seen = target
    if mask is not None and assignment.task_type == "repaint":
        silence = models.filled_latents([target[0, :0]], length)
        seen = torch.where(mask.to(target.device).unsqueeze(-1), silence, target)
    heard = seen
    if assignment.coarse and source.waveform is not None:
        heard = models.coarse_latents(seen[:1]).expand_as(seen)
    shown = mask if assignment.chunk_mask_mode == "explicit" else None
    plain = None
    if source.is_left(assignment):
        plain = models.context_latents([target[0, :0]] * len(target), length, shown)
    context = models.context_latents(list(heard), length, shown)
    return Material(frames, target, seen, context, plain, mask)
