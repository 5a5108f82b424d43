"""What `AceStepHandler.generate_music` is asked for: its keywords and their defaults, written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from acestep.constants import DEFAULT_GUIDANCE_SCALE, INSTRUCTION_TEXT2MUSIC
from acestep.tasks.task_types import COMPLETE, REGION_TASKS, TEXT2MUSIC, TRACK_TASKS

if TYPE_CHECKING:
    from acestep.progress import ProgressCallback
    from acestep.timing.clock import Clock

SAMPLER_MODES: Final = ("euler", "heun")

Keywords = ParamSpec("Keywords")
Owner = TypeVar("Owner")
Request = TypeVar("Request")
Result = TypeVar("Result")


@dataclass(frozen=True)
class TaskField:
    """A field that only some tasks use.

    Attributes:
        tasks: these tasks.
        unused: the values that it may have in other tasks: its default and what means the same.
    """

    tasks: tuple[str, ...]
    unused: tuple[Any, ...]


def _only_for(tasks: tuple[str, ...], default: Any, *same_as_default: Any) -> Any:
    return field(default=default, metadata={TaskField: TaskField(tasks, (default, *same_as_default))})


@dataclass(frozen=True)
class GenerationRequest:
    """The keywords of `AceStepHandler.generate_music`.

    Fields that are not listed here have the name and meaning of a field of `acestep.params.GenerationParams`.

    Attributes:
        captions: description of the music.
        key_scale: `GenerationParams.keyscale`.
        time_signature: `GenerationParams.timesignature`.
        use_random_seed: draw all seeds; *seed* is ignored.
        seed: the first item's seed (the other items count on from it), or one seed an item.
        audio_duration: seconds; None is 120. With source audio or audio codes, these set the length.
        batch_size: number of items; None is the handler's `batch_size`.
        audio_code_string: audio codes of every item, or a list with one text an item.
        repainting_end: None is the end of the source.
        use_tiled_decode: see `Synthesizer.decode`.
        progress: called as ``progress(fraction, desc=text)``.
        clock: takes the time of every stage.
    """

    captions: str
    lyrics: str
    global_caption: str = ""
    bpm: int | None = None
    key_scale: str = ""
    time_signature: str = ""
    vocal_language: str = "en"
    inference_steps: int = 8
    guidance_scale: float = DEFAULT_GUIDANCE_SCALE
    use_random_seed: bool = True
    seed: Sequence[int] | int | str | None = -1
    reference_audio: str | None = None
    audio_duration: float | None = None
    batch_size: int | None = None
    src_audio: str | None = None
    audio_code_string: str | Sequence[str] = ""
    repainting_start: float = _only_for(REGION_TASKS, 0.0)
    repainting_end: float | None = _only_for(REGION_TASKS, None, -1.0)
    instruction: str = INSTRUCTION_TEXT2MUSIC
    audio_cover_strength: float = 1.0
    cover_noise_strength: float = 0.0
    task_type: str = TEXT2MUSIC
    track_name: str = _only_for(TRACK_TASKS, "")
    complete_track_classes: Sequence[str] = _only_for((COMPLETE,), (), [])
    use_adg: bool = False
    cfg_interval_start: float = 0.0
    cfg_interval_end: float = 1.0
    shift: float = 1.0
    infer_method: str = "ode"
    sampler_mode: str = "euler"
    velocity_norm_threshold: float = 0.0
    velocity_ema_factor: float = 0.0
    timesteps: Sequence[float] | None = None
    dcw_enabled: bool = True
    dcw_mode: str = "double"
    dcw_scaler: float = 0.05
    dcw_high_scaler: float = 0.02
    dcw_wavelet: str = "haar"
    chunk_mask_mode: str = _only_for(REGION_TASKS, "auto")
    repaint_mode: str = _only_for(REGION_TASKS, "balanced")
    repaint_strength: float = _only_for(REGION_TASKS, 0.5)
    retake_seed: Sequence[int] | int | str | None = None
    retake_variance: float = 0.0
    use_tiled_decode: bool = True
    latent_shift: float = 0.0
    latent_rescale: float = 1.0
    progress: ProgressCallback | None = None
    clock: Clock | None = None

    @property
    def repainting_end_s(self) -> float:
        """Second at which the repaint region ends; negative is the end of the source."""
        return -1.0 if self.repainting_end is None else self.repainting_end

    def keywords(self) -> dict[str, Any]:
        """The fields by name, as `AceStepHandler.generate_music` takes them."""
        return dict(vars(self))


TASK_FIELDS: Final[dict[str, TaskField]] = {
    item.name: item.metadata[TaskField] for item in fields(GenerationRequest) if TaskField in item.metadata
}
"""The fields that only some tasks use, by name."""


def takes_fields_of(
    request_class: Callable[Keywords, Request],
) -> Callable[[Callable[[Owner, Request], Result]], Callable[Concatenate[Owner, Keywords], Result]]:
    """Decorate a method that takes one *request_class*, so that it is called with the fields of that class instead."""
    keywords = signature(request_class).parameters.values()

    def decorate(method: Callable[[Owner, Request], Result]) -> Callable[Concatenate[Owner, Keywords], Result]:
        owner = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
        shown = Signature([owner, *keywords], return_annotation=signature(method).return_annotation)

        @wraps(method)
        def call(self: Owner, /, *args: Keywords.args, **kwargs: Keywords.kwargs) -> Result:
            shown.bind(self, *args, **kwargs)  # its errors name the wrong keyword and no class
            return method(self, request_class(*args, **kwargs))

        call.__signature__ = shown  # type: ignore[attr-defined]
        return call

    return decorate
