"""What a generation makes of what: the task, its source, and how closely the source is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from acestep.checkpoints.variants import ModelVariant
from acestep.constants import DURATION_MAX_S, INSTRUCTION_TEXT2MUSIC
from acestep.tasks.repaint import CHUNK_MASK_MODES, REPAINT_MODES, BlendSettings, RepaintRegion
from acestep.tasks.task_types import COMPLETE, COVER, REGION_TASKS, TASKS, TEXT2MUSIC, TRACK_TASKS, TRACKS
from acestep.text.prompts import generate_instruction
from acestep.validation import file, number, one_of, read_seeds, whole

MAX_SEED: Final = (1 << 63) - 1

_ONLY: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    "track_name": ("", TRACK_TASKS),
    "complete_track_classes": ([], (COMPLETE,)),
    "repainting_start": (0.0, REGION_TASKS),
    "repainting_end": (-1.0, REGION_TASKS),
    "chunk_mask_mode": ("auto", REGION_TASKS),
    "repaint_mode": ("balanced", REGION_TASKS),
    "repaint_strength": (0.5, REGION_TASKS),
}
"""The default of each field that only some tasks use, and these tasks."""


@dataclass(frozen=True)
class TaskSpec:
    """Fields as in `acestep.params.GenerationParams`; audio codes may be one text an item."""

    task_type: str = TEXT2MUSIC
    instruction: str = INSTRUCTION_TEXT2MUSIC
    track_name: str = ""
    complete_track_classes: Sequence[str] = ()
    reference_audio: str | None = None
    src_audio: str | None = None
    audio_codes: str | Sequence[str] = ""
    repainting_start: float = 0.0
    repainting_end: float = -1.0
    chunk_mask_mode: str = "auto"
    repaint_mode: str = "balanced"
    repaint_strength: float = 0.5
    retake_seed: Sequence[int] | int | str | None = None
    retake_variance: float = 0.0
    audio_cover_strength: float = 1.0
    cover_noise_strength: float = 0.0

    def check(self) -> None:
        """Check every field.

        Raises:
            ValueError: a value is unknown or out of range, or is none of this task's; the message names the field, the
                value and what is allowed.
        """
        one_of("task_type", self.task_type, TASKS)
        file("reference_audio", self.reference_audio)
        file("src_audio", self.src_audio)
        self._check_source()
        for name, (default, tasks) in _ONLY.items():
            value = getattr(self, name)
            if self.task_type not in tasks and value != default and value != ():
                raise ValueError(f"{name} is {value!r}, which is for {' and '.join(tasks)}, not for {self.task_type}.")
        one_of("track_name", self.track_name, TRACKS, or_empty=True)
        if not isinstance(self.complete_track_classes, list | tuple):
            raise ValueError(f"complete_track_classes is {self.complete_track_classes!r}, expected a list of names.")
        for track in self.complete_track_classes:
            one_of("complete_track_classes", track, TRACKS)
        number("repainting_start", self.repainting_start, -DURATION_MAX_S, DURATION_MAX_S)
        number("repainting_end", self.repainting_end, -DURATION_MAX_S, DURATION_MAX_S)
        one_of("chunk_mask_mode", self.chunk_mask_mode, CHUNK_MASK_MODES)
        one_of("repaint_mode", self.repaint_mode, REPAINT_MODES)
        for name in ("repaint_strength", "retake_variance", "audio_cover_strength", "cover_noise_strength"):
            number(name, getattr(self, name), 0, 1)
        for seed in read_seeds("retake_seed", () if self.retake_seed is None else self.retake_seed):
            whole("retake_seed", seed, -1, MAX_SEED)

    def _check_source(self) -> None:
        if self.task_type == TEXT2MUSIC:
            if self.src_audio is not None:
                raise ValueError(f"src_audio is {self.src_audio!r}, but text2music has no source; choose another task.")
        elif self.src_audio is None and not self.has_codes:
            raise ValueError(f"task_type is {self.task_type!r}, which needs src_audio (or audio_codes in its place).")
        elif self.src_audio is not None and self.has_codes:
            raise ValueError(f"src_audio is {self.src_audio!r}, and there are audio_codes too; give one source.")

    def check_variant(self, variant: ModelVariant) -> None:
        """Check that models of *variant* were trained for the task.

        Raises:
            ValueError: they were not.
        """
        if self.task_type not in variant.tasks:
            raise ValueError(
                f"task_type is {self.task_type!r}, which a {variant.name} model was not trained for; it knows "
                f"{', '.join(variant.tasks)}. Load a base model."
            )

    @property
    def has_codes(self) -> bool:
        """Whether any item has audio codes."""
        texts = [self.audio_codes] if isinstance(self.audio_codes, str) else self.audio_codes
        return any(text.strip() for text in texts)

    @property
    def task_instruction(self) -> str:
        """The first line of the caption prompt: that of the task unless another one was given."""
        if self.instruction != INSTRUCTION_TEXT2MUSIC:
            return self.instruction
        task = COVER if self.task_type == TEXT2MUSIC and self.has_codes else self.task_type
        return generate_instruction(task, self.track_name, self.complete_track_classes)

    @property
    def quantizes_source(self) -> bool:
        """Whether the model hears only what audio codes keep of the source."""
        return self.task_type == COVER

    @property
    def blend_settings(self) -> BlendSettings:
        """How the window is joined to the rest."""
        return BlendSettings.of(self.repaint_mode, self.repaint_strength)

    def repaint_region(self, samples: int) -> RepaintRegion | None:
        """The part of a source of *samples* that is made; None if all of it is."""
        if self.task_type not in REGION_TASKS:
            return None
        region = RepaintRegion.of(self.repainting_start, self.repainting_end, samples)
        if self.has_codes and (region.before or region.after):
            raise ValueError(
                f"repainting_start is {self.repainting_start:g} and repainting_end {self.repainting_end:g}, but "
                "audio_codes cannot be lengthened; give src_audio."
            )
        return region
