"""What a caller asks `generate_music` for and what it returns; every field is checked before any work is done."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from acestep.audio import AUDIO_FORMATS, MP3_BITRATES, MP3_SAMPLE_RATES
from acestep.constants import (
    BPM_MAX,
    BPM_MIN,
    DURATION_MAX_S,
    DURATION_MIN_S,
    INSTRUCTION_TEXT2MUSIC,
    KEYSCALES,
    LANGUAGES,
    MAX_BATCH,
    NO_USER_INPUT,
    SAMPLE_RATE,
    TIME_SIGNATURES,
)
from acestep.diffusion import MAX_TIMESTEPS, Correction, strip_zeros
from acestep.planner.codes import read_codes
from acestep.planner.wishes import check_text

TASKS = ("text2music",)
MAX_SEED = (1 << 63) - 1

_SWITCHES = (
    "enable_normalization",
    "dcw_enabled",
    "thinking",
    "use_cot_metas",
    "use_cot_caption",
    "use_cot_language",
    "use_constrained_decoding",
)


@dataclass
class GenerationParams:
    """One piece of music to make. `None`, an empty string or a duration of at most 0 leave a choice open.

    Attributes:
        task_type: one of `TASKS`.
        instruction: first line of the caption prompt.
        audio_codes: 5 Hz codes as ``<|audio_code_N|>`` tokens; given, the planner makes none.
        caption: description of the music.
        lyrics: words with section marks; ``[Instrumental]`` by convention for none.
        vocal_language: one of `LANGUAGES`.
        bpm: beats per minute, 30 to 300.
        keyscale: one of `KEYSCALES`.
        timesignature: one of `TIME_SIGNATURES`.
        duration: seconds, 10 to 600.
        enable_normalization: scale each waveform to a peak of *normalization_db*.
        normalization_db: dBFS, at most 0.
        fade_in_duration: seconds of linear fade at the start.
        fade_out_duration: seconds of linear fade at the end.
        latent_shift: added to the latents before decoding, after the rescale.
        latent_rescale: multiplies the latents before decoding.
        inference_steps: network evaluations; a turbo model runs at most 8 unless *timesteps* are given.
        seed: seed of the first item (item i has seed + i) when `GenerationConfig.seeds` is None; -1 is random.
        shift: timestep shift, above 0; 3 is recommended for turbo.
        timesteps: explicit descending flow times in (0, 1], at most 20; they win over steps and shift.
        dcw_enabled: wavelet correction of each step.
        dcw_mode: one of `Correction.MODES`.
        dcw_scaler: strength in the low (or only) band.
        dcw_high_scaler: strength in the high band of mode ``double``.
        thinking: the planner writes the audio codes.
        lm_temperature: 0 (greedy) to 2.
        lm_cfg_scale: guidance of the codes, at least 1 (off).
        lm_top_k: 0 is off.
        lm_top_p: 0 and 1 are off.
        lm_negative_prompt: what guidance leads away from.
        use_cot_metas: the planner fills in the metadata that is left open; without it, it plans no caption and no
            language either. With bpm, keyscale, timesignature and duration given there is nothing left to plan.
        use_cot_caption: the planner's caption replaces the caller's in the synthesizer.
        use_cot_language: the planner's language replaces the caller's in the synthesizer.
        use_constrained_decoding: hold the planner's text to the grammar of metadata, so that it can always be read.
        cot_bpm: metadata that the planner chose; the fields ``cot_*`` are filled in by `generate_music`.
        cot_keyscale: see *cot_bpm*.
        cot_timesignature: see *cot_bpm*.
        cot_duration: see *cot_bpm*; seconds.
        cot_vocal_language: see *cot_bpm*.
        cot_caption: see *cot_bpm*.
    """

    task_type: str = "text2music"
    instruction: str = INSTRUCTION_TEXT2MUSIC
    audio_codes: str = ""
    caption: str = ""
    lyrics: str = ""
    vocal_language: str = "unknown"
    bpm: int | None = None
    keyscale: str = ""
    timesignature: str = ""
    duration: float | None = -1.0
    enable_normalization: bool = True
    normalization_db: float = -1.0
    fade_in_duration: float = 0.0
    fade_out_duration: float = 0.0
    latent_shift: float = 0.0
    latent_rescale: float = 1.0
    inference_steps: int = 8
    seed: int = -1
    shift: float = 1.0
    timesteps: list[float] | None = None
    dcw_enabled: bool = True
    dcw_mode: str = "double"
    dcw_scaler: float = 0.05
    dcw_high_scaler: float = 0.02
    thinking: bool = True
    lm_temperature: float = 0.85
    lm_cfg_scale: float = 2.0
    lm_top_k: int = 0
    lm_top_p: float = 0.9
    lm_negative_prompt: str = NO_USER_INPUT
    use_cot_metas: bool = True
    use_cot_caption: bool = True
    use_cot_language: bool = True
    use_constrained_decoding: bool = True
    cot_bpm: int | None = None
    cot_keyscale: str = ""
    cot_timesignature: str = ""
    cot_duration: float | None = None
    cot_vocal_language: str = "unknown"
    cot_caption: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain data."""
        return asdict(self)

    def validate(self) -> None:
        """Check every field.

        Raises:
            ValueError: a value is unknown or out of range; the message names field, value and what is allowed.
        """
        _one_of("task_type", self.task_type, TASKS)
        for name in ("instruction", "audio_codes", "caption", "lyrics", "lm_negative_prompt"):
            check_text(name, getattr(self, name))
        read_codes(self.audio_codes)
        for name in _SWITCHES:
            _flag(name, getattr(self, name))
        _one_of("vocal_language", self.vocal_language, LANGUAGES)
        _one_of("keyscale", self.keyscale, KEYSCALES, or_empty=True)
        _one_of("timesignature", self.timesignature, TIME_SIGNATURES, or_empty=True)
        _whole("bpm", self.bpm, BPM_MIN, BPM_MAX, or_none=True)
        if self.requested_duration is not None:
            _number("duration", self.requested_duration, DURATION_MIN_S, DURATION_MAX_S)
        _number("normalization_db", self.normalization_db, -math.inf, 0)
        _number("fade_in_duration", self.fade_in_duration, 0, DURATION_MAX_S)
        _number("fade_out_duration", self.fade_out_duration, 0, DURATION_MAX_S)
        _number("latent_shift", self.latent_shift, -math.inf, math.inf)
        _number("latent_rescale", self.latent_rescale, -math.inf, math.inf)
        _whole("inference_steps", self.inference_steps, 1, 200)
        _whole("seed", self.seed, -1, MAX_SEED)
        _number("shift", self.shift, 0, math.inf, open_low=True)
        _timesteps(self.timesteps)
        _one_of("dcw_mode", self.dcw_mode, Correction.MODES)
        _number("dcw_scaler", self.dcw_scaler, -math.inf, math.inf)
        _number("dcw_high_scaler", self.dcw_high_scaler, -math.inf, math.inf)
        _number("lm_temperature", self.lm_temperature, 0, 2)
        _number("lm_cfg_scale", self.lm_cfg_scale, 1, math.inf)
        _whole("lm_top_k", self.lm_top_k, 0, 1 << 31)
        _number("lm_top_p", self.lm_top_p, 0, 1)

    @property
    def requested_duration(self) -> float | None:
        """The caller's duration in seconds, or None if it is left open."""
        if self.duration is None:
            return None
        _number("duration", self.duration, -math.inf, math.inf)
        return self.duration if self.duration > 0 else None


