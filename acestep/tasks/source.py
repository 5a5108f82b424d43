"""The source of a task: source audio or audio codes, and the length of the piece that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from acestep.audio.read import read_audio
from acestep.constants import DEFAULT_DURATION_S, FRAMES_PER_CODE, HOP_SAMPLES, MIN_LATENT_FRAMES, SAMPLE_RATE
from acestep.tasks.repaint import RepaintRegion
from acestep.tasks.spec import TaskSpec


@dataclass(frozen=True)
class SourceAudio:
    """What a generation starts from: a waveform, audio codes, or neither.

    Attributes:
        waveform: source audio ``[2, samples]``, padded to contain the repaint region; None without source audio.
        duration_s: length of the source audio, or the requested length, in seconds; None if neither is given.
        codes: audio codes of each item; empty lists without codes.
        region: the part that is regenerated; None if everything is.
    """

    waveform: Tensor | None
    duration_s: float | None
    codes: Sequence[Sequence[int]]
    region: RepaintRegion | None

    @classmethod
    def read(cls, spec: TaskSpec, codes: Sequence[Sequence[int]], duration_s: float | None) -> SourceAudio:
        """Read the source audio of *spec*, if there is any; *codes* are its parsed audio codes, one list an item.

        Raises:
            ValueError: the audio file cannot be used, or the repaint region does not fit the source.
        """
        src_audio = spec.request.src_audio
        if src_audio is None:
            samples = HOP_SAMPLES * FRAMES_PER_CODE * max(map(len, codes))
            return cls(None, duration_s, codes, spec.repaint_region(samples))
        waveform = read_audio(src_audio, "src_audio")
        region = spec.repaint_region(waveform.shape[1])
        duration_s = waveform.shape[1] / SAMPLE_RATE
        return cls(region.pad(waveform) if region else waveform, duration_s, codes, region)

    @property
    def exists(self) -> bool:
        """Whether there is source audio, or an item has audio codes."""
        return self.waveform is not None or any(self.codes)

    @property
    def frames(self) -> list[int]:
        """Latent frames of each item: those of its codes, else of the duration; never fewer than the minimum."""
        seconds = round(DEFAULT_DURATION_S if self.duration_s is None else self.duration_s, 1)
        requested = int(seconds * SAMPLE_RATE) // HOP_SAMPLES
        return [max(MIN_LATENT_FRAMES, FRAMES_PER_CODE * len(codes) or requested) for codes in self.codes]

    def ends_early(self, spec: TaskSpec) -> bool:
        """Whether the last steps run without the source, as plain text to music (``audio_cover_strength`` below 1)."""
        return self.exists and spec.request.audio_cover_strength < 1
