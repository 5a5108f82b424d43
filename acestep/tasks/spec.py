"""The task of a generation: checks its inputs, and tells its instruction, repaint region and blending."""

from __future__ import annotations

from dataclasses import dataclass

from acestep.checkpoints.variants import ModelVariant
from acestep.constants import DURATION_MAX_S, INSTRUCTION_TEXT2MUSIC, MAX_SEED
from acestep.request import TASK_FIELDS, GenerationRequest
from acestep.tasks.repaint import CHUNK_MASK_MODES, REPAINT_MODES, BlendSettings, RepaintRegion
from acestep.tasks.task_types import COVER, REGION_TASKS, TASKS, TEXT2MUSIC, TRACKS
from acestep.text.prompts import generate_instruction
from acestep.validation import file, number, one_of, read_seeds, whole


@dataclass(frozen=True)
class TaskSpec:
    """The task of a request and its inputs."""

    request: GenerationRequest

    def check(self) -> None:
        """Check the task and every field that belongs to it.

        Raises:
            ValueError: a value is unknown or out of range, or belongs to other tasks; the message names the field, the
                value and what is allowed.
        """
        request = self.request
        one_of("task_type", request.task_type, TASKS)
        file("reference_audio", request.reference_audio)
        file("src_audio", request.src_audio)
        self._check_source()
        self._check_fields_of_other_tasks()
        one_of("track_name", request.track_name, TRACKS, or_empty=True)
        if not isinstance(request.complete_track_classes, list | tuple):
            raise ValueError(f"complete_track_classes is {request.complete_track_classes!r}, expected a list of names.")
        for track in request.complete_track_classes:
            one_of("complete_track_classes", track, TRACKS)
        number("repainting_start", request.repainting_start, -DURATION_MAX_S, DURATION_MAX_S)
        number("repainting_end", request.repainting_end_s, -DURATION_MAX_S, DURATION_MAX_S)
        one_of("chunk_mask_mode", request.chunk_mask_mode, CHUNK_MASK_MODES)
        one_of("repaint_mode", request.repaint_mode, REPAINT_MODES)
        for name in ("repaint_strength", "retake_variance", "audio_cover_strength", "cover_noise_strength"):
            number(name, getattr(request, name), 0, 1)
        for seed in read_seeds("retake_seed", () if request.retake_seed is None else request.retake_seed):
            whole("retake_seed", seed, -1, MAX_SEED)

    def _check_source(self) -> None:
        task, src_audio = self.request.task_type, self.request.src_audio
        if task == TEXT2MUSIC:
            if src_audio is not None:
                raise ValueError(f"src_audio is {src_audio!r}, but text2music has no source; choose another task.")
        elif src_audio is None and not self.has_codes:
            raise ValueError(f"task_type is {task!r}, which needs src_audio (or audio_codes in its place).")
        elif src_audio is not None and self.has_codes:
            raise ValueError(f"src_audio is {src_audio!r}, and there are audio_codes too; give one source.")

    def _check_fields_of_other_tasks(self) -> None:
        task = self.request.task_type
        for name, item in TASK_FIELDS.items():
            value = getattr(self.request, name)
            if task not in item.tasks and value not in item.unused:
                raise ValueError(f"{name} is {value!r}, which is for {' and '.join(item.tasks)}, not for {task}.")

    def check_trained(self, variant: ModelVariant) -> None:
        """Check that checkpoints of *variant* were trained for the task.

        Raises:
            ValueError: they were not.
        """
        if self.request.task_type not in variant.tasks:
            raise ValueError(
                f"task_type is {self.request.task_type!r}, which a {variant.name} model was not trained for; it knows "
                f"{', '.join(variant.tasks)}. Load a base model."
            )

    @property
    def has_codes(self) -> bool:
        """Whether any item has audio codes."""
        codes = self.request.audio_code_string
        return any(text.strip() for text in ([codes] if isinstance(codes, str) else codes))

    @property
    def instruction(self) -> str:
        """The first line of the caption prompt: the caller's, or the task's own if the caller left the default."""
        request = self.request
        if request.instruction != INSTRUCTION_TEXT2MUSIC:
            return request.instruction
        task = COVER if request.task_type == TEXT2MUSIC and self.has_codes else request.task_type
        return generate_instruction(task, request.track_name, request.complete_track_classes)

    @property
    def quantizes_source(self) -> bool:
        """Whether the source latents pass through the audio tokenizer, which keeps only what audio codes keep."""
        return self.request.task_type == COVER

    @property
    def explicit_mask(self) -> bool:
        """Whether the context latents mark the repaint region."""
        return self.request.chunk_mask_mode == "explicit"

    @property
    def blend_settings(self) -> BlendSettings:
        """How the repaint region is blended with the source around it."""
        return BlendSettings.of(self.request.repaint_mode, self.request.repaint_strength)

    def repaint_region(self, samples: int) -> RepaintRegion | None:
        """The region of a source of *samples* that is regenerated; None if everything is.

        Raises:
            ValueError: the region does not fit the source.
        """
        request = self.request
        if request.task_type not in REGION_TASKS:
            return None
        region = RepaintRegion.of(request.repainting_start, request.repainting_end_s, samples)
        if self.has_codes and (region.before or region.after):
            raise ValueError(
                f"repainting_start is {request.repainting_start:g} and repainting_end {request.repainting_end_s:g}, "
                "but audio_codes cannot be lengthened; give src_audio."
            )
        return region