@dataclass
class GenerationConfig:
    """How many pieces to make and how to save them.

    Attributes:
        batch_size: 1 to 8 pieces; None is 1.
        use_random_seed: draw all seeds; *seeds* and `GenerationParams.seed` are ignored.
        seeds: one seed an item (-1 is random; a short list is filled up with random ones), or the first item's.
        lm_batch_chunk_size: pieces that the planner makes at a time; 0 is all.
        constrained_decoding_debug: log what the planner's grammar forced, and what was chosen among how many tokens.
        audio_format: one of `AUDIO_FORMATS`.
        mp3_bitrate: one of `MP3_BITRATES`.
        mp3_sample_rate: one of `MP3_SAMPLE_RATES`, in Hz.
    """

    batch_size: int | None = 2
    use_random_seed: bool = True
    seeds: list[int] | int | None = None
    lm_batch_chunk_size: int = 8
    constrained_decoding_debug: bool = False
    audio_format: str = "flac"
    mp3_bitrate: str = "128k"
    mp3_sample_rate: int = SAMPLE_RATE

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain data."""
        return asdict(self)

    def validate(self) -> None:
        """Check every field.

        Raises:
            ValueError: a value is unknown or out of range; the message names field, value and what is allowed.
        """
        _flag("use_random_seed", self.use_random_seed)
        _flag("constrained_decoding_debug", self.constrained_decoding_debug)
        _whole("batch_size", self.batch_size, 1, MAX_BATCH, or_none=True)
        given = self.seeds if isinstance(self.seeds, list) else [] if self.seeds is None else [self.seeds]
        for seed in given:
            _whole("seeds", seed, -1, MAX_SEED)
        if isinstance(self.seeds, list) and len(self.seeds) > (self.batch_size or 1):
            raise ValueError(f"seeds has {len(self.seeds)} entries for batch_size={self.batch_size}.")
        _whole("lm_batch_chunk_size", self.lm_batch_chunk_size, 0, MAX_BATCH)
        _one_of("audio_format", self.audio_format, AUDIO_FORMATS)
        _one_of("mp3_bitrate", self.mp3_bitrate, MP3_BITRATES)
        _one_of("mp3_sample_rate", self.mp3_sample_rate, MP3_SAMPLE_RATES)


@dataclass
class GenerationResult:
    """What `generate_music` returns; it never raises for a failed generation.

    Attributes:
        audios: one dict an item: ``path``, ``tensor`` (fp32 ``[2, samples]`` on the CPU), ``key``,
            ``sample_rate``, ``params``.
        status_message: what happened, for people.
        extra_outputs: latents, conditions, ``time_costs`` (seconds), ``counts``, ``seed_value``, ``lm_metadata``.
        success: whether every audio was made and saved.
        error: what went wrong, or None.
    """

    audios: list[dict[str, Any]] = field(default_factory=list)
    status_message: str = ""
    extra_outputs: dict[str, Any] = field(default_factory=dict)
    success: bool = True
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields, tensors copied."""
        return copy.deepcopy(vars(self))


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, expected True or False.")


