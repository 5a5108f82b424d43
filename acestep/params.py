"""Parameters and result of `generate_music`. Every field is checked before any work is done."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any

from acestep.audio.write import AUDIO_FORMATS, MP3_BITRATES, MP3_SAMPLE_RATES
from acestep.constants import (
    BPM_MAX,
    BPM_MIN,
    DEFAULT_GUIDANCE_SCALE,
    DURATION_MAX_S,
    DURATION_MIN_S,
    INSTRUCTION_TEXT2MUSIC,
    KEYSCALES,
    LANGUAGES,
    MAX_BATCH,
    MAX_GUIDANCE_SCALE,
    MAX_SEED,
    MAX_STEPS,
    NO_USER_INPUT,
    SAMPLE_RATE,
    TIME_SIGNATURES,
)
from acestep.planner.codes import parse_codes_strict
from acestep.planner.user_metadata import check_text
from acestep.request import SAMPLER_MODES, GenerationRequest
from acestep.sampling.dcw import DCW
from acestep.sampling.schedules import strip_trailing_zeros
from acestep.sampling.solver import SolverSettings
from acestep.tasks.spec import TaskSpec
from acestep.tasks.task_types import TASKS, TEXT2MUSIC
from acestep.validation import flag, number, one_of, whole

_SWITCHES = (
    "enable_normalization",
    "use_adg",
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
        instruction: first line of the caption prompt. The default is replaced by the instruction of the task
            (`acestep.text.prompts.generate_instruction`); to use its text in another task, leave out its colon.
        track_name: one of `TRACKS`: the track that lego makes or that extract isolates.
        complete_track_classes: those of `TRACKS` that complete adds.
        reference_audio: audio file whose timbre and style the piece follows.
        src_audio: audio file that every task but text2music starts from; it sets the length of the piece.
        audio_codes: 5 Hz codes as ``<|audio_code_N|>`` tokens. If they are given, the planner writes none. They replace
            *src_audio* in the tasks that need a source.
        caption: description of the music.
        global_caption: description of the whole piece, for models of ``is_lego_sft``; the caption is the track's.
        lyrics: lyrics with section marks; ``[Instrumental]`` if there are none.
        vocal_language: one of `LANGUAGES`.
        bpm: beats per minute, 30 to 300.
        keyscale: one of `KEYSCALES`.
        timesignature: one of `TIME_SIGNATURES`.
        duration: seconds, 10 to 600; a source sets the length instead.
        enable_normalization: scale each waveform to a peak of *normalization_db*.
        normalization_db: dBFS, at most 0.
        fade_in_duration: seconds of linear fade at the start.
        fade_out_duration: seconds of linear fade at the end.
        latent_shift: number that is added to the latents before decoding, after *latent_rescale*.
        latent_rescale: factor of the latents before decoding.
        inference_steps: number of sampling steps; a turbo model runs at most 8 unless *timesteps* are given.
        seed: seed of the first item (item i has seed + i) when `GenerationConfig.seeds` is None; -1 is random.
        guidance_scale: guidance scale of base and sft models, 1 (off) to 15; turbo models were distilled with guidance
            and ignore it.
        use_adg: use angle-based guidance (ADG) instead of projected guidance (APG).
        cfg_interval_start: guidance is applied only at flow times in [*cfg_interval_start*, *cfg_interval_end*], where
            1 is pure noise and 0 is clean.
        cfg_interval_end: see *cfg_interval_start*.
        shift: timestep shift, above 0; 3 is recommended for turbo.
        infer_method: ``ode``, or ``sde``, which adds fresh noise at each step.
        sampler_mode: ``euler``, or ``heun`` (for ``ode``), which averages two evaluations a step.
        velocity_norm_threshold: largest norm of a velocity, as a multiple of the norm of its state; 0 is no limit.
        velocity_ema_factor: weight of the previous velocity in the next one, 0 (off) to 1.
        timesteps: descending flow times in (0, 1], which replace steps and shift; a turbo model takes at most 20.
        dcw_enabled: apply the wavelet correction (DCW) after each step.
        dcw_mode: one of `DCW.MODES`.
        dcw_scaler: strength in the low (or only) band.
        dcw_high_scaler: strength in the high band of mode ``double``.
        dcw_wavelet: ``haar``, or another of PyWavelets, which then has to be installed.
        repainting_start: start of the repaint region of repaint and lego, in seconds; a negative start extends the
            source to the left.
        repainting_end: end of the repaint region, in seconds; a negative end is the end of the source, and an end after
            it extends the source.
        chunk_mask_mode: ``explicit`` marks the repaint region for the model; ``auto``, as in the reference, does not.
        repaint_mode: ``conservative``, ``balanced`` or ``aggressive``: how strictly the rest of the source is kept.
        repaint_strength: strength in mode ``balanced``: 0 is conservative, 1 is aggressive.
        retake_seed: seed, or comma-separated seeds, of a second noise; None is random.
        retake_variance: weight of the second noise, 0 to 1.
        audio_cover_strength: share of the steps that are conditioned on the source or its codes.
        cover_noise_strength: share of the source in the initial latents, 0 (pure noise) to 1.
        thinking: the planner writes the audio codes of ``text2music``; other tasks use no planner.
        lm_temperature: 0 (greedy) to 2.
        lm_cfg_scale: guidance of the codes, at least 1 (off).
        lm_top_k: 0 is off.
        lm_top_p: 0 and 1 are off.
        lm_negative_prompt: prompt of the unconditional side of the planner's guidance.
        use_cot_metas: the planner fills in the metadata that the caller left open; if off, it plans no caption and no
            language either. If bpm, keyscale, timesignature and duration are given, nothing is planned.
        use_cot_caption: the planner's caption replaces the caller's in the synthesizer.
        use_cot_language: the planner's language replaces the caller's in the synthesizer.
        use_constrained_decoding: constrain the planner's text by a grammar, so that its metadata can always be parsed.
        cot_bpm: metadata that the planner chose; the fields ``cot_*`` are filled in by `generate_music`.
        cot_keyscale: see *cot_bpm*.
        cot_timesignature: see *cot_bpm*.
        cot_duration: see *cot_bpm*; seconds.
        cot_vocal_language: see *cot_bpm*.
        cot_caption: see *cot_bpm*.
    """

    task_type: str = TEXT2MUSIC
    instruction: str = INSTRUCTION_TEXT2MUSIC
    track_name: str = ""
    complete_track_classes: list[str] = field(default_factory=list)
    reference_audio: str | None = None
    src_audio: str | None = None
    audio_codes: str = ""
    caption: str = ""
    global_caption: str = ""
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
    guidance_scale: float = DEFAULT_GUIDANCE_SCALE
    use_adg: bool = False
    cfg_interval_start: float = 0.0
    cfg_interval_end: float = 1.0
    shift: float = 1.0
    infer_method: str = "ode"
    sampler_mode: str = "euler"
    velocity_norm_threshold: float = 0.0
    velocity_ema_factor: float = 0.0
    timesteps: list[float] | None = None
    dcw_enabled: bool = True
    dcw_mode: str = "double"
    dcw_scaler: float = 0.05
    dcw_high_scaler: float = 0.02
    dcw_wavelet: str = "haar"
    repainting_start: float = 0.0
    repainting_end: float = -1.0
    chunk_mask_mode: str = "auto"
    repaint_mode: str = "balanced"
    repaint_strength: float = 0.5
    retake_seed: int | str | None = None
    retake_variance: float = 0.0
    audio_cover_strength: float = 1.0
    cover_noise_strength: float = 0.0
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
        one_of("task_type", self.task_type, TASKS)
        for name in (
            "instruction",
            "audio_codes",
            "caption",
            "global_caption",
            "lyrics",
            "lm_negative_prompt",
            "dcw_wavelet",
        ):
            check_text(name, getattr(self, name))
        parse_codes_strict(self.audio_codes)
        for name in _SWITCHES:
            flag(name, getattr(self, name))
        self._check_metadata()
        self._check_output()
        self._check_sampler()
        TaskSpec(self.request()).check()
        number("lm_temperature", self.lm_temperature, 0, 2)
        number("lm_cfg_scale", self.lm_cfg_scale, 1, math.inf)
        whole("lm_top_k", self.lm_top_k, 0, 1 << 31)
        number("lm_top_p", self.lm_top_p, 0, 1)

    def _check_metadata(self) -> None:
        one_of("vocal_language", self.vocal_language, LANGUAGES)
        one_of("keyscale", self.keyscale, KEYSCALES, or_empty=True)
        one_of("timesignature", self.timesignature, TIME_SIGNATURES, or_empty=True)
        whole("bpm", self.bpm, BPM_MIN, BPM_MAX, or_none=True)
        if self.requested_duration is not None:
            number("duration", self.requested_duration, DURATION_MIN_S, DURATION_MAX_S)

    def _check_output(self) -> None:
        number("normalization_db", self.normalization_db, -math.inf, 0)
        number("fade_in_duration", self.fade_in_duration, 0, DURATION_MAX_S)
        number("fade_out_duration", self.fade_out_duration, 0, DURATION_MAX_S)
        number("latent_shift", self.latent_shift, -math.inf, math.inf)
        number("latent_rescale", self.latent_rescale, -math.inf, math.inf)

    def _check_sampler(self) -> None:
        whole("inference_steps", self.inference_steps, 1, MAX_STEPS)
        whole("seed", self.seed, -1, MAX_SEED)
        number("guidance_scale", self.guidance_scale, 1, MAX_GUIDANCE_SCALE)
        number("cfg_interval_start", self.cfg_interval_start, 0, 1)
        number("cfg_interval_end", self.cfg_interval_end, self.cfg_interval_start, 1)
        number("shift", self.shift, 0, math.inf, open_low=True)
        one_of("sampler_mode", self.sampler_mode, SAMPLER_MODES)
        one_of("infer_method", self.infer_method, SolverSettings.METHODS)
        number("velocity_norm_threshold", self.velocity_norm_threshold, 0, math.inf)
        number("velocity_ema_factor", self.velocity_ema_factor, 0, 1)
        SolverSettings(self.infer_method, heun=self.sampler_mode == "heun")
        _timesteps(self.timesteps)
        one_of("dcw_mode", self.dcw_mode, DCW.MODES)
        number("dcw_scaler", self.dcw_scaler, -math.inf, math.inf)
        number("dcw_high_scaler", self.dcw_high_scaler, -math.inf, math.inf)
        DCW(self.dcw_mode, wavelet=self.dcw_wavelet)

    def request(self) -> GenerationRequest:
        """The request to the synthesizer, as far as these parameters determine it."""
        names = {item.name for item in fields(self)} & {item.name for item in fields(GenerationRequest)}
        return GenerationRequest(
            captions=self.caption,
            key_scale=self.keyscale,
            time_signature=self.timesignature,
            audio_duration=self.requested_duration,
            audio_code_string=self.audio_codes,
            **{name: getattr(self, name) for name in names},
        )

    @property
    def requested_duration(self) -> float | None:
        """The caller's duration in seconds, or None if it is left open."""
        if self.duration is None:
            return None
        number("duration", self.duration, -math.inf, math.inf)
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
        flag("use_random_seed", self.use_random_seed)
        flag("constrained_decoding_debug", self.constrained_decoding_debug)
        whole("batch_size", self.batch_size, 1, MAX_BATCH, or_none=True)
        given = self.seeds if isinstance(self.seeds, list) else [] if self.seeds is None else [self.seeds]
        for seed in given:
            whole("seeds", seed, -1, MAX_SEED)
        if isinstance(self.seeds, list) and len(self.seeds) > (self.batch_size or 1):
            raise ValueError(f"seeds has {len(self.seeds)} entries for batch_size={self.batch_size}.")
        whole("lm_batch_chunk_size", self.lm_batch_chunk_size, 0, MAX_BATCH)
        one_of("audio_format", self.audio_format, AUDIO_FORMATS)
        one_of("mp3_bitrate", self.mp3_bitrate, MP3_BITRATES)
        one_of("mp3_sample_rate", self.mp3_sample_rate, MP3_SAMPLE_RATES)


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


def _timesteps(values: list[float] | None) -> None:
    if values is None:
        return
    kept = strip_trailing_zeros(values)
    if not 1 <= len(kept) <= MAX_STEPS:
        raise ValueError(f"timesteps has {len(kept)} times above 0, expected 1 to {MAX_STEPS}.")
    for value in kept:
        number("timesteps", value, 0, 1, open_low=True)
    if any(later > earlier for earlier, later in pairwise(kept)):
        raise ValueError(f"timesteps is {values!r}, expected descending times.")