def _one_of(name: str, value: object, allowed: Collection[object], *, or_empty: bool = False) -> None:
    if any(value == choice for choice in allowed) or (or_empty and value == ""):
        return
    shown = ", ".join(str(choice) for choice in allowed)
    raise ValueError(f"{name} is {value!r}, expected one of: {shown}{' (or empty)' if or_empty else ''}.")


def _number(name: str, value: object, low: float, high: float, *, open_low: bool = False) -> None:
    real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if real and low <= value <= high and not (open_low and value == low):  # type: ignore[operator]
        return
    bounds = f"{'above' if open_low else 'from'} {low:g} to {high:g}"
    raise ValueError(f"{name} is {value!r}, expected a number {bounds}.")


def _whole(name: str, value: object, low: int, high: int, *, or_none: bool = False) -> None:
    if value is None and or_none:
        return
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return
    raise ValueError(f"{name} is {value!r}, expected a whole number from {low} to {high}.")


def _timesteps(values: list[float] | None) -> None:
    if values is None:
        return
    kept = strip_zeros(values)
    if not 1 <= len(kept) <= MAX_TIMESTEPS:
        raise ValueError(f"timesteps has {len(kept)} times above 0, expected 1 to {MAX_TIMESTEPS}.")
    for value in kept:
        _number("timesteps", value, 0, 1, open_low=True)
    if any(later > earlier for earlier, later in pairwise(kept)):
        raise ValueError(f"timesteps is {values!r}, expected descending times.")
